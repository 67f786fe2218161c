package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// awaitFencing waits until the evicted owner can't write to shared data any
// more. Confirmed fencing comes from elsewhere as a Fenced command; only the
// watchdog is a matter of time.
func (p *Planner) awaitFencing(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo) {
	name := s.NodeName(h.FenceWait)
	if h.Class != cluster.WatchdogOnly {
		p.say(now, s, h, m, cluster.Because(message.WaitsForFencing, h.Name, name), nil)
		return
	}
	n := s.Node(h.FenceWait)
	if n == nil || n.WatchdogSeconds <= 0 {
		p.say(now, s, h, m, cluster.Because(message.WaitsWithoutWatchdog, h.Name, name), nil)
		return
	}
	wait := WatchdogWait(n.WatchdogSeconds)
	until := m.fence.seen(now, uint64(h.FenceWait), uint64(h.FenceWaitGen)) + wait
	if now < until {
		p.wake(until)
		p.say(now, s, h, m, cluster.Because(message.WaitsForWatchdog, h.Name, name, spell(wait)), nil)
		return
	}
	for i := range p.out {
		if f := p.out[i].Fenced; f != nil && f.Node == h.FenceWait && f.Generation == h.FenceWaitGen {
			return // one command is for all that wait for this node
		}
	}
	p.propose(now, s, m,
		proposal{what: "fenced", node: h.FenceWait, gen: h.FenceWaitGen},
		cluster.Command{
			Reason: cluster.Because(message.FencedByWatchdog, name, spell(wait)),
			Causes: causes(s, h),
			Fenced: &cluster.Fenced{Node: h.FenceWait, Generation: h.FenceWaitGen, How: "watchdog"},
		})
}

// WatchdogWait is how long after its eviction a node with a watchdog of so many
// seconds counts as reset. It may have fed the watchdog at the very end of its
// lease, by a clock that is slower than ours.
func WatchdogWait(seconds int) time.Duration {
	d := time.Duration(seconds) * time.Second
	return d + cluster.MarginFor(d) + watchdogSlack
}

// backOff waits before a hierarchy is tried again on nodes where it failed. It
// counts from the newest failure, so that a node whose failure is long past
// takes over at once when the others are gone.
func (p *Planner) backOff(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo, all []Candidate) {
	wait := Backoff(h.Rounds)
	until := m.marks.at + wait
	if now < until {
		p.wake(until)
		p.say(now, s, h, m, cluster.Because(message.WaitsAfterFailures, h.Name, spell(wait)), p.ruledOut(all, 0))
		return
	}
	p.propose(now, s, m,
		proposal{what: "retry", epoch: h.Epoch},
		cluster.Command{
			Reason:   cluster.Because(message.TriedAgain, h.Name, spell(wait), h.Rounds+1),
			Causes:   causes(s, h),
			Evidence: p.ruledOut(all, 0),
			Retry:    &cluster.Retry{Hierarchy: h.Name, Previous: h.Epoch},
		})
}

// Backoff is the wait after the failures of a round, counted from 0.
func Backoff(rounds int) time.Duration {
	wait := backoffFirst
	for range rounds {
		if wait *= 2; wait >= backoffMax {
			return backoffMax
		}
	}
	return wait
}

func (p *Planner) nobody(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo, all []Candidate) {
	why := cluster.Because(message.NobodyEligible, h.Name)
	if i := slices.IndexFunc(all, func(c Candidate) bool { return c.Denied }); i >= 0 {
		why = all[i].Reason // a policy holds it, and says what lifts it
	}
	p.say(now, s, h, m, why, p.ruledOut(all, 0))
}

// say puts into the timeline why nothing is done, once for each change and not
// for what is over within a moment. The timeline itself is asked as well,
// because the leader before this one may have said it.
func (p *Planner) say(now time.Duration, s *cluster.State, h *cluster.Hierarchy, m *memo, why cluster.Reason, evidence []cluster.Evidence) {
	if !m.trouble.set || !sameReason(m.reason, why) || !sameEvidence(m.evidence, evidence) {
		m.trouble.forget()
		m.reason, m.evidence, m.noted = why, evidence, false
	}
	due := m.trouble.seen(now) + s.Timing().LeaderSilence
	if m.noted {
		return
	}
	if now < due {
		p.wake(due)
		return
	}
	m.noted = true
	if e := lastEntry(s, h.Name, ""); e != nil && e.Kind == cluster.KindStatus &&
		sameReason(e.Reason, why) && sameEvidence(e.Evidence, evidence) {
		return
	}
	p.out = append(p.out, cluster.Command{
		Reason: why, Causes: causes(s, h), Evidence: evidence,
		Note: &cluster.Note{Kind: cluster.KindStatus, Hierarchy: h.Name},
	})
}

func sameReason(a, b cluster.Reason) bool {
	return a.Code == b.Code && slices.Equal(a.Args, b.Args)
}

func sameEvidence(a, b []cluster.Evidence) bool {
	return slices.EqualFunc(a, b, func(a, b cluster.Evidence) bool { return sameReason(a.Reason, b.Reason) })
}

// becauseSuspended says whose maintenance suspends the hierarchy.
func becauseSuspended(s *cluster.State, h *cluster.Hierarchy) cluster.Reason {
	if s.Maintenance {
		return cluster.Because(message.HeldByClusterMaintenance, h.Name)
	}
	return cluster.Because(message.HeldByMaintenance, h.Name)
}

// spell is a duration as people read it.
func spell(d time.Duration) string { return message.Duration(d) }
