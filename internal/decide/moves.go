package decide

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// watch looks after a hierarchy that has an owner. The owner does the work;
// here is only what nobody but the leader can see.
func (p *Planner) watch(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) {
	owner := s.Node(h.Owner)
	switch {
	case owner == nil || owner.Presence != cluster.Present:
		// Unmanaged: its services run on, on purpose, and nothing is touched.
		m.trouble.forget()
	case h.Move != nil:
		m.trouble.forget()
		p.watchMove(now, s, h, m)
	case owner.Drain:
		p.settle(now, s, h, m)
		p.drain(now, s, h, m)
	default:
		p.settle(now, s, h, m)
		p.switchback(now, s, h, m)
	}
}

// watchMove ends a switchover that has become pointless, as long as the owner
// hasn't begun to stop for it.
func (p *Planner) watchMove(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) {
	if h.Owner == h.Move.To || h.Status == cluster.Stopping {
		return
	}
	all := Candidates(s, h, p.self, p.views)
	if s.Suspended(h) || !eligible(all, h.Move.To) {
		p.cancelMove(now, s, h, m, all)
	}
}

func (p *Planner) cancelMove(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo, all []Candidate) {
	var evidence []cluster.Evidence
	for _, c := range all {
		if c.Node == h.Move.To && !c.Eligible {
			evidence = append(evidence, cluster.Evidence{Node: p.self, Reason: c.Reason})
		}
	}
	if len(evidence) == 0 {
		evidence = append(evidence, cluster.Evidence{Node: p.self, Reason: becauseSuspended(s, h)})
	}
	p.propose(now, s, m,
		proposal{what: "cancel move", epoch: h.Epoch, node: h.Move.To, entry: h.Move.Entry},
		cluster.Command{
			Reason:     cluster.Because(message.SwitchoverCancelled, h.Name, s.NodeName(h.Move.To), words(evidence[0].Reason)),
			Causes:     causes(s, h),
			Evidence:   evidence,
			CancelMove: &cluster.CancelMove{Hierarchy: h.Name},
		})
}

// settle forgets the rounds of failures once it was in service long enough.
func (p *Planner) settle(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) {
	if h.Rounds == 0 || !m.serving.set {
		return
	}
	until := m.serving.at + p.pace.Settled
	if now < until {
		p.wake(until)
		return
	}
	p.propose(now, s, m,
		proposal{what: "settled", epoch: h.Epoch},
		cluster.Command{
			Reason: cluster.Because(message.SettledAgain, h.Name, spell(p.pace.Settled)),
			Causes: causes(s, h),
			Retry:  &cluster.Retry{Hierarchy: h.Name, Previous: h.Epoch, Settled: true},
		})
}
