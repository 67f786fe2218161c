//go:build !linux

package guardian

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

// alarm wakes the loop.
type alarm struct {
	c chan struct{}
	t *time.Timer
}

func newAlarm() *alarm {
	a := &alarm{c: make(chan struct{}, 1)}
	a.t = time.AfterFunc(time.Hour, func() {
		select {
		case a.c <- struct{}{}:
		default:
		}
	})
	return a
}

func (a *alarm) set(mono time.Duration) {
	if mono == cluster.Never {
		a.t.Stop()
		return
	}
	a.t.Reset(max(mono-clock.Now().Mono, 0))
}

func (a *alarm) close() { a.t.Stop() }
