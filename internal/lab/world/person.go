package world

import (
	"fmt"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// What a person does: stops and starts, asks for what is wanted, replaces a
// node whose disk is lost.

func (m stopMode) String() string {
	return [...]string{"not", "services move", "services stop", "services run on", "services wait for it"}[m]
}

// ask gives a command to some node, as a person would. It may get lost with it.
func (w *World) ask(c cluster.Command) {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	c.ID, c.By = w.rand.Uint64()|1, "person"
	if c.Reason.Code == "" {
		c.Reason = cluster.Because("PD9901")
	}
	n.deliver(core.Propose{Command: c})
}

// newest is the state of the node that has applied most; nil if none runs.
func (w *World) newest() *cluster.State {
	var s *cluster.State
	for _, n := range w.nodes {
		if n.core != nil && (s == nil || n.core.State().Applied > s.Applied) {
			s = n.core.State()
		}
	}
	return s
}

// startAgain sees to it that the machine and perdure run on it; off: the
// machine was switched off meanwhile, if perdure's stop was over.
func (n *node) startAgain(off bool) {
	if n.id == 0 {
		return // it joins by and by
	}
	if !n.power {
		n.w.tell("%s: power on", n.name)
		n.powerOn()
		return
	}
	if n.stands() {
		return // its end comes
	}
	if off && n.core == nil && n.stopping != stopNot {
		n.powerOff()
		n.powerOn()
		return
	}
	switch {
	case n.guardian != nil && n.guardian.ending:
		n.act(50*time.Millisecond, func() { n.startAgain(false) })
	case n.core == nil && n.guardian == nil:
		n.w.tell("%s: perdure started", n.name)
		n.startUnit()
	case n.core != nil && n.stopping != stopNot:
		n.w.tell("%s: stop given up, daemon killed", n.name)
		n.stopping = stopNot
		n.killDaemon()
	}
	n.w.want()
}

// want asks again for what clean stops have taken out of service, until it is
// wanted.
func (w *World) want() {
	if w.wanting {
		return
	}
	w.wanting = true
	w.after(w.cfg.Detection/2+w.chance(w.cfg.Detection/2), func() {
		w.wanting = false
		s := w.newest()
		if s == nil || w.calm {
			w.want() // a stop that was asked for earlier may be applied yet
		}
		for i := 0; s != nil && i < len(s.Hierarchies); i++ {
			h := &s.Hierarchies[i]
			if h.Want == cluster.WantInService {
				continue
			}
			w.want()
			w.ask(cluster.Command{SetWant: &cluster.SetWant{Hierarchy: h.Name, Want: cluster.WantInService}})
		}
	})
}

// loseDisk takes a voter's disk away for good, as long as a majority of the
// others has what it knew.
func (w *World) loseDisk() {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	s := w.newest()
	if s == nil || len(s.Voters) < 3 || n.id == 0 {
		return
	}
	w.tell("%s: power lost, and the disk with it", n.name)
	n.thaw()
	n.powerOff()
	old := n.id
	n.id, n.disk = 0, disk{latency: time.Millisecond}
	w.after(w.chance(3*w.cfg.Detection), func() { w.replace(n, old) })
}

// replace has the node join again under a new id, after the old one was
// removed.
func (w *World) replace(n *node, old cluster.NodeID) {
	again := func() {
		w.after(w.cfg.Detection/4+w.chance(w.cfg.Detection/4), func() { w.replace(n, old) })
	}
	s := w.newest()
	if s == nil {
		again()
		return
	}
	if was := s.Node(old); was != nil {
		if was.Presence == cluster.Unmanaged {
			w.ask(cluster.Command{Fenced: &cluster.Fenced{Node: old, Generation: was.Generation, How: "person"}})
		}
		w.ask(cluster.Command{Member: &cluster.Member{Node: old, As: cluster.AsNothing}})
		again()
		return
	}
	me := s.NodeByName(n.name)
	if me == nil {
		hash := fmt.Sprintf("token-%s", n.name)
		w.ask(cluster.Command{AddToken: &cluster.AddToken{NowUnix: 1, Token: cluster.Token{Hash: hash, ExpiresUnix: 2}}})
		w.ask(cluster.Command{AddNode: &cluster.AddNode{Name: n.name, Role: n.role, TokenHash: hash, NowUnix: 1}})
		again()
		return
	}
	if n.id == 0 {
		n.id = me.ID
		w.tell("%s: joins as %v", n.name, n.id)
		n.powerOn()
	}
	missing := false
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if n.role == cluster.RoleNode && !slices.Contains(h.Nodes, n.id) {
			missing = true
			w.ask(cluster.Command{SetHierarchy: &cluster.SetHierarchy{Name: h.Name, Nodes: append(slices.Clone(h.Nodes), n.id)}})
		}
	}
	if missing {
		again()
	}
}
