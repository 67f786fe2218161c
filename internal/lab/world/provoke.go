package world

import (
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// changeMember takes a vote away. The leader gives votes again by itself, so
// configurations follow each other.
func (w *World) changeMember(m *node) {
	w.tell("%s becomes a learner", m.name)
	for range 3 { // some may not lead anywhere
		w.ask(cluster.Command{Member: &cluster.Member{Node: m.id, As: cluster.AsLearner}})
	}
}

func (w *World) changeDetection() {
	d := []time.Duration{cluster.DetectionFast, cluster.DetectionBalanced, w.cfg.Detection, 2 * w.cfg.Detection}[w.rand.IntN(4)]
	w.tell("detection time becomes %v", d)
	w.ask(cluster.Command{SetDetection: &cluster.SetDetection{Detection: d}})
}

// rare is how many kinds of faults the configuration adds.
func (c *Config) rare() int {
	n := 0
	if c.Changes {
		n += 8
	}
	if c.Provoke {
		n += 3
	}
	return n
}

func (w *World) rareFault(kind int, m *node) {
	if !w.cfg.Changes {
		kind += 8
	}
	switch kind {
	case 0, 1, 2, 3, 4:
		w.changeMember(m)
	case 5, 6, 7:
		w.changeDetection()
	case 8:
		w.restartOthers()
	default:
		w.turnOver()
	}
}

// owner is a machine on which something is in service; nil if none is.
func (w *World) owner() *node {
	for h := range w.check.hnames {
		for _, n := range w.nodes {
			if n.serves(h) {
				return n
			}
		}
	}
	return nil
}

// restartOthers has everybody but an owner forget what was acknowledged, and
// the owner hear nothing of it.
func (w *World) restartOthers() {
	x := w.owner()
	if x == nil {
		return
	}
	w.tell("provoked: %s is cut off, all others' daemons are killed", x.name)
	w.isolate(x, true)
	w.after(w.cfg.Detection*2, func() { w.isolate(x, false) })
	for _, n := range w.nodes {
		if n != x {
			n.killDaemon()
		}
	}
}

// turnOver has an owner be heard by two nodes only, for so long that the others
// could promise, and then takes the vote of these two away.
func (w *World) turnOver() {
	x := w.owner()
	if x == nil || len(w.nodes) < 5 || w.cfg.Lose {
		return // with a disk lost as well, no majority may be left
	}
	var hearing []*node
	for _, i := range w.rand.Perm(len(w.nodes)) {
		n := w.nodes[i]
		switch {
		case n == x || n.id == 0:
		case len(hearing) < 2:
			hearing = append(hearing, n)
		default:
			w.cut(x, n, true)
			w.cut(n, x, true)
		}
	}
	d := w.cfg.Detection
	w.tell("provoked: %s is heard by %s and %s only, and then they lose their votes", x.name, hearing[0].name, hearing[1].name)
	w.after(d+d/4, func() {
		for i := range 4 {
			w.after(time.Duration(i)*d/200, func() { w.changeMember(hearing[i%2]) })
		}
	})
	w.after(d+d/4+w.chance(d/10), func() { w.isolate(x, true) })
	w.after(3*d, func() { w.isolate(x, false) })
}

// provoke makes what is dangerous likely: a voter that has just promised to
// evict a node restarts, the node is let back, and the eviction is slow.
func (w *World) provoke(n *node, m *core.Message) {
	if !w.cfg.Provoke || m.Answer == nil || !m.Answer.Yes || m.Answer.Phase != arbiter.Do || w.calm || !w.maybe(40) {
		return
	}
	w.tell("provoked: %s promised against n%d, restarts, and n%d is let back", n.name, m.Answer.Node, m.Answer.Node)
	lead := w.nodes[max(w.index(m.To), 0)]
	if w.maybe(50) {
		lead.disk.latency = w.chance(w.cfg.Detection / 2)
		w.after(w.cfg.Detection, func() { lead.disk.latency = time.Millisecond })
	}
	suspect := w.nodes[max(w.index(m.Answer.Node), 0)]
	w.after(w.chance(2*time.Millisecond), func() {
		if !n.power || n.frozen {
			return
		}
		n.killDaemon()
		w.isolate(suspect, false)
		if suspect.frozen {
			suspect.thaw()
		}
	})
}
