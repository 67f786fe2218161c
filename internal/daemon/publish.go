package daemon

import (
	"fmt"
	"log/slog"
	"slices"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/message"
)

// view is what the loop shows to everybody else.
type view struct {
	state *cluster.State // a copy
	view  core.View
	lease arbiter.Lease
}

// publish shows the outcome of a step. The state is copied only if it changed.
func (d *Daemon) publish(now cluster.Instant, changed bool) {
	old := d.view.Load()
	v := &view{view: d.core.View(now), lease: d.core.Lease()}
	if old == nil || changed {
		v.state = d.core.State().Clone()
		d.followPeers(v.state)
		if d.cfg.Guard != nil {
			d.stores.try(v.state)
		}
		d.changed.wake()
	} else {
		v.state = old.state
		if old.view.Leader != v.view.Leader {
			d.changed.wake()
		}
	}
	d.view.Store(v)
	d.tellLoss(v.state)
	if d.unmanaged {
		d.remanage(v.state)
	}
}

// changes lets any number of waiters sleep until something changes.
type changes struct {
	mu sync.Mutex
	ch chan struct{}
}

func (c *changes) wait() <-chan struct{} {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch == nil {
		c.ch = make(chan struct{})
	}
	return c.ch
}

func (c *changes) wake() {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.ch != nil {
		close(c.ch)
		c.ch = nil
	}
}

// replies joins commands with whoever waits for their outcome.
type replies struct {
	mu sync.Mutex
	m  map[uint64]chan core.Reply
}

func (r *replies) expect(id uint64) <-chan core.Reply {
	r.mu.Lock()
	defer r.mu.Unlock()
	if r.m == nil {
		r.m = make(map[uint64]chan core.Reply)
	}
	ch := make(chan core.Reply, 1)
	r.m[id] = ch
	return ch
}

func (r *replies) forget(id uint64) {
	r.mu.Lock()
	defer r.mu.Unlock()
	delete(r.m, id)
}

func (r *replies) answer(a *core.Reply) {
	r.mu.Lock()
	defer r.mu.Unlock()
	if ch := r.m[a.ID]; ch != nil {
		ch <- *a // there is room for the one answer
		delete(r.m, a.ID)
	}
}

// sparing remembers what was said lately.
type sparing struct {
	mu   sync.Mutex
	last map[string]time.Time
}

// due reports whether something may be said again, and notes that it is. The
// memory is bounded: when it is full everything may be said again.
func (s *sparing) due(what string, every time.Duration) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	now := time.Now()
	if t, ok := s.last[what]; ok && now.Sub(t) < every {
		return false
	}
	if s.last == nil || len(s.last) > 256 {
		s.last = make(map[string]time.Time)
	}
	s.last[what] = now
	return true
}

// alarms are what the core found worth one.
type alarms struct {
	mu  sync.Mutex
	all []alarm
}

type alarm struct {
	reason cluster.Reason
	at     time.Time
}

// alarmFor is how long an alarm that isn't repeated is shown.
const alarmFor = time.Minute

func (a *alarms) say(log *slog.Logger, r cluster.Reason) {
	log.Error(message.Reason(r).String())
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.all {
		if fmt.Sprint(a.all[i].reason) == fmt.Sprint(r) {
			a.all[i].at = time.Now()
			return
		}
	}
	if len(a.all) < 32 {
		a.all = append(a.all, alarm{r, time.Now()})
	}
}

// renew keeps the alarms of a code standing: their cause goes on.
func (a *alarms) renew(code string) {
	a.mu.Lock()
	defer a.mu.Unlock()
	for i := range a.all {
		if a.all[i].reason.Code == code {
			a.all[i].at = time.Now()
		}
	}
}

// clear takes the alarms of a code back and reports whether there were any.
func (a *alarms) clear(code string) bool {
	a.mu.Lock()
	defer a.mu.Unlock()
	before := len(a.all)
	a.all = slices.DeleteFunc(a.all, func(x alarm) bool { return x.reason.Code == code })
	return len(a.all) < before
}

func (a *alarms) standing() []cluster.Reason {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []cluster.Reason
	for _, x := range a.all {
		if time.Since(x.at) < alarmFor {
			out = append(out, x.reason)
		}
	}
	return out
}
