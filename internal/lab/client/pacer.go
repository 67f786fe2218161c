package client

import (
	"context"
	"sync"
	"time"
)

// stallLimit is how late a pacer may be before it says so: what is measured
// around a stall of the lab itself is exact to the stall only.
const stallLimit = 5 * time.Millisecond

// Stall is a time in which the lab itself didn't run.
type Stall struct {
	At  time.Duration `json:"at"`
	For time.Duration `json:"for"`
}

// pace calls start every interval until ctx ends and returns when all that it
// started has ended. At most limit run at once: when all are busy, full is
// called instead. late is called when a tick came more than stallLimit late.
func pace(ctx context.Context, clock Clock, interval time.Duration, limit int, start func(), full func(), late func(Stall)) {
	slots := make(chan struct{}, limit)
	var running sync.WaitGroup
	defer running.Wait()
	ticker := time.NewTicker(interval)
	defer ticker.Stop()
	for last := clock.Now(); ; {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		now := clock.Now()
		if gap := now - last - interval; gap > stallLimit {
			late(Stall{At: last + interval, For: gap})
		}
		last = now
		select {
		case slots <- struct{}{}:
			running.Go(func() {
				defer func() { <-slots }()
				start()
			})
		default:
			full()
		}
	}
}
