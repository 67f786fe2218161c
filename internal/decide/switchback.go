package decide

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// switchback returns to the first node, by policy, when that node is ready for
// it. What it waits for is said.
func (p *Planner) switchback(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) {
	if !h.Policy.Switchback || s.Unwatched(h, h.Owner) || len(h.Nodes) == 0 || h.Nodes[0] == h.Owner || !m.serving.set ||
		h.Want != cluster.WantInService {
		m.trouble.forget()
		return
	}
	first := judge(s, h, h.Nodes[0], p.self, p.views)
	if !first.Eligible {
		m.trouble.forget() // it isn't there: nothing to wait for
		return
	}
	until := m.serving.at + p.pace.Switchback
	if now < until {
		p.wake(until)
		return
	}
	if ready, why := p.targetReady(s, h, &first); !ready {
		p.say(now, s, h, m, cluster.Because(message.SwitchbackWaits, h.Name, s.NodeName(first.Node), words(why)), nil)
		return
	}
	m.trouble.forget()
	p.propose(now, s, m,
		proposal{what: "switchback", epoch: h.Epoch, node: first.Node},
		cluster.Command{
			Reason:    cluster.Because(message.SwitchbackStarts, h.Name, s.NodeName(h.Owner), s.NodeName(first.Node)),
			Causes:    causes(s, h),
			Evidence:  []cluster.Evidence{{Node: p.self, Reason: first.Reason}},
			StartMove: &cluster.StartMove{Hierarchy: h.Name, To: first.Node},
		})
}

// targetReady is the one place that says whether a hierarchy may return to a
// node by itself; a person's switchover isn't held up by it. A node that says it
// isn't ready or is in quarantine isn't, nor one that came back on the machine
// of the owner: the hypervisor restarted it there, and a move would gain
// nothing but one more interruption.
func (p *Planner) targetReady(s *cluster.State, h *cluster.Hierarchy, c *Candidate) (bool, cluster.Reason) {
	if c.Rank > rankReady {
		return false, c.Reason
	}
	if host, on := s.SameHost(c.Node, h.Owner); on {
		return false, cluster.Because(message.SameHost, s.NodeName(c.Node), s.NodeName(h.Owner), host)
	}
	return true, cluster.Reason{}
}
