package world

import (
	"fmt"
	"hash/fnv"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// checker looks at the world from above, where no node can look.
type checker struct {
	w    *World
	err  error
	hash map[uint64]uint64 // of the state at an index
	// longest is the longest documented overlap seen after a halted clock.
	overlap  map[string]time.Duration
	Residue  time.Duration
	Failures int
	hnames   []string
	seen     uint64 // the newest entry that was looked at
	replies  map[uint64]core.Reply
}

func newChecker(w *World) checker {
	c := checker{w: w, hash: make(map[uint64]uint64), overlap: make(map[string]time.Duration), replies: make(map[uint64]core.Reply)}
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
	if c.err == nil {
		c.once()
	}
	return c.err
}

// serves reports whether clients outside get answers from the node: the
// processes run, the gate is open by the kernel's clock, and the machine runs.
// A frozen userland serves as well: the kernel goes on answering.
func (n *node) serves(h string) bool {
	return n.power && !n.halted && n.kits.serving(h) && n.guard.open(n.local())
}

// once is invariant 1: in service on at most one node.
func (c *checker) once() {
	for _, h := range c.hnames {
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
				continue // documented: docs/design/freeze.md
			}
			c.fail("%s is in service on %s and %s", h, first.name, n.name)
		}
	}
}

// applied checks that all nodes hold the same state at the same index, and that
// the timeline gives a reason for every decision (invariant 7).
func (c *checker) applied(n *node) {
	s := n.core.State()
	if s.Applied%16 == 0 {
		h := fnv.New64a()
		h.Write(s.Encode())
		sum := h.Sum64()
		if old, ok := c.hash[s.Applied]; ok && old != sum {
			c.fail("%s has another state at index %d", n.name, s.Applied)
		}
		c.hash[s.Applied] = sum
	}
	for i := len(s.Timeline) - 1; i >= 0 && s.Timeline[i].ID > c.seen; i-- {
		e := &s.Timeline[i]
		switch e.Kind {
		case cluster.KindAssigned, cluster.KindEvicted, cluster.KindStatus, cluster.KindRetry, cluster.KindMoveCancelled:
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

// evicted is what invariant 1 stands on: when an eviction is committed, the
// lease of the evicted generation has ended by its holder's own clock.
func (c *checker) evicted(by *node, s *cluster.State, e *cluster.Entry) {
	i := c.w.index(e.Node)
	if i < 0 {
		return
	}
	n := c.w.nodes[i]
	if n.halted || c.w.now <= n.residue || !n.power || n.guard.generation == 0 {
		return
	}
	if left := n.guard.until - n.local().Boot; left > 0 && s.Node(e.Node).Generation == n.guard.generation {
		c.fail("%s applied the eviction of %s (generation %d), whose lease lives for another %v", by.name, n.name, n.guard.generation, left)
	}
}

func (c *checker) replied(_ *node, r *core.Reply) { c.replies[r.ID] = *r }

// settled reports whether everything that can be in service is, on one node, as
// every node that runs agrees.
func (w *World) settled() bool {
	for _, h := range w.check.hnames {
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
		if !n.power || n.core == nil {
			return false
		}
		s := n.core.State()
		for i := range s.Hierarchies {
			hh := &s.Hierarchies[i]
			if !hh.Status.Serving() || hh.Owner == 0 || !w.nodes[w.index(hh.Owner)].serves(hh.Name) || hh.Move != nil {
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

// picture says who runs what, for a person who reads a failed run.
func (w *World) picture() string {
	out := ""
	for _, n := range w.nodes {
		out += fmt.Sprintf("  %s: power %v frozen %v", n.name, n.power, n.frozen)
		if n.core != nil {
			s := n.core.State()
			out += fmt.Sprintf(" applied %d lease %v left", s.Applied, n.guard.gate-n.local().Boot)
			if me := s.Node(n.id); me != nil {
				out += fmt.Sprintf(" %s g%d", me.Presence, me.Generation)
			}
			for i := range s.Hierarchies {
				h := &s.Hierarchies[i]
				out += fmt.Sprintf(" | %s owner %v epoch %d %s %s fails %d here %v", h.Name, h.Owner, h.Epoch, h.Status, h.Reason.Code, len(h.Failures), n.serves(h.Name))
			}
		}
		out += "\n"
	}
	return out
}
