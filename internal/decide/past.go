package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Pace is the planner's long waits. The zero value is the default; simulations
// make them short, so that what is rare happens often.
type Pace struct {
	// Settled is how long a hierarchy must be in service for its rounds of
	// failures to be forgotten; 0: 10 min.
	Settled time.Duration
	// Switchback is how long it must be in service elsewhere before it returns
	// by itself, so that two nodes don't throw it to and fro; 0: 1 min.
	Switchback time.Duration
	// Hour is how long moves and falls count; 0: 1 h.
	Hour time.Duration
	// Quarantine is how long a node must be present and heard for its quarantine
	// to end by itself; 0: 10 min.
	Quarantine time.Duration
	// Extension is how long a node may take to look whether a hierarchy could be
	// extended to it; 0: 2 min.
	Extension time.Duration
}

func (c Pace) filled() Pace {
	pick := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	pick(&c.Settled, 10*time.Minute)
	pick(&c.Switchback, time.Minute)
	pick(&c.Hour, time.Hour)
	pick(&c.Quarantine, 10*time.Minute)
	pick(&c.Extension, 2*time.Minute)
	return c
}

// past is what the planner knows of the age of entries that count for a while.
// A new leader counts from its own start, which only makes waits longer.
type past struct {
	seen  []pastEntry
	nodes []quietNode
	// again is when what was proposed and isn't seen is proposed again.
	again time.Duration
}

type pastEntry struct {
	entry uint64
	at    time.Duration
}

// quietNode is a node in quarantine that behaves.
type quietNode struct {
	node  cluster.NodeID
	since since
}

// age says since when an entry is known.
func (t *past) age(now time.Duration, entry uint64) time.Duration {
	for i := range t.seen {
		if t.seen[i].entry == entry {
			return t.seen[i].at
		}
	}
	t.seen = append(t.seen, pastEntry{entry, now})
	return now
}

func (t *past) quiet(id cluster.NodeID) *since {
	for i := range t.nodes {
		if t.nodes[i].node == id {
			return &t.nodes[i].since
		}
	}
	t.nodes = append(t.nodes, quietNode{node: id})
	return &t.nodes[len(t.nodes)-1].since
}

// forgetPast has the cluster forget what doesn't count any more: falls and moves
// of an hour ago, and the quarantine of a node that behaved since.
func (p *Planner) forgetPast(now time.Duration, s *cluster.State) {
	var living []uint64
	var commands []cluster.Command
	over := func(entries []uint64) (old []uint64) {
		for _, e := range entries {
			living = append(living, e)
			if until := p.past.age(now, e) + p.pace.Hour; now < until {
				p.wake(until)
			} else {
				old = append(old, e)
			}
		}
		return old
	}
	for i := range s.Nodes {
		n := &s.Nodes[i]
		f := cluster.Forget{Node: n.ID, Entries: over(n.Falls)}
		why := cluster.Because(message.FallsForgotten, n.Name, spell(p.pace.Hour))
		quiet := p.past.quiet(n.ID)
		if n.Quarantine == 0 || n.Presence != cluster.Present || n.ID != p.self && !viewOf(p.views, n.ID).Reachable {
			quiet.forget()
		} else if until := quiet.seen(now, uint64(n.Generation)) + p.pace.Quarantine; now < until {
			p.wake(until)
		} else {
			f.Release = n.Quarantine
			why = cluster.Because(message.QuarantineOver, n.Name, spell(p.pace.Quarantine))
		}
		if len(f.Entries) > 0 || f.Release != 0 {
			cause := f.Release
			if cause == 0 {
				cause = f.Entries[0]
			}
			commands = append(commands, cluster.Command{Reason: why, Causes: []uint64{cause}, Forget: &f})
		}
	}
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if old := over(h.Moves); len(old) > 0 {
			commands = append(commands, cluster.Command{Reason: cluster.Because(message.MovesForgotten, h.Name, spell(p.pace.Hour)),
				Causes: causes(s, h), Forget: &cluster.Forget{Hierarchy: h.Name, Entries: old}})
		}
		p.overdue(now, s, h, &living, &commands)
	}
	p.past.seen = slices.DeleteFunc(p.past.seen, func(e pastEntry) bool { return !slices.Contains(living, e.entry) })
	if len(commands) == 0 {
		return
	}
	if now >= p.past.again {
		p.past.again = now + s.Timing().LeaderSilence
		p.out = append(p.out, commands...)
	}
	p.wake(p.past.again)
}

// overdue gives extensions up whose node doesn't answer.
func (p *Planner) overdue(now time.Duration, s *cluster.State, h *cluster.Hierarchy, living *[]uint64, commands *[]cluster.Command) {
	for _, e := range h.Extending {
		*living = append(*living, e.Entry)
		until := p.past.age(now, e.Entry) + p.pace.Extension
		if now < until {
			p.wake(until)
			continue
		}
		*commands = append(*commands, cluster.Command{
			Reason: cluster.Because(message.ExtendUnanswered, h.Name, s.NodeName(e.Node), spell(p.pace.Extension)),
			Causes: []uint64{e.Entry}, Extended: &cluster.Extended{Hierarchy: h.Name, Node: e.Node, Entry: e.Entry}})
	}
}
