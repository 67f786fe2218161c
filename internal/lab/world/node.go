package world

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/guard"
)

// node is a machine: its clocks, its disk, its kernel's gate and watchdog, its
// guardian, its daemon and what runs on it.
type node struct {
	w    *World
	idx  int
	id   cluster.NodeID
	name string
	role cluster.Role

	power    bool // the machine runs
	boot     int  // counts boots
	sessions int
	clock    clock
	frozen   bool // the userland stands still
	halted   bool // and the clock with it, as in a VM that is not scheduled
	inbox    []core.Event
	later    []func() // acts of the userland that came due while it stood
	alarm    [alarms]alarm

	disk     disk
	gate     gate
	dog      watchdog
	guardian *guardian    // nil: it doesn't run
	handOver *guard.State // what the last one left for the next, until the boot ends
	kits     kits

	core  *core.Core // nil: the daemon doesn't run
	life  int        // counts daemons: what an earlier one awaited is void
	began time.Duration
	// resets: the daemon waits for the guardian's reset. unmanaged is what it
	// knows of the guardian; stopping, how it is being stopped.
	resets, unmanaged bool
	stopping          stopMode
	asked             uint64 // the command that hands over

	steppers   map[cluster.NodeID]*core.Stepper
	steppersOf int // the life that they are of

	// residue is until when (real time) an overlap after a halted clock is the
	// documented one.
	residue time.Duration
}

// stopMode is how a person stops a daemon and its guardian.
type stopMode uint8

const (
	stopNot  stopMode = iota
	stopMove          // services move away first
	stopHere          // services stop
	stopKeep          // services run on without it
	stopStay          // services stop, and start here again when it is back
)

// clock is a node's own, which drifts.
type clock struct {
	start  time.Duration // real time of boot
	rate   float64
	lost   time.Duration // real time for which it stood
	haltAt time.Duration
}

// local reads the node's clocks.
func (n *node) local() cluster.Instant { return n.localAt(n.w.now) }

func (n *node) localAt(real time.Duration) cluster.Instant {
	if n.halted {
		real = n.clock.haltAt
	}
	t := time.Duration(float64(real-n.clock.start-n.clock.lost)*n.clock.rate) + time.Hour
	return cluster.Instant{Mono: t, Boot: t, Wall: 1_700_000_000_000 + real.Milliseconds()}
}

// real converts a duration of the node's clock.
func (n *node) real(d time.Duration) time.Duration {
	return time.Duration(float64(d) / n.clock.rate)
}

// stands reports whether the userland stands still.
func (n *node) stands() bool { return n.frozen || n.halted }

// powerOn boots the machine and starts what starts by itself.
func (n *node) powerOn() {
	if n.power || n.id == 0 {
		return
	}
	n.power = true
	n.boot++
	n.clock = clock{start: n.w.now, rate: n.clock.rate}
	n.frozen, n.halted, n.inbox, n.later = false, false, nil, nil
	n.kits.clear(n)
	n.gate, n.dog, n.handOver = newGate(n.w.cfg.Hierarchies), watchdog{}, nil
	n.startUnit()
}

// startUnit starts perdure on the machine, as the system does.
func (n *node) startUnit() {
	n.stopping = stopNot
	if n.role == cluster.RoleWitness {
		if n.core == nil {
			n.startDaemon()
		}
		return
	}
	n.startGuardian()
}

// powerOff is a loss of power: all at once.
func (n *node) powerOff() {
	if !n.power {
		return
	}
	n.endDaemon()
	n.endGuardian()
	n.power = false
	n.kits.clear(n)
	n.dog.armed = false
}

// startDaemon starts the process on whatever the disk holds.
func (n *node) startDaemon() {
	if !n.power {
		return
	}
	n.life++
	cfg := core.Config{
		Self: n.id, Role: n.role, Seed: n.w.rand.Uint64(),
		Disk: n.disk.read(), Software: "sim", Broken: n.w.cfg.Broken, Pace: n.w.cfg.pace(),
	}
	n.resets, n.unmanaged, n.stopping = false, false, stopNot // it knows of no stop
	if n.guardian != nil {
		st := n.guardian.m.State()
		cfg.Session, n.unmanaged, cfg.Unmanaged = st.Session, st.Unmanaged, st.Unmanaged
	}
	c, err := core.New(n.local(), cfg)
	if err != nil {
		n.w.check.fail("%s: start: %v", n.name, err)
		return
	}
	n.core, n.began = c, n.w.now
	if n.guardian != nil {
		if found, earlier := n.guardian.running(c.State()); earlier {
			n.step(core.Adopted{Running: found})
			return
		}
	}
	n.step(core.Tick{})
}

// endDaemon ends the process at once: what it was writing is or isn't on the
// disk.
func (n *node) endDaemon() {
	if n.core == nil {
		return
	}
	n.disk.crash(n.w.maybe(50))
	n.life++
	n.core = nil
	n.silence(alarmDaemon)
	n.kits.abandon(n)
}

// killDaemon ends the process, and its parent notices.
func (n *node) killDaemon() {
	if n.core == nil || n.stands() {
		return
	}
	ran := n.w.now - n.began
	n.endDaemon()
	switch {
	case n.guardian != nil:
		n.guardian.step(guard.DaemonGone{Ran: ran})
	case n.role == cluster.RoleWitness:
		n.act(100*time.Millisecond, n.startUnit) // the system's restart
	}
}

// endGuardian ends the process at once; the kernel goes on.
func (n *node) endGuardian() {
	n.guardian = nil
	n.silence(alarmGuardian)
}

// deliver hands an event to the daemon, or keeps it while the userland stands.
func (n *node) deliver(ev core.Event) {
	switch {
	case !n.power || n.core == nil:
	case n.halted:
		// The network drops what a halted machine doesn't take, but for a few
		// packets in its card.
		if len(n.inbox) < 8 || !isPacket(ev) {
			n.inbox = append(n.inbox, ev)
		}
	case n.frozen:
		if len(n.inbox) < 1000 || !isPacket(ev) {
			n.inbox = append(n.inbox, ev)
		}
	default:
		n.step(ev)
	}
}

func isPacket(ev core.Event) bool {
	switch ev.(type) {
	case core.BeatReceived, core.AckReceived, core.MessageReceived:
		return true
	}
	return false
}

// act is something that the userland does at a time, unless the boot is over.
// While the userland stands it waits.
func (n *node) act(d time.Duration, do func()) {
	boot := n.boot
	n.w.after(d, func() {
		switch {
		case n.boot != boot || !n.power:
		case n.frozen || n.halted:
			n.later = append(n.later, do)
		default:
			do()
		}
	})
}

// freeze stops the userland; halt also stops the clock.
func (n *node) freeze(halt bool) {
	if !n.power || n.frozen {
		return
	}
	n.frozen, n.halted = true, halt
	n.clock.haltAt = n.w.now
}

// thaw lets it go on.
func (n *node) thaw() {
	if !n.power || !n.frozen {
		return
	}
	if n.halted {
		n.clock.lost += n.w.now - n.clock.haltAt
		// Nothing in the machine can know how long it stood. What was sent
		// before may still be acknowledged, so that for a detection time by its
		// own clock it may answer.
		n.halted = false
		if n.core != nil {
			n.residue = n.w.now + n.real(n.core.State().Ceiling)
		} else if until, _ := n.lease(); until > n.local().Boot {
			n.residue = n.w.now + n.real(until-n.local().Boot)
		}
	}
	n.frozen = false
	boot, life := n.boot, n.life
	later, inbox := n.later, n.inbox
	n.later, n.inbox = nil, nil
	for _, do := range later {
		if n.boot == boot {
			do()
		}
	}
	for _, ev := range inbox {
		if n.life == life {
			n.deliver(ev)
		}
	}
	n.deliver(core.Tick{})
	if n.guardian != nil {
		n.guardian.step(guard.Tick{})
	}
}

// lease is the one that the guardian holds, by BOOTTIME; zero: none.
func (n *node) lease() (until time.Duration, g cluster.Generation) {
	if n.guardian == nil {
		return 0, 0
	}
	st := n.guardian.m.State()
	return st.LeaseUntil, st.Generation
}
