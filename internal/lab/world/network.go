package world

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// network joins every pair of nodes by one link in each direction.
type network struct {
	w     *World
	n     int
	links []link
	born  map[uint64]int // processes, numbered as they began to speak
	heard []int          // the newest heard on each link
}

// link is one direction.
type link struct {
	cut   bool
	loss  int           // percent of datagrams
	delay time.Duration // mean
	last  time.Duration // when the last message of the stream arrives
}

func newNetwork(w *World, n int) network {
	net := network{w: w, n: n, links: make([]link, n*n), born: make(map[uint64]int), heard: make([]int, n*n)}
	for i := range net.links {
		net.links[i].delay = 200 * time.Microsecond
	}
	return net
}

func (net *network) link(from, to int) *link { return &net.links[from*net.n+to] }

// heal ends all faults of the network.
func (net *network) heal() {
	for i := range net.links {
		net.links[i].cut, net.links[i].loss, net.links[i].delay = false, 0, 200*time.Microsecond
	}
}

// datagram carries a heartbeat or an acknowledgement: it may be lost, overtake
// others or come twice.
func (net *network) datagram(from, to int, ev core.Event) {
	l := net.link(from, to)
	if l.cut || l.loss > 0 && net.w.maybe(l.loss) {
		return
	}
	w := net.w
	w.arrives(w.now+l.delay/2+w.chance(l.delay), from, to, ev)
	if l.loss > 0 && w.maybe(2) {
		w.arrives(w.now+l.delay/2+w.chance(20*l.delay), from, to, ev)
	}
}

// stream carries a message: in order, or not at all while the link is cut.
func (net *network) stream(from, to int, m *core.Message) {
	l := net.link(from, to)
	back := net.link(to, from)
	if l.cut || back.cut { // a connection needs both directions
		return
	}
	w := net.w
	d := l.delay/2 + w.chance(l.delay)
	if l.loss > 0 && w.maybe(l.loss) {
		d += 200 * time.Millisecond // retransmitted
	}
	l.last = max(l.last, w.now+d)
	copied := *m
	w.arrives(l.last, from, to, core.MessageReceived{From: w.nodes[from].id, Message: &copied})
}

func (net *network) arrive(from, to int, ev core.Event) {
	l := net.link(from, to)
	if l.cut {
		return
	}
	if b, ok := ev.(core.BeatReceived); ok && !net.inOrder(from, to, b.Beat.Life) {
		return
	}
	net.w.nodes[to].deliver(ev)
}

// inOrder is the comm paths' rule for sessions: once a newer process of a node
// was heard, nothing of an older one is delivered, not even what comes late and
// for the first time (docs/design/commpaths.md).
func (net *network) inOrder(from, to int, life uint64) bool {
	heard := &net.heard[from*net.n+to]
	if born := net.born[life]; born >= *heard {
		*heard = born
		return true
	}
	return false
}

// speaks notes which processes are newer than others.
func (net *network) speaks(life uint64) {
	if _, known := net.born[life]; !known {
		net.born[life] = len(net.born) + 1
	}
}

// index is the place of a node by its id; −1 if it is nobody's.
func (w *World) index(id cluster.NodeID) int {
	for i, n := range w.nodes {
		if n.id == id {
			return i
		}
	}
	return -1
}
