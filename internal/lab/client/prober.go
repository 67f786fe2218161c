package client

import (
	"context"
	"slices"
	"sync"
	"time"
)

// How a reply was obtained.
const (
	// ByClient: the outside client asked the service's address.
	ByClient = "client"
	// ByProbe: a request went straight to one node, past address resolution.
	ByProbe = "probe"
	// ByPatience: the same with a long wait, which a reply that is given late,
	// by a thawed server for example, doesn't escape.
	ByPatience = "patient probe"
	// ByARP: a node claimed the address in an answer to an ARP request.
	ByARP = "arp"
)

// Reply proves that a node served at some moment from Sent to Done.
type Reply struct {
	Node string        `json:"node"`
	By   string        `json:"by"`
	Sent time.Duration `json:"sent"`
	Done time.Duration `json:"done"`
}

// Door is one node as reached from outside by its own hardware address.
type Door struct {
	Node string
	Dial Dial
}

// ProberConfig describes the probes of all nodes' doors.
type ProberConfig struct {
	Clock Clock
	Doors []Door
	// Interval is the time between probes of each door; default 20 ms.
	Interval time.Duration
	// Timeout ends one; default 100 ms.
	Timeout time.Duration
	// PatientInterval and Patience are the same for patient probes; defaults
	// 250 ms and 25 s.
	PatientInterval time.Duration
	Patience        time.Duration
}

func (c ProberConfig) withDefaults() ProberConfig {
	if c.Clock == (Clock{}) {
		c.Clock = NewClock()
	}
	for _, d := range []struct {
		field *time.Duration
		value time.Duration
	}{
		{&c.Interval, 20 * time.Millisecond}, {&c.Timeout, 100 * time.Millisecond},
		{&c.PatientInterval, 250 * time.Millisecond}, {&c.Patience, 25 * time.Second},
	} {
		if *d.field == 0 {
			*d.field = d.value
		}
	}
	return c
}

// Prober asks every node at its own door whether it answers, so that two
// servers are seen even while address resolution points to only one.
type Prober struct {
	cfg    ProberConfig
	cancel context.CancelFunc
	ended  sync.WaitGroup

	mu      sync.Mutex
	replies []Reply
	last    map[string]Reply
	failed  map[string]string
}

// StartProber begins to probe. The caller must call Stop.
func StartProber(cfg ProberConfig) *Prober {
	ctx, cancel := context.WithCancel(context.Background())
	p := &Prober{cfg: cfg.withDefaults(), cancel: cancel,
		last: map[string]Reply{}, failed: map[string]string{}}
	for _, door := range p.cfg.Doors {
		p.probe(ctx, door, ByProbe, p.cfg.Interval, p.cfg.Timeout)
		p.probe(ctx, door, ByPatience, p.cfg.PatientInterval, p.cfg.Patience)
	}
	return p
}

// Stop ends the prober.
func (p *Prober) Stop() {
	p.cancel()
	p.ended.Wait()
}

func (p *Prober) probe(ctx context.Context, door Door, by string, interval, timeout time.Duration) {
	ask := func() {
		r := Reply{Node: door.Node, By: by, Sent: p.cfg.Clock.Now()}
		ctx, cancel := context.WithTimeout(ctx, timeout)
		defer cancel()
		_, err := request(ctx, door.Dial)
		r.Done = p.cfg.Clock.Now()
		if err == nil {
			p.Add(r)
		} else if by == ByProbe {
			p.mu.Lock()
			p.failed[door.Node] = class(err)
			p.mu.Unlock()
		}
	}
	limit := int(timeout/interval) + 2
	p.ended.Go(func() {
		pace(ctx, p.cfg.Clock, interval, limit, ask, func() {}, func(Stall) {})
	})
}

// Add takes a reply that another kind of probe obtained.
func (p *Prober) Add(r Reply) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies = append(p.replies, r)
	if r.By != ByARP {
		p.last[r.Node] = r
		delete(p.failed, r.Node)
	}
}

// Replies returns the replies that came at or after from.
func (p *Prober) Replies(from time.Duration) []Reply {
	p.mu.Lock()
	defer p.mu.Unlock()
	var out []Reply
	for _, r := range p.replies {
		if r.Done >= from {
			out = append(out, r)
		}
	}
	return out
}

// Forget drops what was seen before a moment, so that a prober can go on for days.
func (p *Prober) Forget(before time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	p.replies = slices.DeleteFunc(p.replies, func(r Reply) bool { return r.Done < before })
}

// Serving reports whether the node's latest short probe was answered, and why
// not.
func (p *Prober) Serving(node string) (serving bool, why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	why, failed := p.failed[node]
	_, ever := p.last[node]
	return ever && !failed, why
}
