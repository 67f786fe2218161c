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
	w.ask(cluster.Command{Member: &cluster.Member{Node: m.id, As: cluster.AsLearner}})
}

func (w *World) changeDetection() {
	d := []time.Duration{cluster.DetectionFast, cluster.DetectionBalanced, w.cfg.Detection, 2 * w.cfg.Detection}[w.rand.IntN(4)]
	w.tell("detection time becomes %v", d)
	w.ask(cluster.Command{SetDetection: &cluster.SetDetection{Detection: d}})
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
