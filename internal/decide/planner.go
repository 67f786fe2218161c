package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// watchdogSlack is added to a node's watchdog time-out before it counts as
	// reset: for the reset itself and for writes that are under way.
	watchdogSlack = 5 * time.Second
	// The back-off after a hierarchy failed wherever it could run doubles with
	// every round from backoffFirst to backoffMax.
	backoffFirst = 5 * time.Second
	backoffMax   = 5 * time.Minute
)

// Readiness is what a node says of its fitness to take something over.
type Readiness uint8

const (
	ReadinessUnknown Readiness = iota
	Ready
	// NotReady: a standby check fails there. It is chosen last.
	NotReady
)

// View is what the leader observes of a node.
type View struct {
	Node cluster.NodeID
	// Reachable reports whether it was heard on any comm path recently.
	Reachable bool
	// Leaving: it is being stopped and takes nothing over.
	Leaving   bool
	Readiness Readiness
	// Answers reports whether its machine answers though it is silent, by ping
	// or on a port: something there is powered, and may not have stopped.
	Answers bool
}

// Planner chooses who brings what in service. It lives as long as the node
// leads.
type Planner struct {
	self cluster.NodeID

	born    time.Duration
	running bool // born is set
	state   *cluster.State
	applied uint64
	views   []View

	memos []*memo
	past  past
	pace  Pace
	next  time.Duration
	out   []cluster.Command
}

// NewPlanner makes the planner of a node that has just become leader.
func NewPlanner(self cluster.NodeID) *Planner { return NewPlannerAt(self, Pace{}) }

// NewPlannerAt makes one whose long waits are others.
func NewPlannerAt(self cluster.NodeID, pace Pace) *Planner {
	return &Planner{self: self, pace: pace.filled(), next: cluster.Never}
}

// Next is the Mono time at which Step wants to be called even if neither state
// nor views change.
func (p *Planner) Next() time.Duration { return p.next }

// Step says what should be proposed. It may be called as often as one likes: it
// proposes nothing twice while the first may be on its way.
func (p *Planner) Step(now cluster.Instant, s *cluster.State, views []View) []cluster.Command {
	if p.running && s == p.state && s.Applied == p.applied && now.Mono < p.next && slices.Equal(views, p.views) {
		return nil
	}
	if !p.running {
		p.running, p.born = true, now.Mono
	}
	p.state, p.applied = s, s.Applied
	p.views = append(p.views[:0], views...)
	p.next, p.out = cluster.Never, nil
	p.forgetDeleted(s)
	p.forgetPast(now.Mono, s)
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		p.plan(now.Mono, s, h, p.memoOf(h.Name))
	}
	return p.out
}

// plan is the one place that branches on the situation of a hierarchy.
func (p *Planner) plan(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) {
	p.observe(now, h, m)
	if h.FenceWait != 0 {
		// Whatever is wanted: a deletion waits for it as well.
		p.awaitFencing(now, s, h, m)
		return
	}
	m.fence.forget()
	switch {
	case h.Owner != 0:
		p.watch(now, s, h, m)
	case h.Want != cluster.WantInService:
		m.trouble.forget()
	default:
		p.place(now, s, h, m)
	}
}

// observe keeps the memo's clocks.
func (p *Planner) observe(now time.Duration, h *cluster.Hierarchy, m *memo) {
	if newest := newestMark(h); newest == 0 {
		m.marks.forget()
	} else {
		m.marks.seen(now, newest)
	}
	if h.Owner != 0 && h.Status.Serving() {
		m.serving.seen(now, uint64(h.Epoch))
	} else {
		m.serving.forget()
	}
}

func newestMark(h *cluster.Hierarchy) uint64 {
	var newest uint64
	for i := range h.Failures {
		newest = max(newest, h.Failures[i].Entry)
	}
	return newest
}

// place finds a node for a hierarchy that nobody owns.
func (p *Planner) place(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) {
	if ok, why := mayTake(s, h); !ok {
		p.say(now, s, h, m, why, nil)
		return
	}
	if p.waitsForMachine(now, s, h, m) {
		return
	}
	all := Candidates(s, h, p.self, p.views)
	if h.Move != nil && !eligible(all, h.Move.To) {
		// First the move must be over: whoever gets it while a move elsewhere
		// stands would stop it again.
		p.cancelMove(now, s, h, m, all)
		return
	}
	to := choose(h, all)
	if f := h.Failover; f != nil && to != 0 && to != f.From && h.Asks() {
		if !eligible(all, f.From) {
			p.ask(now, s, h, m, to)
			return
		}
		to = f.From // it is back, and needs nobody's word
	}
	switch {
	case to == 0 && onlyMarked(all):
		p.backOff(now, s, h, m, all)
	case to == 0:
		p.nobody(now, s, h, m, all)
	case p.waitsForPreferred(now, s, h, to):
	default:
		m.trouble.forget()
		p.assign(now, s, h, m, to, all)
	}
}

// mayTake is the one place that asks whether a takeover is permitted at all,
// whoever would do it.
func mayTake(s *cluster.State, h *cluster.Hierarchy) (ok bool, why cluster.Reason) {
	if s.Suspended(h) {
		return false, becauseSuspended(s, h)
	}
	return true, cluster.Reason{}
}

// waitsForMachine holds a takeover while the machine of the evicted owner still
// answers, if nothing but the guardian there guards the data: no epoch, no
// fencing. Its lease is over, its gate closed in the kernel; the guardian ends
// what it served a detection time after the lease, and with that the wait is
// over, whatever answers. A machine without power answers nothing, so a power
// loss isn't waited for.
func (p *Planner) waitsForMachine(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) bool {
	if h.Class != cluster.Unfenced || h.Released != cluster.ReleasedEvicted || !viewOf(p.views, h.LastOwner).Answers {
		m.machine.forget()
		return false
	}
	t := s.Timing()
	until := m.machine.seen(now, uint64(h.LastOwner), uint64(h.Epoch)) + t.StopAfter + t.Margin
	if now >= until {
		return false
	}
	p.wake(until)
	p.say(now, s, h, m, cluster.Because(message.WaitsForMachine, h.Name, s.NodeName(h.LastOwner), spell(t.StopAfter+t.Margin)), nil)
	return true
}

// waitsForPreferred gives the first node of the order a moment to be admitted
// when the whole cluster starts. It never delays a failover.
func (p *Planner) waitsForPreferred(now time.Duration, s *cluster.State, h *cluster.Hierarchy, to cluster.NodeID) bool {
	first := s.Node(h.Nodes[0])
	if to == h.Nodes[0] || first == nil || h.Move != nil || len(h.Failures) > 0 {
		return false
	}
	if h.Released == cluster.ReleasedEvicted || h.Released == cluster.ReleasedFenced {
		return false
	}
	switch first.Presence {
	case cluster.Joining, cluster.Left, cluster.Unmanaged:
		return false // it doesn't come by itself
	}
	if first.Maintenance || first.Drain || first.Presence == cluster.Present && (first.ID == p.self || viewOf(p.views, first.ID).Reachable) {
		return false // it is here, and something else speaks against it
	}
	until := p.born + s.Timing().Detection
	if now >= until {
		return false
	}
	p.wake(until)
	return true
}
