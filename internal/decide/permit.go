package decide

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// denied says which policy speaks against a failover to the node; no code: none
// does.
func denied(s *cluster.State, h *cluster.Hierarchy, id, self cluster.NodeID, views []View) cluster.Reason {
	f := h.Failover
	if h.Owner != 0 || f == nil || id == f.From || h.Move != nil && h.Move.To == id {
		return cluster.Reason{}
	}
	name, from := s.NodeName(id), s.NodeName(f.From)
	switch s.Denies(h, f, id) {
	case cluster.DeniedByTargets:
		return cluster.Because(message.NotATarget, name, h.Name)
	case cluster.DeniedByPerson:
		return cluster.Because(message.FailoverRefused, h.Name, from)
	case cluster.DeniedKept:
		return cluster.Because(message.FailoverKept, h.Name, from)
	case cluster.DeniedByHierarchy:
		return cluster.Because(message.FailoverBlocked, h.Name, from)
	case cluster.DeniedByNode:
		return cluster.Because(message.FailoverBlockedFrom, h.Name, from)
	case cluster.DeniedByResource:
		return cluster.Because(message.FailoverBlockedFor, h.Name, from, f.Resource)
	}
	if n := h.Policy.MovesMax(); n >= 0 && len(h.Moves) >= n && !f.Lost && f.Answer == "" && canHaveItBack(s, h, f.From, self, views) {
		return cluster.Because(message.MovesUsedUp, h.Name, len(h.Moves), from)
	}
	return cluster.Reason{}
}

// canHaveItBack reports whether the node on which it failed lives, so that it
// can be tried there again: a limit never leaves a hierarchy without a node.
func canHaveItBack(s *cluster.State, h *cluster.Hierarchy, id, self cluster.NodeID, views []View) bool {
	n, v := s.Node(id), viewOf(views, id)
	return n != nil && n.Takes() && !v.Leaving && (id == self || v.Reachable)
}

// ask waits for a person's word on a failover to the node, and takes the default
// when the time is over.
func (p *Planner) ask(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo, to cluster.NodeID) {
	f := h.Failover
	seconds := h.Policy.ConfirmSeconds
	if seconds <= 0 {
		seconds = cluster.ConfirmSecondsDefault
	}
	answer := cluster.AnswerProceed
	if h.Policy.ConfirmDefault == string(cluster.AnswerBlock) {
		answer = cluster.AnswerBlock
	}
	wait := time.Duration(seconds) * time.Second
	until := m.question.seen(now, f.Entry) + wait
	if now < until {
		p.wake(until)
		p.say(now, s, h, m, cluster.Because(message.WaitsForPerson, h.Name, s.NodeName(f.From), s.NodeName(to), spell(wait), answer), nil)
		return
	}
	p.propose(now, s, m,
		proposal{what: "confirm", epoch: h.Epoch, entry: f.Entry},
		cluster.Command{
			Reason:  cluster.Because(message.NobodyAnswered, h.Name, spell(wait), answer),
			Causes:  causes(s, h),
			Confirm: &cluster.Confirm{Hierarchy: h.Name, Entry: f.Entry, Answer: answer},
		})
}
