package world

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/guard"
)

// step runs the core and carries out what it says, as package daemon does.
func (n *node) step(ev core.Event) {
	c := n.core
	now := n.local()
	eff := c.Step(now, ev)
	n.carryOut(&eff)
	if n.core == c {
		n.wake(alarmDaemon, now, c.Next(now))
	}
}

func (n *node) carryOut(eff *core.Effects) {
	w := n.w
	if w.observe != nil {
		w.observe(n, eff)
	}
	if eff.Fatal != nil {
		w.check.fail("%s: %v", n.name, eff.Fatal)
		return
	}
	if eff.Persist != nil {
		n.persist(eff.Persist)
	}
	n.send(eff)
	if eff.Admitted != 0 && n.guardian != nil {
		n.guardian.step(guard.Admitted{Generation: eff.Admitted})
	}
	if l := eff.Lease; l != nil && n.guardian != nil && l.Generation != 0 && l.Until != 0 {
		n.guardian.step(guard.Renew{Generation: l.Generation, Until: l.Until, Gate: l.Gate,
			StopAfter: n.core.State().Timing().StopAfter})
	}
	for _, op := range eff.Storage {
		n.storageOp(op)
	}
	for _, a := range eff.Actions {
		n.kits.perform(n, a)
	}
	if eff.Changed {
		w.check.applied(n)
	}
	if eff.ResetGuardian != nil && n.guardian != nil {
		w.tell("%s: guardian reset: %s %v", n.name, eff.ResetGuardian.Code, eff.ResetGuardian.Args)
		n.guardian.reset()
	}
	if eff.Departed != nil {
		w.tell("%s: departed: %s", n.name, eff.Departed.Code)
		n.depart()
		return
	}
	for i := range eff.Replies {
		if r := &eff.Replies[i]; r.ID == n.asked && n.stopping == stopKeep {
			if !n.handOverDone(r) {
				return
			}
		}
	}
	if n.unmanaged {
		n.remanage()
	}
}

func (n *node) send(eff *core.Effects) {
	w := n.w
	if eff.Beat != nil {
		w.check.led(n, eff.Beat)
		w.net.speaks(eff.Beat.Life)
		var beat core.Event = core.BeatReceived{From: n.id, Beat: eff.Beat}
		for _, to := range eff.BeatTo {
			if i := w.index(to); i >= 0 {
				w.net.datagram(n.idx, i, beat)
			}
		}
	}
	for i := range eff.Acks {
		a := &eff.Acks[i]
		w.check.acked(n, a)
		if i := w.index(a.To); i >= 0 {
			w.net.datagram(n.idx, i, core.AckReceived{From: n.id, Ack: a.Ack})
		}
	}
	for _, id := range eff.Suspects {
		n.askMachine(id)
	}
	for _, m := range eff.Messages {
		w.check.said(n, m)
		if m.Ack != nil && m.From == n.id {
			w.check.acked(n, &core.AckOut{To: m.To, Ack: *m.Ack})
		}
		w.provoke(n, m)
		if i := w.index(m.Via); i >= 0 {
			w.net.stream(n.idx, i, m)
		}
	}
}

// askMachine asks whether something at a node's address answers: a kernel does
// that while the userland stands, a machine without power or a halted one
// doesn't.
func (n *node) askMachine(id cluster.NodeID) {
	w := n.w
	i := w.index(id)
	if i < 0 || !w.nodes[i].power || w.nodes[i].halted || w.net.link(n.idx, i).cut || w.net.link(i, n.idx).cut {
		return
	}
	w.arrives(w.now+w.net.link(n.idx, i).delay, i, n.idx, core.MachineAnswered{Node: id, Network: "lan", How: "ping"})
}

// stop is a person's request to stop perdure on the node.
func (n *node) stop(how stopMode) {
	if n.core == nil || n.stands() || n.stopping != stopNot {
		return
	}
	n.stopping = how
	switch how {
	case stopKeep:
		n.deliver(core.Manage{Unmanaged: true})
		n.askUnmanaged()
	default:
		n.deliver(core.Shutdown{Move: how == stopMove, Keep: how == stopStay})
	}
}

// askUnmanaged has the cluster agree that nobody takes over from this node.
// That it is unmanaged already proves nothing: an earlier word that it is managed
// again may be on its way, and this one makes it void.
func (n *node) askUnmanaged() {
	if n.core == nil || n.stopping != stopKeep {
		return
	}
	me := n.core.State().Node(n.id)
	if me == nil {
		return
	}
	n.asked = n.w.rand.Uint64() | 1
	n.deliver(core.Propose{Command: cluster.Command{ID: n.asked, Reason: cluster.Because(core.ReasonPlannedStop, n.name),
		SetUnmanaged: &cluster.SetUnmanaged{Node: n.id, Generation: me.Generation, On: true}}})
}

// handOverDone ends the daemon once the cluster agreed: only then may the
// guardian drop its deadlines. It reports whether the daemon goes on.
func (n *node) handOverDone(r *core.Reply) bool {
	if r.Unknown || r.Result.Refused() || n.guardian == nil {
		life := n.life
		n.act(n.w.cfg.Detection/4, func() {
			if n.life == life {
				n.askUnmanaged()
			}
		})
		return true
	}
	if refused := n.guardian.step(guard.Unmanaged{On: true}); refused.Code != "" {
		return true
	}
	n.w.tell("%s: stopped, services run on", n.name)
	n.depart()
	return false
}

// remanage has the guardian hold deadlines again, once a lease lives, and then
// tells the cluster.
func (n *node) remanage() {
	me := n.core.State().Node(n.id)
	if me == nil || n.guardian == nil || n.stopping != stopNot || me.Presence != cluster.Present && me.Presence != cluster.Unmanaged ||
		!n.core.Lease().Alive(n.local()) {
		return
	}
	if r := n.guardian.step(guard.Unmanaged{}); r.Code != "" {
		return
	}
	n.unmanaged = false
	life := n.life
	n.act(0, func() {
		if n.life == life {
			n.deliver(core.Manage{})
		}
	})
}

// depart ends the daemon, and the guardian after it.
func (n *node) depart() {
	n.endDaemon()
	if n.guardian != nil {
		n.guardian.ending = true
	}
	n.act(time.Millisecond, func() {
		if n.guardian != nil {
			n.guardian.step(guard.ShuttingDown{})
		}
	})
}
