package demo

import (
	"fmt"
	"io"
	"strings"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
)

// liveInterval is the time between two states of the live line.
const liveInterval = 100 * time.Millisecond

// live shows what happens: on a terminal one line that changes, elsewhere a
// line for each thing.
type live struct {
	out      io.Writer
	terminal bool
	lang     string
	total    int

	mu     sync.Mutex
	number int
	now    Happening
	client *client.Client
	began  time.Time
	// left is about how long the current scenario and all after it take.
	left time.Duration

	stop  chan struct{}
	ended sync.WaitGroup
}

func newLive(out io.Writer, terminal bool, lang string, total int) *live {
	l := &live{out: out, terminal: terminal, lang: lang, total: total, stop: make(chan struct{}), began: time.Now()}
	if terminal {
		l.ended.Go(l.redraw)
	}
	return l
}

// next begins scenario number n (from 1), watched by c; from now on about left
// is needed.
func (l *live) next(n int, c *client.Client, left time.Duration) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.number, l.client, l.began, l.left = n, c, time.Now(), left
}

// say takes what happens from a runner.
func (l *live) say(h Happening) {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.now = h
	if !l.terminal && h.What != "" {
		fmt.Fprintf(l.out, "[%2d/%d] %6.1f s  %s: %s\n", l.number, l.total, time.Since(l.began).Seconds(), h.Scenario.Name, said(h.What, l.lang))
	}
}

// said is what happens in words.
func said(what, lang string) string {
	goal, more, _ := strings.Cut(what, ": ")
	text, ok := words["goal "+goal]
	switch {
	case !ok:
		return what // a fault, in its printed form
	case more != "":
		return text.In(lang) + ": " + more
	}
	return text.In(lang)
}

// calm ends the live line: everything was played.
func (l *live) calm() {
	l.mu.Lock()
	defer l.mu.Unlock()
	l.client = nil
	if l.terminal {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
}

// note writes a line that stays.
func (l *live) note(format string, args ...any) {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.terminal {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
	fmt.Fprintf(l.out, format+"\n", args...)
}

func (l *live) close() {
	close(l.stop)
	l.ended.Wait()
	if l.terminal {
		fmt.Fprint(l.out, "\r\x1b[K")
	}
}

func (l *live) redraw() {
	ticker := time.NewTicker(liveInterval)
	defer ticker.Stop()
	for {
		select {
		case <-l.stop:
			return
		case <-ticker.C:
			l.mu.Lock()
			if l.client != nil {
				fmt.Fprint(l.out, "\r\x1b[K", truncate(l.line(), widthAll-1))
			}
			l.mu.Unlock()
		}
	}
}

// line is the live line: which scenario, what is done, who serves or for how
// long nobody has.
func (l *live) line() string {
	state := ""
	good := l.client.LastGood()
	if silent := l.client.Clock().Now() - good.Done; silent < liveInterval {
		state = "● " + good.Node
	} else {
		state = fmt.Sprintf("○ %.1f s", silent.Seconds())
	}
	left := max(l.left-time.Since(l.began), 0).Round(time.Second)
	return fmt.Sprintf("[%2d/%d, %v] %s · %s · %s", l.number, l.total, left, l.now.Scenario.Title.In(l.lang), said(l.now.What, l.lang), state)
}
