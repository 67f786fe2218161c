//go:build !linux

package timer

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

// Timer wakes by Go's timers.
type Timer struct {
	c   chan struct{}
	sys *time.Timer
}

// New returns a timer that isn't set.
func New() *Timer {
	t := &Timer{c: make(chan struct{}, 1)}
	t.sys = time.AfterFunc(time.Hour, func() {
		select {
		case t.c <- struct{}{}:
		default:
		}
	})
	t.sys.Stop()
	return t
}

// C has an element when the timer fired. It may be one that was set before.
func (t *Timer) C() <-chan struct{} { return t.c }

// Set wakes at a MONOTONIC time; [cluster.Never]: not at all. It replaces what was
// set before.
func (t *Timer) Set(mono time.Duration) {
	if mono == cluster.Never {
		t.sys.Stop()
		return
	}
	t.sys.Reset(max(mono-clock.Now().Mono, 0))
}

// Close ends the timer.
func (t *Timer) Close() { t.sys.Stop() }
