package client

import (
	"context"
	"fmt"
	"slices"
	"sync"
	"sync/atomic"
	"time"
)

// Config describes an outside client.
type Config struct {
	Clock Clock
	// Dial connects to the service as anybody outside would.
	Dial Dial
	// Interval is the time between requests; default 10 ms.
	Interval time.Duration
	// Timeout ends one request; default 150 ms.
	Timeout time.Duration
	// InFlight bounds the requests that wait at once; when full, a request is
	// counted as failed without being sent. Default 64.
	InFlight int
}

func (c Config) withDefaults() Config {
	if c.Clock == (Clock{}) {
		c.Clock = NewClock()
	}
	if c.Interval == 0 {
		c.Interval = 10 * time.Millisecond
	}
	if c.Timeout == 0 {
		c.Timeout = 150 * time.Millisecond
	}
	if c.InFlight == 0 {
		c.InFlight = 64
	}
	return c
}

// Client asks a service at a steady pace, whether it answers or not.
type Client struct {
	cfg    Config
	cancel context.CancelFunc
	ended  chan struct{}
	seq    atomic.Uint64

	mu       sync.Mutex
	attempts []Attempt // by Done
	stalls   []Stall
	lastGood Attempt
}

// Start begins to ask. The caller must call Stop.
func Start(cfg Config) *Client {
	ctx, cancel := context.WithCancel(context.Background())
	c := &Client{cfg: cfg.withDefaults(), cancel: cancel, ended: make(chan struct{})}
	go func() {
		defer close(c.ended)
		pace(ctx, c.cfg.Clock, c.cfg.Interval, c.cfg.InFlight, c.ask, c.busy, c.stalled)
	}()
	return c
}

// Stop ends the client after the requests in flight.
func (c *Client) Stop() {
	c.cancel()
	<-c.ended
}

// Clock is the client's clock.
func (c *Client) Clock() Clock { return c.cfg.Clock }

// Attempts returns the attempts that were sent at or after from, ordered by the
// time they were done.
func (c *Client) Attempts(from time.Duration) []Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Attempt
	for _, a := range c.attempts {
		if a.Sent >= from {
			out = append(out, a)
		}
	}
	return out
}

// Stalls returns the times in which the client itself didn't run.
func (c *Client) Stalls(from time.Duration) []Stall {
	c.mu.Lock()
	defer c.mu.Unlock()
	var out []Stall
	for _, s := range c.stalls {
		if s.At+s.For >= from {
			out = append(out, s)
		}
	}
	return out
}

// Forget drops what was done before a moment, so that a client can go on for days.
func (c *Client) Forget(before time.Duration) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts = slices.DeleteFunc(c.attempts, func(a Attempt) bool { return a.Done < before })
	c.stalls = slices.DeleteFunc(c.stalls, func(s Stall) bool { return s.At+s.For < before })
}

// LastGood is the latest good reply; its Seq is zero if there was none.
func (c *Client) LastGood() Attempt {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.lastGood
}

// WaitGood waits for a good reply to a request sent at or after from, given by
// node ("" for any).
func (c *Client) WaitGood(ctx context.Context, from time.Duration, node string) (Attempt, error) {
	ticker := time.NewTicker(c.cfg.Interval)
	defer ticker.Stop()
	for {
		if a := c.LastGood(); a.Seq != 0 && a.Sent >= from && (node == "" || a.Node == node) {
			return a, nil
		}
		select {
		case <-ctx.Done():
			who := node
			if who == "" {
				who = "any node"
			}
			return Attempt{}, fmt.Errorf("wait for a reply from %s: %w", who, context.Cause(ctx))
		case <-c.ended:
			return Attempt{}, fmt.Errorf("wait for a reply: the client was stopped")
		case <-ticker.C:
		}
	}
}

func (c *Client) ask() {
	a := Attempt{Seq: c.seq.Add(1), Sent: c.cfg.Clock.Now()}
	ctx, cancel := context.WithTimeout(context.Background(), c.cfg.Timeout)
	defer cancel()
	node, err := request(ctx, c.cfg.Dial)
	a.Done, a.Node, a.Failed = c.cfg.Clock.Now(), node, class(err)
	c.record(a)
}

// busy counts a request that could not be sent because too many wait.
func (c *Client) busy() {
	now := c.cfg.Clock.Now()
	c.record(Attempt{Seq: c.seq.Add(1), Sent: now, Done: now, Failed: "busy"})
}

func (c *Client) record(a Attempt) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.attempts = append(c.attempts, a)
	if a.OK() && a.Done >= c.lastGood.Done {
		c.lastGood = a
	}
}

func (c *Client) stalled(s Stall) {
	c.mu.Lock()
	defer c.mu.Unlock()
	c.stalls = append(c.stalls, s)
}
