package volumes

import (
	"fmt"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/volume"
)

// node is one machine with its volume-server.
type node struct {
	w          *World
	id         cluster.NodeID
	disk       disk
	up         bool
	power      int // counts power losses
	life       int // counts processes
	bootName   string
	generation cluster.Generation
	admitAt    time.Duration
	heard      time.Duration
	frozen     bool
	stopped    bool // with its clock
	since      time.Duration
	behind     time.Duration // of its clock
	inbox      []func()      // while frozen
	accepted   bool          // that it lost some was accepted when it was given an epoch
	lost       bool          // lost acknowledged writes by power loss

	m       *volume.Machine
	serves  cluster.VolumeEpoch
	equals  map[[2]uint64]bool // Equals that came, by link and seq
	applied uint64
	wake    uint64
	until   time.Duration // its lease
	values  map[uint64][]uint64
	buffers map[volume.Token][]uint64
	arrived map[[2]uint64][]uint64 // by link and seq
	reading map[uint64][]uint64
}

func (n *node) clock() time.Duration {
	if n.stopped {
		return n.since - n.behind
	}
	return n.w.now - n.behind
}

func (n *node) instant() cluster.Instant {
	return cluster.Instant{Mono: n.clock(), Boot: n.clock()}
}

// boot starts the machine.
func (n *node) boot() {
	n.up, n.frozen, n.stopped = true, false, false
	n.bootName = fmt.Sprintf("b%d.%d", n.id, n.power)
	n.generation = 0
	n.admitAt = n.w.now + n.w.chance(100*time.Millisecond)
	n.start()
}

// start starts the volume-server.
func (n *node) start() {
	if !n.up || n.m != nil {
		return
	}
	if n.disk.under > 0 || n.disk.busy { // the kernel finishes what the old one began
		power := n.power
		n.w.after(time.Millisecond, func() {
			if n.power == power {
				n.start()
			}
		})
		return
	}
	n.life++
	n.serves, n.equals = cluster.VolumeEpoch{}, make(map[[2]uint64]bool)
	n.values, n.buffers, n.arrived, n.reading = make(map[uint64][]uint64), make(map[volume.Token][]uint64), make(map[[2]uint64][]uint64), make(map[uint64][]uint64)
	n.m = volume.New(volume.Config{Volume: volumeID, Self: cluster.Copy(n.id), Size: blocks * blockSize, BlockSize: blockSize, ExtentSize: perExtent * blockSize,
		Slots: slots, Boot: n.bootName, Session: n.w.rnd.Uint64(), LinkTimeout: linkTime, FlushEvery: 50 * time.Millisecond, CopyBytes: 3 * blockSize,
		CopiesInFlight: 2, QueueOps: 4, QueueBytes: 6 * blockSize, Undo: n.w.o.Undo, Broken: n.w.o.Broken}, n.disk.open())
	n.applied = 0
	if !n.w.away(n.id) {
		n.view(n.w.state.Applied, n.w.vol().Clone())
	}
	if n.until > n.clock() {
		n.step(volume.Lease{Until: n.until})
	}
}

// kill ends the volume-server; what it has asked of the disk goes on.
func (n *node) kill() {
	if n.m == nil {
		return
	}
	n.life++
	n.m = nil
	if n.disk.busy {
		n.disk.metaQ = n.disk.metaQ[:1]
	} else {
		n.disk.metaQ = nil
	}
	n.w.lostSession(n)
	for _, l := range n.w.links {
		if l.a == n.id || l.b == n.id {
			l.end(n.id)
		}
	}
}

// powerOff ends the machine.
func (n *node) powerOff() {
	if !n.up {
		return
	}
	n.w.say("power loss of %v", n.id)
	n.kill()
	n.up, n.frozen, n.stopped, n.inbox = false, false, false, nil
	n.power++
	n.until = 0
	if n.disk.powerLoss() {
		n.lost = true
	}
}

// reset is a new boot of the daemon's session: everything is stopped first.
func (n *node) reset() {
	n.kill()
	sn := n.w.state.Node(n.id)
	n.w.must(cluster.Command{Admit: &cluster.Admit{Node: n.id, Session: fmt.Sprint(n.id, "/", n.w.order), Previous: sn.Generation}})
	n.generation = n.w.state.Node(n.id).Generation
	n.heard = n.w.now
	n.until = 0
	n.w.say("node %v is admitted as generation %d", n.id, n.generation)
	n.start()
	n.w.shows()
}

func (n *node) freeze(stopClock bool) {
	if !n.up || n.frozen {
		return
	}
	n.w.say("freeze of %v, clock stops: %v", n.id, stopClock)
	n.frozen, n.stopped, n.since = true, stopClock, n.w.now
}

func (n *node) thaw() {
	if !n.frozen {
		return
	}
	n.w.say("thaw of %v", n.id)
	if n.stopped {
		n.behind += n.w.now - n.since
	}
	n.frozen, n.stopped = false, false
	in := n.inbox
	n.inbox = nil
	for _, f := range in {
		f()
	}
}

// soon runs what comes from outside, when the node isn't frozen.
func (n *node) soon(f func()) {
	if n.frozen {
		n.inbox = append(n.inbox, f)
		return
	}
	f()
}

func (n *node) view(applied uint64, v *cluster.Volume) {
	n.soon(func() {
		if n.m != nil && applied >= n.applied {
			n.applied = applied
			n.step(volume.View{Applied: applied, Volume: v})
		}
	})
}

func (n *node) lease(until time.Duration) {
	n.soon(func() {
		n.until = max(n.until, until)
		if n.m != nil {
			n.step(volume.Lease{Until: until})
		}
	})
}

func (n *node) done(life int, t volume.Token, failed bool) {
	n.soon(func() {
		if n.life == life && n.m != nil && t != 0 {
			n.step(volume.Done{Token: t, Failed: failed})
		}
	})
}

// step steps the machine and carries out what it asks.
func (n *node) step(ev volume.Event) {
	if n.m == nil || n.w.fault != "" {
		return
	}
	m, life := n.m, n.life
	fx := m.Step(n.instant(), ev)
	for _, p := range fx.Persist {
		n.disk.persist(p)
	}
	for _, d := range fx.Disk {
		n.operate(life, d)
	}
	for _, s := range fx.Send {
		n.send(s)
	}
	for _, l := range fx.HangUp {
		if l := n.w.links[l]; l != nil {
			l.end(n.id)
		}
	}
	for _, c := range fx.Dial {
		n.dial(life, c)
	}
	for _, c := range fx.Propose {
		n.w.propose(n, c)
	}
	for _, r := range fx.Reply {
		n.w.replied(n, r)
	}
	if m.Role() == volume.Source && n.serves != m.Super().Epoch {
		n.serves = m.Super().Epoch
		n.w.begins(n)
	}
	n.w.check()
	n.wake++
	at, wake := m.Next(), n.wake
	if at != cluster.Never {
		n.w.after(max(at-n.clock(), 0), func() {
			n.soon(func() {
				if n.life == life && n.wake == wake {
					n.step(volume.Tick{})
				}
			})
		})
	}
}

func (n *node) operate(life int, op volume.DiskOp) {
	var values []uint64
	switch {
	case op.Kind != volume.DiskWrite:
	case op.Request != 0:
		values = n.values[op.Request]
	default:
		key := [2]uint64{op.Link, op.Seq}
		values = n.arrived[key]
		delete(n.arrived, key)
		n.w.taken(n, op)
	}
	n.disk.operate(op, values, func(out []uint64, failed bool) {
		if n.life == life {
			if op.Kind == volume.DiskRead && op.Request != 0 {
				n.reading[op.Request] = out
			}
			if op.Kind == volume.DiskRead && op.Copy != 0 {
				n.buffers[op.Copy] = out
			}
		}
		n.done(life, op.Token, failed)
	})
}

func (n *node) send(s volume.Send) {
	l := n.w.links[s.Link]
	if l == nil {
		return
	}
	var data []uint64
	switch {
	case s.Message.Type == volume.Writes:
		data = n.values[s.Request]
	case s.Message.Type == volume.CopyBlocks:
		data = n.buffers[s.Copy]
		delete(n.buffers, s.Copy)
	}
	if s.Message.Type == volume.Ack && n.equals[[2]uint64{s.Link, s.Message.Seq}] {
		n.lost = false // it has everything again
	}
	l.send(n.id, s.Message, data)
}

func (n *node) dial(life int, c cluster.Copy) {
	to := n.w.nodes[cluster.NodeID(c)]
	n.w.after(time.Millisecond+n.w.chance(2*time.Millisecond), func() {
		if n.life != life {
			return
		}
		if !to.up || to.m == nil || n.w.apart(n.id, to.id) {
			n.soon(func() {
				if n.life == life {
					n.step(volume.LinkDown{Peer: c})
				}
			})
			return
		}
		n.w.nextID++
		l := &link{w: n.w, id: n.w.nextID, a: n.id, b: to.id, lifeA: n.life, lifeB: to.life}
		n.w.links[l.id] = l
		n.soon(func() {
			if n.life == life {
				n.step(volume.LinkUp{Peer: c, Link: l.id})
			}
		})
	})
}
