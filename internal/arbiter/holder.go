package arbiter

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Holder counts the lease of this node's own generation.
type Holder struct {
	self       cluster.NodeID
	generation cluster.Generation
	acks       []heard
	until      time.Duration // Boot; lease end, never moves back in a generation
	// counted: nothing was heard since the lease was last counted, under the
	// configuration conf.
	counted bool
	conf    uint64
	broken  Broken
}

// heard is the best acknowledgement of one voter.
type heard struct {
	voter   cluster.NodeID
	conf    uint64
	sent    time.Duration
	granted time.Duration
	refused Refusal
}

// NewHolder makes a holder without a lease.
func NewHolder(self cluster.NodeID, broken Broken) *Holder {
	return &Holder{self: self, broken: broken}
}

// Begin starts a generation: every earlier acknowledgement and lease is over.
func (h *Holder) Begin(g cluster.Generation) {
	if g == h.generation {
		return
	}
	*h = Holder{self: h.self, generation: g, broken: h.broken}
}

// Generation is the one whose lease is counted; 0: none.
func (h *Holder) Generation() cluster.Generation { return h.generation }

// Heard takes an acknowledgement of one of this node's beats.
func (h *Holder) Heard(now cluster.Instant, a Ack) {
	if h.generation == 0 || a.Generation != h.generation || a.Voter == h.self || a.Sent > now.Boot {
		return
	}
	h.counted = false
	i := slices.IndexFunc(h.acks, func(x heard) bool { return x.voter == a.Voter })
	if i < 0 {
		h.acks = append(h.acks, heard{voter: a.Voter})
		i = len(h.acks) - 1
	}
	x := &h.acks[i]
	if a.Refusal != Granted {
		if a.Sent >= x.sent {
			x.refused = a.Refusal
		}
		return
	}
	// Acks may overtake each other. Under a newer configuration the newest
	// ack counts; under the same one the latest sent.
	if a.Conf < x.conf || a.Conf == x.conf && a.Sent < x.sent {
		return
	}
	x.conf, x.sent, x.granted, x.refused = a.Conf, a.Sent, a.Granted, Granted
}

// Lease is what a holder may do until when. Times are Boot; a zero Until is no
// lease.
type Lease struct {
	Generation cluster.Generation
	// Until is the end of the lease.
	Until time.Duration
	// Gate is when the gate closes: before Until.
	Gate time.Duration
}

// Lease counts the lease under the configuration of s. A lease that was earned
// stays until its own end, even when the configuration changes.
func (h *Holder) Lease(now cluster.Instant, s *cluster.State) Lease {
	if h.generation == 0 {
		return Lease{}
	}
	if !h.counted || h.conf != s.Conf {
		h.count(now, s)
	}
	l := Lease{Generation: h.generation, Until: h.until}
	if h.broken.NoLeaseEnd && h.until != 0 {
		l.Until = now.Boot + s.Detection
	}
	if l.Until > 0 {
		l.Gate = l.Until - s.Timing().GateSlack
	}
	return l
}

// count moves the end of the lease.
func (h *Holder) count(now cluster.Instant, s *cluster.State) {
	// ends are the ends of what each voter grants, latest first. A majority
	// grants until the majority-th of them.
	var buf [cluster.MaxVoters]time.Duration
	ends := buf[:0]
	for _, v := range s.Voters {
		if v == h.self {
			ends = append(ends, now.Boot+s.Detection)
			continue
		}
		for _, x := range h.acks {
			if x.voter == v && x.conf == s.Conf && x.granted > 0 {
				ends = append(ends, x.sent+x.granted)
			}
		}
	}
	need := s.Majority()
	if len(ends) >= need {
		slices.Sort(ends)
		h.until = max(h.until, ends[len(ends)-need])
	}
	// Where others are needed the end moves with their word alone; a node whose
	// own vote is the majority renews by itself.
	h.counted, h.conf = need > 1, s.Conf
}

// Alive reports whether the lease allows to serve now.
func (l Lease) Alive(now cluster.Instant) bool { return now.Boot < l.Gate }

// Over reports whether the lease has ended for certain.
func (l Lease) Over(now cluster.Instant) bool { return now.Boot >= l.Until }

// Hopeless reports whether so many voters promised against this generation, or
// know of its end, that no majority can ever acknowledge it again.
func (h *Holder) Hopeless(s *cluster.State) bool {
	return h.Against(s) > len(s.Voters)-s.Majority()
}

// Against is how many voters say that they promised never to acknowledge this
// generation again. One is enough to keep it from its lease when others are down.
func (h *Holder) Against(s *cluster.State) int {
	if h.generation == 0 {
		return 0
	}
	against := 0
	for _, v := range s.Voters {
		for _, x := range h.acks {
			if x.voter == v && x.refused == RefusedPromised {
				against++
			}
		}
	}
	return against
}
