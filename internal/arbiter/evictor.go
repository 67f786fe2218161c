package arbiter

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Phase of asking. First every voter is asked whether it would promise, and
// only when a majority would, to do it: a promise that leads to no eviction
// hurts its node for nothing.
type Phase uint8

const (
	Would Phase = 1
	Do    Phase = 2
)

// Ask is the leader's question to a voter.
type Ask struct {
	Node       cluster.NodeID
	Generation cluster.Generation
	Conf       uint64
	Phase      Phase
}

// Answer is a voter's. With phase Do and Yes the promise is durable.
type Answer struct {
	Ask
	Voter cluster.NodeID
	Yes   bool
	// Silent is how long ago the voter last acknowledged the node; negative:
	// never since it started.
	Silent time.Duration
	// Wait is how long the voter must wait before it could say yes, if it
	// hears nothing; 0 with a no: it never will under this Conf.
	Wait time.Duration
}

// Evictor gathers promises for the leader. It is made anew with each term.
type Evictor struct {
	self  cluster.NodeID
	tries []try
	// broken is for negative controls.
	broken Broken
}

type try struct {
	ask     Ask
	began   time.Duration
	again   time.Duration // Mono when to ask again
	answers []Answer
	done    bool // proposed
}

// NewEvictor begins with nobody suspected.
func NewEvictor(self cluster.NodeID, broken Broken) *Evictor {
	return &Evictor{self: self, broken: broken}
}

// Step looks for nodes to evict and returns questions for all voters
// (including this one) and evictions that have their majority.
func (e *Evictor) Step(now cluster.Instant, s *cluster.State, v *Voter) (asks []Ask, evictions []cluster.Command) {
	e.tries = slices.DeleteFunc(e.tries, func(t try) bool {
		n := s.Node(t.ask.Node)
		return n == nil || n.Presence != cluster.Present || n.Generation != t.ask.Generation ||
			s.Conf != t.ask.Conf
	})
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.ID == e.self || n.Presence != cluster.Present {
			continue
		}
		t := e.find(n.ID)
		if t == nil {
			// The leader suspects on its own silence, a little before it is
			// ripe itself, so that the first round is over by then.
			if now.Mono < e.suspectAt(s, v, n) {
				continue
			}
			e.tries = append(e.tries, try{ask: Ask{Node: n.ID, Generation: n.Generation, Conf: s.Conf, Phase: Would}, began: now.Mono})
			t = &e.tries[len(e.tries)-1]
		}
		if now.Mono < e.suspectAt(s, v, n) {
			t.ask.Phase = 0 // it was heard again
		}
		if t.ask.Phase == 0 {
			continue
		}
		if t.yes(s, t.ask.Phase) >= e.need(s) {
			switch {
			case t.ask.Phase == Would:
				t.ask.Phase, t.again = Do, now.Mono
			case !t.done:
				t.done = true
				evictions = append(evictions, t.eviction(s, e.broken))
				// If it isn't applied within a detection time it is asked again.
				t.again = now.Mono + s.Detection
			}
		}
		if now.Mono >= t.again {
			t.done = false
			t.again = now.Mono + s.Timing().Heartbeat
			asks = append(asks, t.ask)
		}
	}
	e.tries = slices.DeleteFunc(e.tries, func(t try) bool { return t.ask.Phase == 0 })
	return asks, evictions
}

// suspectAt is when the leader begins to ask.
func (e *Evictor) suspectAt(s *cluster.State, v *Voter, n *cluster.Node) time.Duration {
	return v.Ripe(s, n.ID, n.Generation) - s.Timing().Heartbeat
}

// Next is when Step wants to be called (Mono).
func (e *Evictor) Next(now cluster.Instant, s *cluster.State, v *Voter) time.Duration {
	next := cluster.Never
	for i := range s.Nodes {
		n := &s.Nodes[i]
		if n.ID == e.self || n.Presence != cluster.Present {
			continue
		}
		if t := e.find(n.ID); t != nil {
			next = min(next, t.again)
		} else {
			next = min(next, e.suspectAt(s, v, n))
		}
	}
	return next
}

// Idle reports whether nobody is suspected.
func (e *Evictor) Idle() bool { return len(e.tries) == 0 }

func (e *Evictor) need(s *cluster.State) int {
	if e.broken.Minority {
		return 1
	}
	return s.Majority()
}

func (e *Evictor) find(id cluster.NodeID) *try {
	for i := range e.tries {
		if e.tries[i].ask.Node == id {
			return &e.tries[i]
		}
	}
	return nil
}

// Answered takes a voter's answer. A voter that must wait is asked again when
// its time has come.
func (e *Evictor) Answered(now cluster.Instant, a Answer) {
	t := e.find(a.Node)
	if t == nil || a.Generation != t.ask.Generation || a.Conf != t.ask.Conf {
		return
	}
	t.answers = slices.DeleteFunc(t.answers, func(o Answer) bool { return o.Voter == a.Voter })
	t.answers = append(t.answers, a)
	if !a.Yes && a.Wait > 0 {
		t.again = min(t.again, now.Mono+a.Wait)
	}
}

// yes counts the voters that said yes in the phase or a later one.
func (t *try) yes(s *cluster.State, p Phase) int {
	n := 0
	for _, v := range s.Voters {
		if slices.ContainsFunc(t.answers, func(a Answer) bool { return a.Voter == v && a.Yes && a.Phase >= p }) {
			n++
		}
	}
	return n
}

// Codes of the evidence in an eviction.
const (
	// EvidencePromised: last acknowledged node {0} {1} ago, promised.
	EvidencePromised = "PD2002"
	// EvidenceNever: has not acknowledged node {0} since it started, promised.
	EvidenceNever = "PD2003"
	// ReasonEvicted: node {0} was silent for everybody: {1} of {2} voters
	// promised.
	ReasonEvicted = "PD2004"
)

func (t *try) eviction(s *cluster.State, broken Broken) cluster.Command {
	name := s.NodeName(t.ask.Node)
	ev := cluster.Evict{Node: t.ask.Node, Generation: t.ask.Generation, Conf: t.ask.Conf}
	c := cluster.Command{Evict: &ev}
	for _, a := range t.answers {
		if !a.Yes || a.Phase != Do {
			continue
		}
		ev.Promises = append(ev.Promises, a.Voter)
		why := cluster.Because(EvidencePromised, name, a.Silent.Round(time.Millisecond))
		if a.Silent < 0 {
			why = cluster.Because(EvidenceNever, name)
		}
		c.Evidence = append(c.Evidence, cluster.Evidence{Node: a.Voter, Reason: why, Ago: max(a.Silent, 0)})
	}
	if broken.Minority {
		ev.Promises = slices.Clone(s.Voters)
	}
	slices.Sort(ev.Promises)
	c.Reason = cluster.Because(ReasonEvicted, name, len(ev.Promises), len(s.Voters))
	return c
}
