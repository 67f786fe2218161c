package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// drain moves a hierarchy away from a node that shall be empty, as soon as
// another one can take it. Until then it stays: a drain never costs service.
func (p *Planner) drain(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) {
	if s.Suspended(h) || h.Want != cluster.WantInService || h.Status == cluster.Stopping {
		return
	}
	owner := s.NodeName(h.Owner)
	all := Candidates(s, h, p.self, p.views)
	to := choose(h, all)
	if to == 0 || slices.ContainsFunc(all, func(c Candidate) bool { return c.Node == to && c.Rank == rankQuarantined }) {
		p.say(now, s, h, m, cluster.Because(message.DrainWaits, h.Name, owner), p.ruledOut(all, h.Owner))
		return
	}
	m.trouble.forget()
	p.propose(now, s, m,
		proposal{what: "drain", epoch: h.Epoch, node: to},
		cluster.Command{
			Reason:    cluster.Because(message.DrainMoves, h.Name, owner, s.NodeName(to)),
			Causes:    causes(s, h),
			Evidence:  p.ruledOut(all, to),
			StartMove: &cluster.StartMove{Hierarchy: h.Name, To: to},
		})
}
