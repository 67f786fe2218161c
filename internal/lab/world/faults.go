package world

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// fault does something to the world, and mostly plans its end.
func (w *World) fault() {
	if len(w.stores) > 0 && w.maybe(25) {
		w.storeFault()
		return
	}
	d := w.cfg.Detection
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	m := w.nodes[w.rand.IntN(len(w.nodes))]
	long := d/4 + w.chance(3*d)
	if w.cfg.Policies && w.maybe(4) {
		w.site()
		return
	}
	kind := w.rand.IntN(20 + w.cfg.rare())
	if kind >= 20 {
		w.rareFault(kind-20, m)
		return
	}
	switch kind {
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
		if n.core != nil {
			w.tell("%s: daemon killed", n.name)
			n.killDaemon()
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
	case 16, 17, 18:
		how := stopMode(1 + w.rand.IntN(4))
		if n.core != nil {
			w.tell("%s: asked to stop (%s)", n.name, how)
			n.stop(how)
			off := w.maybe(50)
			w.after(long, func() { n.startAgain(off && how != stopKeep) })
		}
	case 19:
		if n.guardian != nil && !n.stands() {
			w.tell("%s: guardian and daemon killed", n.name)
			n.endDaemon()
			n.endGuardian()
			n.act(w.chance(d), func() {
				if n.guardian == nil {
					w.tell("%s: guardian restarted", n.name)
					n.startUnit()
				}
			})
		}
	}
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
	for _, st := range w.stores {
		st.heal()
	}
	for _, n := range w.nodes {
		n.disk.failing, n.disk.latency = false, time.Millisecond
		clear(n.kits.sick)
		n.kits.slowStop = false
		n.thaw()
		n.startAgain(false)
	}
	w.want()
	if w.cfg.Policies {
		w.takeBack()
	}
}
