package http

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
)

// Check asks one web server.
type Check struct {
	probe    kit.Probe
	failures int
	timeout  time.Duration

	mu  sync.Mutex
	bad int // answers in a row
}

// startPoll is the time between two questions to a server that was just
// started: it is added to every outage.
const startPoll = 10 * time.Millisecond

// Start implements [kit.Resource]: it returns when the server answers well, so
// that in service means that clients are served.
func (c *Check) Start(ctx context.Context, _ cluster.Release) error {
	c.count(nil)
	tick := time.NewTicker(startPoll)
	defer tick.Stop()
	var last error
	for {
		err := c.ask(ctx)
		if err == nil {
			return nil
		}
		// The end of our own time says less than the server's last answer.
		if last == nil || ctx.Err() == nil {
			last = err
		}
		select {
		case <-ctx.Done():
			return last
		case <-tick.C:
		}
	}
}

// Stop implements [kit.Resource]: there is nothing to stop.
func (c *Check) Stop(context.Context) error {
	c.count(nil)
	return nil
}

// Check implements [kit.Resource].
func (c *Check) Check(ctx context.Context, _ kit.Depth) kit.Health {
	err := c.ask(ctx)
	if errors.Is(err, context.Canceled) {
		return kit.BecauseOf(cluster.Unknown, err) // nobody waits for the answer any more
	}
	switch n := c.count(err); {
	case n == 0:
		return kit.Healthy
	case n < c.failures:
		return kit.BecauseOf(cluster.Degraded, err)
	}
	return kit.BecauseOf(cluster.Failed, err)
}

func (c *Check) ask(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, c.timeout)
	defer cancel()
	return c.probe.Ask(ctx)
}

// count counts bad answers in a row.
func (c *Check) count(err error) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.bad++
	if err == nil {
		c.bad = 0
	}
	return c.bad
}

// Close implements [kit.Resource].
func (c *Check) Close() error { return nil }
