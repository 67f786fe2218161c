package world

import (
	"time"

	"github.com/perdure-ha/perdure/internal/core"
)

// queue is what will happen, in the order of time and then of planning. It is a
// heap of small keys; what they stand for lies still beside it, because most of
// a run's work would otherwise be the moving of it.
type queue struct {
	keys  []key
	items []item
	free  []int32
	seq   uint64
}

// key orders the items.
type key struct {
	at  time.Duration
	seq uint64
	i   int32
}

func (k *key) before(o *key) bool { return k.at < o.at || k.at == o.at && k.seq < o.seq }

// item is something that will happen: a packet arrives at a node, an alarm
// rings, or do is called.
type item struct {
	do       func()
	packet   core.Event
	from, to int32 // of the packet; or node and process of the alarm
	turn     uint32
	rings    bool
}

func (q *queue) len() int { return len(q.keys) }

// next is when the first item is due.
func (q *queue) next() time.Duration { return q.keys[0].at }

func (q *queue) push(at time.Duration, it item) {
	var i int32
	if n := len(q.free); n > 0 {
		i = q.free[n-1]
		q.free = q.free[:n-1]
		q.items[i] = it
	} else {
		i = int32(len(q.items))
		q.items = append(q.items, it)
	}
	q.seq++
	k := key{at: at, seq: q.seq, i: i}
	q.keys = append(q.keys, k)
	// Up: four children each, so that the heap is flat.
	at4 := len(q.keys) - 1
	for at4 > 0 {
		up := (at4 - 1) / 4
		if !k.before(&q.keys[up]) {
			break
		}
		q.keys[at4] = q.keys[up]
		at4 = up
	}
	q.keys[at4] = k
}

func (q *queue) pop() (time.Duration, item) {
	first := q.keys[0]
	last := q.keys[len(q.keys)-1]
	q.keys = q.keys[:len(q.keys)-1]
	if n := len(q.keys); n > 0 {
		i := 0
		for {
			child := 4*i + 1
			if child >= n {
				break
			}
			best := child
			for c := child + 1; c < min(child+4, n); c++ {
				if q.keys[c].before(&q.keys[best]) {
					best = c
				}
			}
			if !q.keys[best].before(&last) {
				break
			}
			q.keys[i] = q.keys[best]
			i = best
		}
		q.keys[i] = last
	}
	it := q.items[first.i]
	q.items[first.i] = item{}
	q.free = append(q.free, first.i)
	return first.at, it
}
