package world

import (
	"fmt"
	"net/netip"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/decide"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
)

// guardian is the process beside the daemon: the real machine of its decisions
// between a model of the kernel below it and the daemon above.
type guardian struct {
	n *node
	m *guard.Machine
	// ending: it was asked to end.
	ending bool
}

// gate is the kernel's: it goes on without anybody, and shuts by itself.
type gate struct {
	protected, open []bool // by hierarchy
	until           time.Duration
	forever         bool
}

// passes reports whether clients reach the address of a hierarchy. An address
// that nobody put behind the gate is open.
func (g *gate) passes(h int, now cluster.Instant) bool {
	return !g.protected[h] || g.open[h] && (g.forever || now.Boot < g.until)
}

// watchdog resets the machine when it isn't fed, however its userland is.
type watchdog struct {
	armed bool
	fed   time.Duration // Mono
}

func addressOf(h int) guard.Address {
	return guard.Address{Addr: netip.AddrFrom4([4]byte{10, 0, 0, byte(h + 1)}), Device: "eth0"}
}

func hierarchyOf(a netip.Addr) int { return int(a.As4()[3]) - 1 }

// startGuardian starts the guardian's process, which starts the daemon. Without
// a hand-over it first leaves nothing behind of what it finds.
func (n *node) startGuardian() {
	if !n.power || n.guardian != nil || n.role == cluster.RoleWitness {
		return
	}
	c := guard.Config{Session: n.newSession(), StopAfter: n.w.timing().StopAfter, Watchdog: n.w.cfg.Watchdog}
	if n.handOver != nil {
		c.Adopt, n.handOver = n.handOver, nil
	} else {
		n.kits.killAll(n)
		n.gate = newGate(n.w.cfg.Hierarchies)
	}
	n.guardian = &guardian{n: n, m: guard.New(n.local(), c)}
	n.guardian.step(guard.Tick{})
}

func newGate(hierarchies int) gate {
	return gate{protected: make([]bool, hierarchies), open: make([]bool, hierarchies)}
}

func (n *node) newSession() string {
	n.sessions++
	return fmt.Sprintf("%s-%d", n.name, n.sessions)
}

// step runs the machine and carries out what it says. A guardian that stands
// still does so later. It returns why the event was refused.
func (g *guardian) step(ev guard.Event) (refused cluster.Reason) {
	n := g.n
	if n.stands() {
		n.later = append(n.later, func() {
			if n.guardian == g {
				g.step(ev)
			}
		})
		return cluster.Reason{}
	}
	now := n.local()
	for _, e := range g.m.Step(now, ev) {
		if r, ok := e.(guard.Refuse); ok {
			refused = r.Reason
			continue
		}
		g.carryOut(now, e)
	}
	if n.guardian == g {
		n.wake(alarmGuardian, now, g.m.Next())
	}
	return refused
}

func (g *guardian) carryOut(now cluster.Instant, e guard.Effect) {
	n, w := g.n, g.n.w
	switch e := e.(type) {
	case guard.ProtectGate:
		for _, a := range e.Addresses {
			n.gate.protected[hierarchyOf(a.Addr)] = true
		}
	case guard.UnprotectGate:
		for _, a := range e.Addresses {
			n.gate.protected[hierarchyOf(a)], n.gate.open[hierarchyOf(a)] = false, false
		}
	case guard.OpenGate:
		clear(n.gate.open)
		for _, a := range e.Addresses {
			n.gate.open[hierarchyOf(a)] = true
		}
		n.gate.until, n.gate.forever = e.Until, e.Forever
	case guard.CloseGate:
		clear(n.gate.open)
	case guard.FreezeCgroups:
		g.inTurn(e.Hierarchy, w.chance(5*time.Millisecond), func() { g.freeze(e) })
	case guard.ThawCgroups:
		g.inTurn(e.Hierarchy, w.chance(5*time.Millisecond), func() {
			n.kits.get(e.Hierarchy).frozen = false
			g.step(guard.Thawed{Hierarchy: e.Hierarchy, Attempt: e.Attempt})
		})
	case guard.KillHierarchy:
		d := w.chance(10 * time.Millisecond)
		if w.maybe(5) {
			d = w.chance(w.cfg.Detection / 2) // something sleeps in the kernel
		}
		g.inTurn(e.Hierarchy, d, func() {
			w.tell("%s: guardian killed %s", n.name, e.Hierarchy)
			n.kits.kill(n, n.kits.get(e.Hierarchy))
			g.step(guard.Killed{Hierarchy: e.Hierarchy, Attempt: e.Attempt})
		})
	case guard.ArmWatchdog:
		n.dog = watchdog{armed: true, fed: now.Mono}
		n.watch(n.w.cfg.Watchdog)
	case guard.FeedWatchdog:
		n.dog.fed = now.Mono
	case guard.DisarmWatchdog:
		n.dog.armed = false
	case guard.StartDaemon:
		g.act(5*time.Millisecond+w.chance(w.cfg.Detection/8), func() {
			if n.core == nil {
				n.startDaemon()
			}
		})
	case guard.TellDaemon:
		g.tell(e.Notice)
	case guard.HandOver:
		n.handOver = &e.State
	case guard.Exit:
		n.guardian = nil
		n.silence(alarmGuardian)
	}
}

// act does something beside the guardian's loop, as long as it lives.
func (g *guardian) act(d time.Duration, do func()) {
	g.n.act(d, func() {
		if g.n.guardian == g {
			do()
		}
	})
}

// inTurn does something to the processes of a hierarchy, one after the other.
func (g *guardian) inTurn(h string, d time.Duration, do func()) {
	s := g.n.kits.get(h)
	s.turnAt = max(s.turnAt, g.n.w.now+d)
	g.act(s.turnAt-g.n.w.now, do)
}

func (g *guardian) freeze(e guard.FreezeCgroups) {
	n := g.n
	r := guard.Frozen{Hierarchy: e.Hierarchy, Attempt: e.Attempt}
	if n.w.maybe(3) {
		r.Failed = cluster.Because(message.FreezeFailed, e.Hierarchy, "busy")
	} else {
		n.kits.get(e.Hierarchy).frozen = true
	}
	g.step(r)
}

// tell passes a notice on, as daemon's watchGuard and resetGuard do.
func (g *guardian) tell(notice guard.Notice) {
	n := g.n
	var ev core.Event
	switch notice.Kind {
	case guard.NoticeDoubt, guard.NoticeFrozen, guard.NoticeKilled:
		ev = core.Doubt{}
	case guard.NoticeReset:
		if !n.resets {
			return // who asked for it is gone; a later daemon asks again
		}
		n.resets = false
		ev = core.Reset{Session: notice.Session}
	default:
		return
	}
	life := n.life
	g.act(n.w.chance(200*time.Microsecond), func() {
		if n.life == life {
			n.deliver(ev)
		}
	})
}

// reset has everything on this node killed, then begins a new session.
func (g *guardian) reset() {
	g.n.kits.forget()
	g.n.resets = true
	g.step(guard.Reset{Session: g.n.newSession()})
}

// running lists what a restarted daemon finds guarded.
func (g *guardian) running(s *cluster.State) (found []decide.Running, earlier bool) {
	st := g.m.State()
	for _, gd := range st.Guarded {
		r := decide.Running{Hierarchy: gd.Hierarchy, Epoch: gd.Epoch}
		if s.Hierarchy(gd.Hierarchy) != nil {
			r.Resources = slices.Clone(g.n.kits.get(gd.Hierarchy).specs)
		}
		found = append(found, r)
	}
	return found, st.Generation != 0 || len(found) > 0
}

// watch looks after the watchdog's time-out, counted by the machine's clock: it
// stands with it.
func (n *node) watch(left time.Duration) {
	boot := n.boot
	n.w.after(n.real(left)+1, func() {
		if n.boot != boot || !n.power || !n.dog.armed {
			return
		}
		if left := n.dog.fed + n.w.cfg.Watchdog - n.local().Mono; left > 0 || n.halted {
			n.watch(max(left, time.Millisecond))
			return
		}
		n.w.tell("%s: reset by the watchdog", n.name)
		n.powerOff()
		n.w.after(50*time.Millisecond+n.w.chance(n.w.cfg.Detection), n.powerOn)
	})
}
