package image

import (
	"sync"
	"time"
)

// step is a part of the work with how long it took on the machine where it was
// measured; only the ratios matter.
type step struct {
	text  string
	usual time.Duration
}

// estimate is the progress when steps before at are done and took before
// together, and step at runs for within.
func estimate(steps []step, at int, before, within time.Duration) Progress {
	var total, done time.Duration
	for i, s := range steps {
		total += s.usual
		if i < at {
			done += s.usual
		}
	}
	// This machine's pace, from what is done; the measured one until that says
	// something.
	pace := 1.0
	if done > total/50 {
		pace = float64(before) / float64(done)
	}
	now := steps[at].usual
	spent := time.Duration(float64(within) / max(pace, 0.01))
	p := Progress{Step: steps[at].text}
	if spent < now*9/10 {
		p.Left = time.Duration(float64(total-done-spent) * pace)
	} else {
		// Late: it isn't known how much of the step remains; of the others it is.
		spent = now * 9 / 10
		p.Left = time.Duration(float64(total-done-spent) * pace)
		if within > time.Duration(2*float64(now)*pace)+10*time.Second {
			p.Left = Unknown
		}
	}
	p.Fraction = float64(done+spent) / float64(total)
	return p
}

// tracker reports progress at every step and every second between.
type tracker struct {
	report func(Progress)
	steps  []step

	mu        sync.Mutex
	at        int
	began     time.Time
	stepBegan time.Time

	stop, stopped chan struct{}
}

func track(report func(Progress), steps []step) *tracker {
	now := time.Now()
	t := &tracker{report: report, steps: steps, began: now, stepBegan: now, stop: make(chan struct{}), stopped: make(chan struct{})}
	t.say()
	go func() {
		defer close(t.stopped)
		tick := time.NewTicker(time.Second)
		defer tick.Stop()
		for {
			select {
			case <-t.stop:
				return
			case <-tick.C:
				t.say()
			}
		}
	}()
	return t
}

// enter says that the step with this text begins.
func (t *tracker) enter(text string) {
	t.mu.Lock()
	for i, s := range t.steps {
		if s.text == text && i != t.at {
			t.at, t.stepBegan = i, time.Now()
		}
	}
	t.mu.Unlock()
	t.say()
}

func (t *tracker) say() {
	t.mu.Lock()
	defer t.mu.Unlock()
	t.report(estimate(t.steps, t.at, t.stepBegan.Sub(t.began), time.Since(t.stepBegan)))
}

// close ends the reports; the last is over when it returns.
func (t *tracker) close() {
	close(t.stop)
	<-t.stopped
}
