package world

import (
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// node is a machine: its clock, its disk, its guardian, its daemon and what
// runs on it.
type node struct {
	w    *World
	idx  int
	id   cluster.NodeID
	name string
	role cluster.Role

	power  bool // the machine runs
	life   int  // counts daemon processes: what an earlier one awaited is void
	boot   int  // counts boots
	core   *core.Core
	timer  *timer
	wakeAt time.Duration // of the timer
	session,
	sessions int

	clock  clock
	frozen bool // the userland stands still
	halted bool // and the clock with it, as in a VM that is not scheduled
	inbox  []core.Event
	later  []func() // acts of the userland that came due while it stood

	disk  disk
	guard guardian
	kits  kits
	// residue is until when (real time) an overlap after a halted clock is the
	// documented one.
	residue time.Duration
}

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

// powerOn boots the machine and starts its daemon.
func (n *node) powerOn() {
	if n.power {
		return
	}
	n.power = true
	n.boot++
	n.clock = clock{start: n.w.now, rate: n.clock.rate}
	n.frozen, n.halted, n.inbox, n.later = false, false, nil, nil
	n.guard = guardian{}
	n.kits = newKits()
	n.newSession()
	n.startDaemon()
}

func (n *node) newSession() {
	n.sessions++
	n.session = n.sessions
	n.guard.generation = 0
	n.guard.gate, n.guard.until = 0, 0
}

func (n *node) sessionName() string {
	if n.role == cluster.RoleWitness {
		return ""
	}
	return fmt.Sprintf("%s-%d", n.name, n.session)
}

// powerOff is a loss of power: all at once.
func (n *node) powerOff() {
	if !n.power {
		return
	}
	n.stopDaemon()
	n.power = false
	n.kits = newKits()
	n.guard = guardian{}
}

// startDaemon starts the process on whatever the disk holds.
func (n *node) startDaemon() {
	n.life++
	c, err := core.New(n.local(), core.Config{
		Self: n.id, Role: n.role, Seed: n.w.rand.Uint64(), Session: n.sessionName(),
		Disk: n.disk.read(), Software: "sim", Broken: n.w.cfg.Broken,
	})
	if err != nil {
		n.w.check.fail("%s: start: %v", n.name, err)
		return
	}
	n.core = c
	n.wakeAt = 0
	if n.guard.generation != 0 {
		// An earlier daemon of this session was there.
		n.step(core.Adopted{Running: n.kits.running(c.State())})
		return
	}
	n.step(core.Tick{})
}

// stopDaemon kills the process: what it was writing is or isn't on the disk.
func (n *node) stopDaemon() {
	n.disk.crash(n.w.maybe(50))
	n.life++
	n.core = nil
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
		// Nothing in the machine can know how long it stood: until its lease
		// ends by its own clock it may answer.
		n.halted = false
		if left := n.guard.until - n.local().Boot; left > 0 {
			n.residue = n.w.now + n.real(left)
		}
	}
	n.frozen = false
	life := n.life
	later, inbox := n.later, n.inbox
	n.later, n.inbox = nil, nil
	for _, do := range later {
		do()
	}
	for _, ev := range inbox {
		if n.life == life {
			n.deliver(ev)
		}
	}
	n.deliver(core.Tick{})
}

// step runs the core and carries out what it says.
func (n *node) step(ev core.Event) {
	c := n.core
	now := n.local()
	eff := c.Step(now, ev)
	n.carryOut(&eff)
	if n.core != c {
		return
	}
	next := c.Next(now)
	if next == cluster.Never {
		return
	}
	at := n.w.now + max(n.real(next-now.Mono), 10*time.Microsecond)
	if n.wakeAt > n.w.now && n.wakeAt <= at {
		return // an earlier wake is on its way and will ask again
	}
	n.wakeAt = at
	if n.timer != nil {
		n.timer.off = true
	}
	n.timer = &timer{n: n, life: n.life}
	n.w.queue.push(at, item{wake: n.timer})
}

// ring is the time of the timer.
func (t *timer) ring() {
	if !t.off && t.n.life == t.life {
		t.n.deliver(core.Tick{})
	}
}

func (n *node) carryOut(eff *core.Effects) {
	w := n.w
	if eff.Fatal != nil {
		w.check.fail("%s: %v", n.name, eff.Fatal)
		return
	}
	if eff.Persist != nil {
		n.persist(eff.Persist)
	}
	if eff.Beat != nil {
		var beat core.Event = core.BeatReceived{From: n.id, Beat: eff.Beat}
		for _, to := range eff.BeatTo {
			if i := w.index(to); i >= 0 {
				w.net.datagram(n.idx, i, beat)
			}
		}
	}
	for _, a := range eff.Acks {
		if i := w.index(a.To); i >= 0 {
			w.net.datagram(n.idx, i, core.AckReceived{From: n.id, Ack: a.Ack})
		}
	}
	for _, m := range eff.Messages {
		w.provoke(n, m)
		if i := w.index(m.Via); i >= 0 {
			w.net.stream(n.idx, i, m)
		}
	}
	if eff.Admitted != 0 {
		n.guard.generation = eff.Admitted
	}
	if eff.Lease != nil {
		n.guard.renew(n, eff.Lease)
	}
	for _, a := range eff.Actions {
		n.kits.perform(n, a)
	}
	for i := range eff.Replies {
		w.check.replied(n, &eff.Replies[i])
	}
	if eff.Changed {
		w.check.applied(n)
	}
	if eff.ResetGuardian != nil {
		w.tell("%s: guardian reset: %s %v", n.name, eff.ResetGuardian.Code, eff.ResetGuardian.Args)
		n.act(w.chance(20*time.Millisecond), func() {
			n.kits.killAll(n)
			n.newSession()
			n.deliver(core.Reset{Session: n.sessionName()})
		})
	}
	if eff.Departed != nil {
		w.tell("%s: departed: %s", n.name, eff.Departed.Code)
	}
}

// found makes the cluster: the first node's disk holds it, the others are in it
// from the start.
func (w *World) found() {
	total := w.cfg.Nodes + w.cfg.Witnesses
	first := cluster.AddNode{Name: "n1", Role: cluster.RoleNode}
	s := cluster.New("sim", "sim", first, 0)
	s.Detection, s.Ceiling = w.cfg.Detection, w.cfg.Detection
	for i := range total {
		n := &node{w: w, idx: i, id: cluster.NodeID(i + 1), name: fmt.Sprintf("n%d", i+1), role: cluster.RoleNode}
		if i >= w.cfg.Nodes {
			n.role = cluster.RoleWitness
			n.name = fmt.Sprintf("w%d", i+1-w.cfg.Nodes)
		}
		n.clock.rate = 1 + (w.rand.Float64()-0.5)*0.0098 // within 1 % of each other
		n.disk.latency = time.Millisecond
		w.nodes = append(w.nodes, n)
		if i > 0 {
			s.Nodes = append(s.Nodes, cluster.Node{ID: n.id, Name: n.name, Role: n.role, Presence: cluster.Joining})
			s.Voters = append(s.Voters, n.id)
		}
	}
	s.NextID = cluster.NodeID(total + 1)
	for h := range w.cfg.Hierarchies {
		var ids []cluster.NodeID
		for i := range w.cfg.Nodes {
			ids = append(ids, cluster.NodeID((i+h)%w.cfg.Nodes+1))
		}
		s.Hierarchies = append(s.Hierarchies, cluster.Hierarchy{
			Name: fmt.Sprintf("h%d", h+1), Nodes: ids, Want: cluster.WantInService, Class: cluster.SelfGuarding,
			Status: cluster.OutOfService,
			Resources: []cluster.Resource{
				{Name: "address", Kit: "ip", Status: cluster.OutOfService},
				{Name: "server", Kit: "process", DependsOn: []string{"address"}, Status: cluster.OutOfService},
			},
		})
	}
	snap := Genesis(s)
	for _, n := range w.nodes {
		n.disk.hard = &raftpb.HardState{Term: new(uint64(1)), Commit: new(uint64(1)), Vote: new(uint64(0))}
		n.disk.snapshot = snap
		n.powerOn()
	}
}

// Genesis is the snapshot that a new cluster begins with.
func Genesis(s *cluster.State) *raftpb.Snapshot { return core.Genesis(s) }
