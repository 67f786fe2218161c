package decide

import (
	"slices"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Candidate is what speaks for or against a node.
type Candidate struct {
	Node     cluster.NodeID
	Eligible bool
	// Marked reports whether its failure mark is all that speaks against it.
	Marked bool
	// Denied reports whether a policy is all that speaks against it.
	Denied bool
	// Reason says why it is eligible or not.
	Reason cluster.Reason
	// Rank orders eligible ones before the order of the hierarchy does: 0, then
	// those that say they are not ready, then those in quarantine.
	Rank int
}

// The ranks of candidates.
const (
	rankReady = iota
	rankUnready
	rankQuarantined
)

// Candidates judges the nodes of a hierarchy in their order, as seen by node
// self. It is what status and why show, and what the planner decides by.
func Candidates(s *cluster.State, h *cluster.Hierarchy, self cluster.NodeID, views []View) []Candidate {
	all := make([]Candidate, 0, len(h.Nodes))
	for _, id := range h.Nodes {
		all = append(all, judge(s, h, id, self, views))
	}
	return all
}

func viewOf(views []View, id cluster.NodeID) View {
	if i := slices.IndexFunc(views, func(v View) bool { return v.Node == id }); i >= 0 {
		return views[i]
	}
	return View{Node: id}
}

func judge(s *cluster.State, h *cluster.Hierarchy, id, self cluster.NodeID, views []View) Candidate {
	c, v := Candidate{Node: id}, viewOf(views, id)
	against := func(code string, args ...any) Candidate {
		c.Reason = cluster.Because(code, args...)
		return c
	}
	n := s.Node(id)
	if n == nil {
		return against(message.NodeGone, id)
	}
	if n.Role != cluster.RoleNode {
		return against(message.NodeIsWitness, n.Name)
	}
	switch n.Presence {
	case cluster.Present:
	case cluster.Joining:
		return against(message.NodeIsJoining, n.Name)
	case cluster.Left:
		return against(message.NodeHasLeft, n.Name)
	case cluster.Unmanaged:
		return against(message.NodeIsUnmanaged, n.Name)
	default:
		return against(message.NodeIsEvicted, n.Name)
	}
	if n.Maintenance {
		return against(message.NodeInMaintenance, n.Name)
	}
	if n.Drain {
		return against(message.NodeIsDrained, n.Name)
	}
	if v.Leaving {
		return against(message.ReasonLeaving, n.Name)
	}
	if id != self && !v.Reachable {
		return against(message.NodeNotHeard, n.Name)
	}
	if why := denied(s, h, id, self, views); why.Code != "" {
		c.Reason, c.Denied = why, true
		return c
	}
	for i := range h.Failures {
		if h.Failures[i].Node == id {
			c.Marked = true
			return against(message.NodeMarkedFailed, n.Name, words(h.Failures[i].Reason))
		}
	}
	if r := withoutData(s, h, n); r.Code != "" {
		c.Reason = r
		return c
	}
	c.Eligible = true
	if n.Quarantine != 0 {
		c.Rank = rankQuarantined
		return against(message.NodeQuarantined, n.Name)
	}
	if v.Readiness == NotReady {
		c.Rank = rankUnready
		return against(message.NodeNotReady, n.Name)
	}
	return against(message.NodeEligible, n.Name)
}

// withoutData says why the node can't have a hierarchy that uses replicated
// volumes: its copy of one lacks acknowledged writes, or may. The zero reason
// means that it has everything.
func withoutData(s *cluster.State, h *cluster.Hierarchy, n *cluster.Node) cluster.Reason {
	for i := range h.Resources {
		for _, claim := range h.Resources[i].Claims {
			name, ofVolume := strings.CutPrefix(claim, cluster.VolumeClaim(""))
			if !ofVolume {
				continue
			}
			v := s.Volume(name)
			switch {
			case v == nil:
				return cluster.Because(message.RefusedNoVolume, name)
			case v.Unverified:
				return cluster.Because(message.RefusedUnverified, name)
			case v.CopyOn(n.ID) == nil:
				return cluster.Because(message.RefusedNoCopy, name, n.Name)
			}
			c := v.CopyOn(n.ID)
			switch {
			case s.CopyServes(v, n.ID) == cluster.ServesAll:
			case c.Suspect:
				return cluster.Because(message.RefusedSuspect, name, n.Name)
			default:
				return cluster.Because(message.RefusedNotInSync, name, n.Name, c.Standing)
			}
		}
	}
	return cluster.Reason{}
}

func eligible(all []Candidate, id cluster.NodeID) bool {
	return slices.ContainsFunc(all, func(c Candidate) bool { return c.Node == id && c.Eligible })
}

func onlyMarked(all []Candidate) bool {
	return slices.ContainsFunc(all, func(c Candidate) bool { return c.Marked })
}

// choose prefers the target of a switchover, then the rank, then the hierarchy's
// order.
func choose(h *cluster.Hierarchy, all []Candidate) cluster.NodeID {
	if h.Move != nil && eligible(all, h.Move.To) {
		return h.Move.To
	}
	best := Candidate{Rank: rankQuarantined + 1}
	for _, c := range all {
		if c.Eligible && c.Rank < best.Rank {
			best = c
		}
	}
	return best.Node
}

// ruledOut is the evidence: what spoke against each node that was not chosen.
func (p *Planner) ruledOut(all []Candidate, chosen cluster.NodeID) []cluster.Evidence {
	var out []cluster.Evidence
	for _, c := range all {
		if c.Node != chosen && (!c.Eligible || c.Rank > rankReady) {
			out = append(out, cluster.Evidence{Node: p.self, Reason: c.Reason})
		}
	}
	return out
}

// words is a reason as an argument of another one. Arguments are text already,
// so they stay English in every language.
func words(r cluster.Reason) string {
	return message.Reason{Code: r.Code, Args: r.Args}.Text(message.English)
}
