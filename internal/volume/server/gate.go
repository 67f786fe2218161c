package server

import (
	"math"
	"sync"
	"sync/atomic"
	"time"
)

// Gate says whether this node may serve: until a deadline by BOOTTIME, which
// whoever holds the lease moves. It decides nothing else, so that it holds when
// everything around it stands still.
type Gate struct {
	now   func() time.Duration
	until atomic.Int64

	mu      sync.Mutex
	waiting []*op
	// since is when the oldest of waiting began to wait.
	since time.Duration
	hold  time.Duration
	timer *time.Timer
}

// holdDefault is how long requests wait for a renewal: longer than a guardian
// keeps frozen services before it kills them with the balanced profile.
const holdDefault = 30 * time.Second

const (
	shut    = 0
	forever = math.MaxInt64
)

// newGate makes a gate that is shut. now is BOOTTIME; hold is how long a request
// waits.
func newGate(now func() time.Duration, hold time.Duration) *Gate {
	if hold == 0 {
		hold = holdDefault
	}
	g := &Gate{now: now, hold: hold}
	g.timer = time.AfterFunc(time.Hour, g.overdue)
	g.timer.Stop()
	return g
}

// Open lets requests through until a BOOTTIME; [math.MaxInt64] is for ever. A
// deadline in the past, or before the present one, is no error: renewals may come
// in any order, and the latest counts.
func (g *Gate) Open(until time.Duration) {
	for {
		old := g.until.Load()
		if int64(until) <= old {
			break
		}
		if g.until.CompareAndSwap(old, int64(until)) {
			break
		}
	}
	if g.passes() {
		g.release(nil)
	}
}

// Shut closes the gate now. What waits goes on waiting.
func (g *Gate) Shut() { g.until.Store(shut) }

// Revoke closes the gate and fails what waits: there will be no renewal.
func (g *Gate) Revoke(why error) {
	g.until.Store(shut)
	g.release(why)
}

// passes reports whether it is open now.
func (g *Gate) passes() bool {
	until := g.until.Load()
	return until == forever || until != shut && int64(g.now()) < until
}

// park keeps a request until the gate opens, or fails it in the end.
func (g *Gate) park(o *op) {
	g.mu.Lock()
	g.waiting = append(g.waiting, o)
	if len(g.waiting) == 1 {
		g.since = g.now()
		g.timer.Reset(g.hold)
	}
	g.mu.Unlock()
	if g.passes() { // it was opened in between
		g.release(nil)
	}
}

// release lets go of everything that waits: on its way, or with an error.
func (g *Gate) release(why error) {
	g.mu.Lock()
	waiting := g.waiting
	g.waiting = nil
	g.timer.Stop()
	g.mu.Unlock()
	for _, o := range waiting {
		o.resume(why)
	}
}

// drop fails some of what waits.
func (g *Gate) drop(mine func(*op) bool, why error) {
	g.mu.Lock()
	var dropped []*op
	others := g.waiting[:0]
	for _, o := range g.waiting {
		if mine(o) {
			dropped = append(dropped, o)
		} else {
			others = append(others, o)
		}
	}
	g.waiting = others
	g.mu.Unlock()
	for _, o := range dropped {
		o.resume(why)
	}
}

// overdue fails what has waited for too long.
func (g *Gate) overdue() {
	g.mu.Lock()
	due := len(g.waiting) > 0 && g.now()-g.since >= g.hold
	if !due && len(g.waiting) > 0 {
		g.timer.Reset(g.hold)
	}
	g.mu.Unlock()
	if due {
		g.release(errNoLease)
	}
}

// held is how many requests wait.
func (g *Gate) held() int {
	g.mu.Lock()
	defer g.mu.Unlock()
	return len(g.waiting)
}
