package arbiter

import (
	"cmp"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Stamp is a node's sign of life in the object of a passive voter, and its
// request to be acknowledged there. It is written together with the check that
// nothing was promised against it, so that the write is the acknowledgement.
type Stamp struct {
	Node       cluster.NodeID     `json:"node"`
	Generation cluster.Generation `json:"generation"`
	Conf       uint64             `json:"conf"`
	// Life and Sent make a stamp different from every other of its node. Sent is
	// the node's BOOTTIME from which the lease counts: before the object was
	// read.
	Life uint64        `json:"life"`
	Sent time.Duration `json:"sent"`
	// Term is raft's, and Leads whether the node leads in it: who sees such a
	// stamp move has word of the leader.
	Term  uint64 `json:"term,omitempty"`
	Leads bool   `json:"leads,omitempty"`
}

// Passive is the voting half of the arbiter at a passive voter: what a
// [Voter] is on a node, without a clock. Whoever steps the passive voter brings
// the time with it, as a [Watch].
type Passive struct {
	Stamps   []Stamp   `json:"stamps,omitempty"`
	Promises []Promise `json:"promises,omitempty"`
}

// Stamp is the last one of the node; zero if it has none.
func (p *Passive) Stamp(id cluster.NodeID) Stamp {
	for i := range p.Stamps {
		if p.Stamps[i].Node == id {
			return p.Stamps[i]
		}
	}
	return Stamp{Node: id}
}

// Applied forgets what the state has moved past.
func (p *Passive) Applied(s *cluster.State) {
	p.Stamps = slices.DeleteFunc(p.Stamps, func(st Stamp) bool { return s.Node(st.Node) == nil })
	p.Promises = slices.DeleteFunc(p.Promises, func(pr Promise) bool {
		n := s.Node(pr.Node)
		return n == nil || n.Generation > pr.Generation
	})
}

func (p *Passive) promised(id cluster.NodeID, g cluster.Generation) bool {
	return slices.Contains(p.Promises, Promise{Node: id, Generation: g})
}

// Acknowledge takes a stamp for the passive voter with the given id, whose
// state is s. The answer counts once the object is saved. A refused stamp isn't
// recorded, so that a node that can't get a lease from this voter can be
// evicted though it goes on stamping.
func (p *Passive) Acknowledge(voter cluster.NodeID, s *cluster.State, st Stamp, broken Broken) Ack {
	a := Ack{Voter: voter, Generation: st.Generation, Conf: s.Conf, Granted: s.Detection, Sent: st.Sent}
	n := s.Node(st.Node)
	last := p.Stamp(st.Node)
	switch {
	case !s.IsVoter(voter):
		a.Refusal = RefusedNoVote
	case p.promised(st.Node, st.Generation) && !broken.AckAfter:
		a.Refusal = RefusedPromised
	case n == nil || n.Generation != st.Generation || n.Presence != cluster.Present && n.Presence != cluster.Unmanaged:
		a.Refusal = RefusedGeneration
	case st.Conf != s.Conf:
		// Its holder couldn't count it.
		a.Refusal = RefusedConf
	case last.Generation == st.Generation && last.Sent > st.Sent:
		// Its clock went back: the machine was put back in time.
		a.Refusal = RefusedGeneration
	}
	if a.Refusal != Granted {
		a.Granted = 0
		return a
	}
	p.Stamps = slices.DeleteFunc(p.Stamps, func(o Stamp) bool { return o.Node == st.Node })
	p.Stamps = append(p.Stamps, st)
	slices.SortFunc(p.Stamps, func(a, b Stamp) int { return cmp.Compare(a.Node, b.Node) })
	return a
}

// Promise records the promise that was asked for, if the stamp of the node is
// still the one that the asker has seen unchanged for long enough
// ([Watch.Ripe]). The object's conditional save makes looking and promising one
// act. It counts once the object is saved.
func (p *Passive) Promise(voter cluster.NodeID, s *cluster.State, ask Ask, seen Stamp) bool {
	n := s.Node(ask.Node)
	if !s.IsVoter(voter) || s.Conf != ask.Conf || n == nil || n.Generation != ask.Generation || n.Presence != cluster.Present {
		return false
	}
	if p.promised(ask.Node, ask.Generation) {
		return true
	}
	if p.Stamp(ask.Node) != seen {
		return false
	}
	p.Promises = append(p.Promises, Promise{Node: ask.Node, Generation: ask.Generation})
	return true
}
