package volumes

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/volume"
)

// link is one connection: ordered, and what is sent during a cut arrives late,
// if both ends still hold it.
type link struct {
	w            *World
	id           uint64
	a, b         cluster.NodeID
	lifeA, lifeB int
	overA, overB bool             // this end hung up
	queue        [2][]func(*node) // on the way
}

func (l *link) other(id cluster.NodeID) (*node, int) {
	if id == l.a {
		return l.w.nodes[l.b], l.lifeB
	}
	return l.w.nodes[l.a], l.lifeA
}

func (l *link) over(id cluster.NodeID) bool { return id == l.a && l.overA || id == l.b && l.overB }

func (l *link) send(from cluster.NodeID, msg volume.Message, data []uint64) {
	if msg.Type == volume.CopyBlocks {
		l.w.Copied += msg.Length / blockSize
	}
	l.deliver(from, func(n *node) {
		if l.over(n.id) {
			return
		}
		if data != nil {
			n.arrived[[2]uint64{l.id, msg.Seq}] = data
		}
		if msg.Type == volume.Equals {
			n.equals[[2]uint64{l.id, msg.Seq}] = true
		}
		n.step(volume.Received{Link: l.id, Message: msg})
	})
}

// deliver brings something to the other end, in order, after a cut has healed.
func (l *link) deliver(from cluster.NodeID, f func(*node)) {
	q := &l.queue[0]
	if from == l.b {
		q = &l.queue[1]
	}
	*q = append(*q, f)
	if len(*q) == 1 {
		l.next(from, q)
	}
}

func (l *link) next(from cluster.NodeID, q *[]func(*node)) {
	d := 100*time.Microsecond + l.w.chance(500*time.Microsecond)
	if l.w.faults && l.w.odds(1) {
		d += l.w.chance(linkTime)
	}
	if l.w.apart(l.a, l.b) {
		d = 5 * time.Millisecond
	}
	l.w.after(d, func() {
		if l.w.apart(l.a, l.b) {
			l.next(from, q)
			return
		}
		f := (*q)[0]
		*q = (*q)[1:]
		n, life := l.other(from)
		if n.life == life && n.m != nil {
			n.soon(func() {
				if n.life == life && n.m != nil {
					f(n)
				}
			})
		}
		if len(*q) > 0 {
			l.next(from, q)
		}
	})
}

// end hangs up; the other end learns of it behind what was sent.
func (l *link) end(id cluster.NodeID) {
	if l.over(id) {
		return
	}
	if id == l.a {
		l.overA = true
	} else {
		l.overB = true
	}
	l.deliver(id, func(n *node) {
		if !l.over(n.id) {
			peer := l.a
			if n.id == l.a {
				peer = l.b
			}
			if n.id == l.a {
				l.overA = true
			} else {
				l.overB = true
			}
			n.step(volume.LinkDown{Peer: cluster.Copy(peer), Link: l.id})
		}
	})
}
