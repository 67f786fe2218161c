package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// assign proposes to give the hierarchy to a node that was found eligible.
func (p *Planner) assign(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo, to cluster.NodeID, all []Candidate) {
	n := s.Node(to)
	p.propose(now, s, m,
		proposal{what: "assign", epoch: h.Epoch, node: to, gen: n.Generation},
		cluster.Command{
			Reason:   becauseAssigned(s, h, n.Name, to),
			Causes:   causes(s, h),
			Evidence: p.ruledOut(all, to),
			Assign:   &cluster.Assign{Hierarchy: h.Name, Node: to, Generation: n.Generation, Previous: h.Epoch},
		})
}

// becauseAssigned says what led to the assignment.
func becauseAssigned(s *cluster.State, h *cluster.Hierarchy, name string, to cluster.NodeID) cluster.Reason {
	from := s.NodeName(h.LastOwner)
	switch {
	case h.Move != nil && h.Move.To == to:
		if h.Move.From == 0 {
			return cluster.Because(message.AssignedByRequest, h.Name, name)
		}
		return cluster.Because(message.AssignedBySwitchover, h.Name, s.NodeName(h.Move.From), name)
	case h.LastOwner == 0:
		return cluster.Because(message.AssignedFirst, h.Name, name)
	case h.LastOwner == to && (h.Released == cluster.ReleasedEvicted || h.Released == cluster.ReleasedReboot):
		return cluster.Because(message.AssignedOnReturn, h.Name, name)
	case h.Released == cluster.ReleasedEvicted:
		return cluster.Because(message.AssignedAfterEviction, h.Name, from, name)
	case h.Released == cluster.ReleasedFenced:
		return cluster.Because(message.AssignedAfterFencing, h.Name, from, name)
	case h.Released == cluster.ReleasedReboot:
		return cluster.Because(message.AssignedAfterRestart, h.Name, from, name)
	case h.FailedOn(h.LastOwner):
		return cluster.Because(message.AssignedAfterFailure, h.Name, from, name)
	case h.Status == cluster.Failed:
		return cluster.Because(message.AssignedAgain, h.Name, name)
	}
	return cluster.Because(message.AssignedAfterStop, h.Name, from, name)
}

// causes are the entries that led to the present situation: what made the
// status, what asked for a move, why each marked node failed, and what was
// last said about the hierarchy.
func causes(s *cluster.State, h *cluster.Hierarchy) []uint64 {
	ids := []uint64{h.Since}
	if h.Move != nil {
		ids = append(ids, h.Move.Entry)
	}
	for i := range h.Failures {
		ids = append(ids, h.Failures[i].Entry)
	}
	if e := lastEntry(s, h.Name, ""); e != nil {
		ids = append(ids, e.ID)
	}
	slices.Sort(ids)
	ids = slices.Compact(ids)
	if ids[0] == 0 {
		ids = ids[1:]
	}
	return ids
}

// lastEntry is the latest line of the timeline about a hierarchy, of one kind
// or any (""); nil if there is none.
func lastEntry(s *cluster.State, name string, kind cluster.Kind) *cluster.Entry {
	for i := len(s.Timeline) - 1; i >= 0; i-- {
		e := &s.Timeline[i]
		if e.Hierarchy == name && (kind == "" || e.Kind == kind) {
			return e
		}
	}
	return nil
}
