package world

import (
	"fmt"
	"hash/maphash"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// checker looks at the world from above, where no node can look.
type checker struct {
	w      *World
	err    error
	hnames []string

	up     []int // machines on which a hierarchy runs as a whole
	double bool  // one of them runs on several

	seed    maphash.Seed
	hash    map[uint64]uint64 // of the state at an index
	seen    uint64            // the newest entry of the timeline that was looked at
	history history
}

func newChecker(w *World) checker {
	c := checker{w: w, seed: maphash.MakeSeed(), hash: make(map[uint64]uint64),
		up: make([]int, w.cfg.Hierarchies), history: newHistory()}
	for h := range w.cfg.Hierarchies {
		c.hnames = append(c.hnames, fmt.Sprintf("h%d", h+1))
	}
	return c
}

// fail records the first violation.
func (c *checker) fail(format string, args ...any) {
	if c.err == nil {
		c.err = fmt.Errorf("at %v: "+format, append([]any{c.w.now}, args...)...)
	}
}

// after runs after every step of the world.
func (c *checker) after() error {
	if c.double && c.err == nil {
		c.once()
	}
	return c.err
}

// count follows on how many machines a hierarchy runs. Only where it runs
// several times it can be in service several times.
func (c *checker) count(h int, before, now bool) {
	if before == now {
		return
	}
	if now {
		c.up[h]++
	} else {
		c.up[h]--
	}
	c.double = false
	for _, n := range c.up {
		c.double = c.double || n > 1
	}
}

// serves reports whether clients outside get answers from the node: the
// processes are there, the gate lets packets through by the kernel's clock, and
// the machine runs. A frozen process serves as well: the kernel goes on
// answering for it.
func (n *node) serves(h int) bool {
	return n.power && !n.halted && whole(n.kits.up[h].running) && n.gate.passes(h, n.local())
}

// once is invariant 1: in service on at most one node.
func (c *checker) once() {
	for h, name := range c.hnames {
		if c.up[h] < 2 {
			continue
		}
		var first *node
		for _, n := range c.w.nodes {
			if !n.serves(h) {
				continue
			}
			if first == nil {
				first = n
				continue
			}
			if c.w.now <= first.residue || c.w.now <= n.residue {
				continue // documented: docs/design/leases.md
			}
			c.fail("%s is in service on %s and %s", name, first.name, n.name)
		}
	}
}

// everyIndex is how far apart the states are that are compared between nodes: a
// difference stays, so that it is found at the next of them.
const everyIndex = 64

// applied checks that all nodes hold the same state at the same index, and that
// the timeline gives a reason for every decision (invariant 7).
func (c *checker) applied(n *node) {
	s := n.core.State()
	if s.Applied%everyIndex == 0 {
		c.same(n)
	}
	for i := len(s.Timeline) - 1; i >= 0 && s.Timeline[i].ID > c.seen; i-- {
		e := &s.Timeline[i]
		switch e.Kind {
		case cluster.KindAssigned, cluster.KindEvicted, cluster.KindStatus, cluster.KindRetry, cluster.KindMoveCancelled, cluster.KindUnmanaged,
			cluster.KindConfirmed, cluster.KindExtended, cluster.KindForgotten:
			if e.Reason.Code == "" {
				c.fail("%s: entry %d (%s) without a reason", n.name, e.ID, e.Kind)
			}
		}
		if e.Kind == cluster.KindEvicted {
			c.evicted(n, s, e)
		}
	}
	c.seen = max(c.seen, s.Applied)
}

func (c *checker) same(n *node) {
	s := n.core.State()
	sum := maphash.Bytes(c.seed, s.Encode())
	if old, ok := c.hash[s.Applied]; ok && old != sum {
		c.fail("%s has another state at index %d", n.name, s.Applied)
	}
	c.hash[s.Applied] = sum
}

// evicted is what invariant 1 stands on: when an eviction is committed, the
// lease of the evicted generation has ended by its holder's own clock.
func (c *checker) evicted(by *node, s *cluster.State, e *cluster.Entry) {
	i := c.w.index(e.Node)
	if i < 0 {
		return
	}
	n, of := c.w.nodes[i], s.Node(e.Node)
	if of.Presence != cluster.Evicted {
		return // it was admitted anew in the same step
	}
	g := of.Generation
	for _, ev := range e.Evidence {
		// A leader also tells what its safety check found; that promises nothing.
		if ev.Reason.Code == arbiter.EvidencePromised || ev.Reason.Code == arbiter.EvidenceNever {
			c.history.promise(ev.Node, e.Node, g)
		}
	}
	if n.halted || c.w.now <= n.residue || !n.power {
		return
	}
	until, held := n.lease()
	if held != g {
		return
	}
	if left := until - n.local().Boot; left > 0 {
		c.fail("%s applied the eviction of %s (generation %d), whose lease lives for another %v", by.name, n.name, g, left)
	}
	for h, name := range c.hnames {
		if n.gate.forever && n.gate.open[h] {
			c.fail("%s applied the eviction of %s (generation %d), whose gate is open for %s without an end", by.name, n.name, g, name)
		}
	}
}

// settled reports whether everything that can be in service is, on one node, as
// every node that runs agrees.
func (w *World) settled() bool {
	for h := range w.check.hnames {
		serving := 0
		for _, n := range w.nodes {
			if n.serves(h) {
				serving++
			}
		}
		if serving != 1 {
			return false
		}
	}
	for _, n := range w.nodes {
		if !n.power || n.core == nil || n.stopping != stopNot {
			return false
		}
		s := n.core.State()
		if len(s.Hierarchies) != len(w.check.hnames) || w.cfg.Policies && w.calm && len(w.undo(s)) > 0 {
			return false
		}
		for h := range s.Hierarchies {
			hh := &s.Hierarchies[h]
			i := w.index(hh.Owner)
			if !hh.Status.Serving() || i < 0 || !w.nodes[i].serves(h) || hh.Move != nil || !w.nodes[i].exactly(h, hh) {
				return false
			}
		}
		if n.role == cluster.RoleNode {
			if me := s.Node(n.id); me == nil || me.Presence != cluster.Present {
				return false
			}
		}
	}
	return true
}

// agree compares the states of all nodes that are at the same index.
func (w *World) agree() {
	for _, n := range w.nodes {
		if n.core != nil {
			w.check.same(n)
		}
	}
}

// picture says who runs what, for a person who reads a failed run.
func (w *World) picture() string {
	out := ""
	for _, n := range w.nodes {
		out += fmt.Sprintf("  %s (%v): power %v frozen %v stopping %d", n.name, n.id, n.power, n.frozen, n.stopping)
		if n.core != nil {
			s := n.core.State()
			left := time.Duration(0)
			if until, _ := n.lease(); until != 0 {
				left = until - n.local().Boot
			}
			out += fmt.Sprintf(" applied %d voters %v learners %v leader %v lease %v left", s.Applied, s.Voters, s.Learners, n.core.View(n.local()).Leader, left)
			if me := s.Node(n.id); me != nil {
				out += fmt.Sprintf(" %s g%d", me.Presence, me.Generation)
			}
			for i := range s.Hierarchies {
				h := &s.Hierarchies[i]
				out += fmt.Sprintf(" | %s owner %v epoch %d %s %s fails %d want %s here %v", h.Name, h.Owner, h.Epoch, h.Status, h.Reason.Code, len(h.Failures), h.Want, n.serves(i))
			}
		}
		if n.guardian != nil {
			for _, g := range n.guardian.m.State().Guarded {
				s := n.kits.get(g.Hierarchy)
				out += fmt.Sprintf(" | guarded %s epoch %d %s running %v frozen %v gate open %v", g.Hierarchy, g.Epoch, g.Phase, s.running, s.frozen, n.gate.passes(s.h, n.local()))
			}
		}
		out += "\n"
	}
	return out
}
