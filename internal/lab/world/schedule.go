package world

import (
	"fmt"
	"runtime/debug"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// Report is what a run showed.
type Report struct {
	Faults  int
	Virtual time.Duration
	// Settled is how long after the end of all faults everything was in
	// service.
	Settled time.Duration
	// Evictions and Starts show that the run did something.
	Evictions, Assigned int
}

// Random draws a configuration from a seed: three to five nodes, with and
// without witness, each detection profile.
func Random(seed uint64) Config {
	shapes := []Config{
		{Nodes: 3}, {Nodes: 3}, {Nodes: 2, Witnesses: 1}, {Nodes: 2, Witnesses: 1},
		{Nodes: 4, Witnesses: 1}, {Nodes: 5},
	}
	c := shapes[mix(seed)%uint64(len(shapes))]
	c.Seed = seed
	c.Hierarchies = 1 + int(mix(seed+1)%2)
	c.Detection = []time.Duration{cluster.DetectionBalanced, cluster.DetectionBalanced, cluster.DetectionFast, cluster.DetectionWide}[mix(seed+2)%4]
	c.Provoke = mix(seed+3)%2 == 0
	c.Changes = mix(seed+4)%4 == 0
	return c
}

func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}

// Torture runs one seed: the cluster comes into service, faults come one upon
// another for a while, then they stop and everything must settle.
func Torture(cfg Config) (r Report, err error) {
	defer func() {
		if p := recover(); p != nil {
			// A core that panics has met something that must not be: the
			// process would have died.
			err = fmt.Errorf("panic: %v", p)
			if cfg.Broken == (arbiter.Broken{}) {
				err = fmt.Errorf("panic: %v\n%s", p, debug.Stack())
			}
		}
	}()
	w := New(cfg)
	d := cfg.Detection
	ok, err := w.RunUntil(20*d, w.settled)
	if err != nil {
		return Report{}, err
	}
	if !ok {
		return Report{}, fmt.Errorf("not in service %v after the start:\n%s", w.now, w.picture())
	}
	w.tell("in service")
	until := w.now + 8*d
	for w.now < until {
		if err := w.Run(w.now + d/10 + w.chance(2*d)); err != nil {
			return r, err
		}
		w.fault()
		r.Faults++
	}
	w.calm = true
	w.healAll()
	healed := w.now
	w.tell("all faults are over")
	// Back-off after failures on every node adds to the settling time.
	ok, err = w.RunUntil(healed+40*d+30*time.Second, w.settled)
	if err != nil {
		return r, err
	}
	if !ok {
		return r, fmt.Errorf("not settled %v after all faults:\n%s", w.now-healed, w.picture())
	}
	r.Settled = w.now - healed
	// What settled must stay so.
	if err := w.Run(w.now + 2*d); err != nil {
		return r, err
	}
	r.Virtual = w.now
	for _, e := range w.nodes[0].core.State().Timeline {
		switch e.Kind {
		case cluster.KindEvicted:
			r.Evictions++
		case cluster.KindAssigned:
			r.Assigned++
		}
	}
	return r, nil
}

// fault does something to the world, and mostly plans its end.
func (w *World) fault() {
	d := w.cfg.Detection
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	m := w.nodes[w.rand.IntN(len(w.nodes))]
	long := d/4 + w.chance(3*d)
	kinds := 16
	if w.cfg.Changes {
		kinds = 24
	}
	switch w.rand.IntN(kinds) {
	case 16, 17, 18, 19, 20:
		w.changeMember(m)
	case 21, 22, 23:
		w.changeDetection()
	case 0:
		w.tell("%s: power lost", n.name)
		n.powerOff()
		w.after(long, func() { w.tell("%s: power on", n.name); n.powerOn() })
	case 1:
		w.tell("%s: userland frozen for %v", n.name, long)
		n.freeze(false)
		w.after(long, func() { w.tell("%s: thawed", n.name); n.thaw() })
	case 2:
		w.tell("%s: halted with its clock for %v", n.name, long)
		n.freeze(true)
		w.after(long, func() { w.tell("%s: goes on", n.name); n.thaw() })
	case 3:
		if n.power {
			w.tell("%s: daemon killed", n.name)
			n.stopDaemon()
			n.act(w.chance(d/3), func() {
				if n.core == nil {
					w.tell("%s: daemon restarted", n.name)
					n.startDaemon()
				}
			})
		}
	case 4, 5:
		if n != m {
			w.tell("%s and %s cut from each other for %v", n.name, m.name, long)
			w.cut(n, m, true)
			w.cut(m, n, true)
			w.after(long, func() { w.cut(n, m, false); w.cut(m, n, false) })
		}
	case 6:
		if n != m {
			w.tell("%s does not reach %s for %v", n.name, m.name, long)
			w.cut(n, m, true)
			w.after(long, func() { w.cut(n, m, false) })
		}
	case 7, 8:
		w.tell("%s: cut from everybody for %v", n.name, long)
		w.isolate(n, true)
		w.after(long, func() { w.isolate(n, false) })
	case 9:
		loss := 5 + w.rand.IntN(40)
		w.tell("all links lose %d %%", loss)
		for i := range w.net.links {
			w.net.links[i].loss = loss
		}
		w.after(long, func() {
			for i := range w.net.links {
				w.net.links[i].loss = 0
			}
		})
	case 10:
		slow := time.Millisecond + w.chance(d/4)
		w.tell("%s: links delay %v", n.name, slow)
		for i := range w.nodes {
			w.net.link(n.idx, i).delay = slow
			w.net.link(i, n.idx).delay = slow
		}
		w.after(long, func() {
			for i := range w.nodes {
				w.net.link(n.idx, i).delay = 200 * time.Microsecond
				w.net.link(i, n.idx).delay = 200 * time.Microsecond
			}
		})
	case 11:
		n.disk.latency = w.chance(d)
		w.tell("%s: disk takes %v", n.name, n.disk.latency)
		w.after(long, func() { n.disk.latency = time.Millisecond })
	case 12:
		w.tell("%s: disk full", n.name)
		n.disk.failing = true
		w.after(long, func() { n.disk.failing = false })
	case 13:
		h := w.check.hnames[w.rand.IntN(len(w.check.hnames))]
		n.kits.crash(n, h, "server")
	case 14:
		h := w.check.hnames[w.rand.IntN(len(w.check.hnames))]
		key := h + "/server"
		w.tell("%s: %s fails to start", n.name, key)
		n.kits.sick[key] = true
		boot := n.boot
		w.after(2*long, func() {
			if n.boot == boot {
				delete(n.kits.sick, key)
			}
		})
		n.kits.crash(n, h, "server")
	case 15:
		h := w.check.hnames[w.rand.IntN(len(w.check.hnames))]
		if n.power && n.core != nil && m.role == cluster.RoleNode {
			w.tell("switchover of %s to %s asked for", h, m.name)
			n.deliver(core.Propose{Command: cluster.Command{ID: w.rand.Uint64() | 1, By: "person",
				StartMove: &cluster.StartMove{Hierarchy: h, To: m.id}}})
		}
	}
}

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

// ask gives a command to some node, as a person would.
func (w *World) ask(c cluster.Command) {
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	c.ID, c.By = w.rand.Uint64()|1, "person"
	n.deliver(core.Propose{Command: c})
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
		n.stopDaemon()
		w.isolate(suspect, false)
		if suspect.frozen {
			suspect.thaw()
		}
		n.startDaemon()
	})
}

func (w *World) cut(from, to *node, on bool) { w.net.link(from.idx, to.idx).cut = on }

func (w *World) isolate(n *node, on bool) {
	for _, m := range w.nodes {
		if m != n {
			w.cut(n, m, on)
			w.cut(m, n, on)
		}
	}
}

// healAll ends every fault.
func (w *World) healAll() {
	w.net.heal()
	for _, n := range w.nodes {
		n.disk.failing, n.disk.latency = false, time.Millisecond
		n.kits.sick = make(map[string]bool)
		n.kits.slowStop = false
		n.thaw()
		n.powerOn()
		if n.core == nil {
			n.startDaemon()
		}
	}
}
