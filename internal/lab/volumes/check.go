package volumes

import (
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/volume"
)

// model is what clients may see, for each block.
type model struct {
	blocks [blocks]blockModel
	next   uint64 // values; also counts starts
	// acks lists acknowledged writes in order: value and block.
	acks    []acked
	started map[uint64]int // value → acknowledgements when it was submitted
	ops     map[uint64]*clientOp
	junk    map[uint64]bool // values of writes that a disk said had failed
}

type acked struct {
	block int64
	value uint64
}

// blockModel is one block: the last acknowledged value, the last that was
// flushed, and values of writes that are under way or of which nobody knows
// what became.
type blockModel struct {
	last, flushed uint64
	after         []uint64 // seen or acknowledged since the last flush
	unknown       []uint64
	under         []uint64 // of the present session
}

type clientOp struct {
	req    volume.Request
	values []uint64
	node   *node
	life   int
	acked  int // acknowledgements when a flush was submitted
	before [][]uint64
}

func (m *model) init() {
	m.junk = make(map[uint64]bool)
	m.started, m.ops = make(map[uint64]int), make(map[uint64]*clientOp)
}

func (b *blockModel) may(v uint64) bool {
	return v == b.last || slices.Contains(b.unknown, v) || slices.Contains(b.under, v)
}

// pin makes a value the last. What it replaced may come back by a power loss
// alone, until it is flushed.
func (b *blockModel) pin(v uint64) {
	b.after = append(append(b.after, b.unknown...), v)
	b.last, b.unknown = v, nil
}

// client submits a request to whoever serves.
func (w *World) client() {
	if w.quiet != 0 {
		return
	}
	for i := 1; i <= w.o.Copies; i++ {
		n := w.nodes[cluster.NodeID(i)]
		if n.m == nil || n.frozen || n.m.Role() != volume.Source {
			continue
		}
		mine := 0
		for _, o := range w.model.ops {
			if o.node == n && o.life == n.life {
				mine++
			}
		}
		if mine < 6 {
			w.submit(n)
		}
	}
}

func (w *World) submit(n *node) {
	w.nextID++
	first := w.rnd.Int64N(blocks)
	if w.odds(60) {
		first = w.rnd.Int64N(8) // some are used often
	}
	count := min(1+w.rnd.Int64N(3), blocks-first)
	o := &clientOp{node: n, life: n.life, acked: len(w.model.acks)}
	o.req = volume.Request{ID: w.nextID, Kind: volume.Read, Offset: first * blockSize, Length: count * blockSize}
	switch k := w.rnd.IntN(10); {
	case k < 6:
		o.req.Kind, o.req.FUA = volume.Write, w.odds(10)
		if w.odds(10) {
			o.req.Kind = volume.Zero
		}
		for b := first; b < first+count; b++ {
			if len(w.model.blocks[b].under) > 0 {
				return // one write at a time for each block, so that order is known
			}
		}
		for b := first; b < first+count; b++ {
			v := uint64(0)
			if o.req.Kind == volume.Write {
				w.model.next++
				v = w.model.next
				w.model.started[v] = len(w.model.acks)
			}
			o.values = append(o.values, v)
			w.model.blocks[b].under = append(w.model.blocks[b].under, v)
		}
		n.values[o.req.ID] = o.values
	case k < 7:
		o.req.Kind, o.req.Offset, o.req.Length = volume.Flush, 0, 0
		for b := range w.model.blocks {
			o.before = append(o.before, slices.Clone(append([]uint64{w.model.blocks[b].flushed}, w.model.blocks[b].after...)))
		}
	}
	w.model.ops[o.req.ID] = o
	n.step(volume.Submit{Request: o.req})
}

// replied checks what a client was told.
func (w *World) replied(n *node, r volume.Reply) {
	o := w.model.ops[r.Request]
	if o == nil || o.life != n.life {
		return
	}
	delete(w.model.ops, r.Request)
	delete(n.values, r.Request)
	first := o.req.Offset / blockSize
	if r.Error != volume.OK {
		w.unknown(o)
		return
	}
	v := w.vol()
	if o.req.Kind != volume.Read && n.m.Super().Epoch != v.Epoch {
		w.late(n, o)
		return
	}
	switch o.req.Kind {
	case volume.Read:
		if n.m.Super().Epoch != v.Epoch && n.behind > 0 {
			return // the residue of a clock that stood still
		}
		got := n.reading[r.Request]
		delete(n.reading, r.Request)
		for i, x := range got {
			m := &w.model.blocks[first+int64(i)]
			if w.model.junk[x] {
				continue // a disk said that writing it had failed
			}
			if !m.may(x) {
				w.violated("node %v reads %d from block %d, acknowledged is %d (unknown %v, under way %v)", n.id, x, first+int64(i), m.last, m.unknown, m.under)
				return
			}
			if n.m.Super().Epoch == v.Epoch && !slices.Contains(m.under, x) {
				// Whoever has seen it must not see another one later.
				if x != m.last {
					m.pin(x)
				}
			}
		}
	case volume.Flush:
		for b := range w.model.blocks {
			m := &w.model.blocks[b]
			had := o.before[b]
			if x := had[len(had)-1]; x != m.flushed {
				if i := slices.Index(m.after, x); i >= 0 {
					m.after = slices.Delete(m.after, 0, i+1)
					m.flushed = x
				}
			}
		}
	default:
		w.Acked++
		for i, x := range o.values {
			b := first + int64(i)
			m := &w.model.blocks[b]
			m.under = slices.DeleteFunc(m.under, func(u uint64) bool { return u == x })
			m.pin(x)
			if o.req.FUA {
				m.flushed, m.after = x, nil
			}
			w.model.acks = append(w.model.acks, acked{b, x})
		}
	}
}

// late: a node that was frozen tells a client what was done under an epoch that
// is over. That is true only if whoever serves now has it.
func (w *World) late(n *node, o *clientOp) {
	w.unknown(o)
	v := w.vol()
	if n.m.Super().Epoch.Lineage != v.Epoch.Lineage {
		return // a person went on without it
	}
	for i, x := range o.values {
		b := o.req.Offset/blockSize + int64(i)
		for _, c := range v.Copies {
			if c.Standing == cluster.InSync && !w.nodes[c.Node].lost && w.nodes[c.Node].disk.read(b) != x {
				w.violated("node %v acknowledges %d in block %d under epoch %v; under %v copy %d has %d", n.id, x, b, n.m.Super().Epoch, v.Epoch, c.Number, w.nodes[c.Node].disk.read(b))
			}
		}
		w.model.blocks[b].pin(x)
	}
}

// unknown: nobody knows whether the request was done.
func (w *World) unknown(o *clientOp) {
	for i, x := range o.values {
		m := &w.model.blocks[o.req.Offset/blockSize+int64(i)]
		m.under = slices.DeleteFunc(m.under, func(u uint64) bool { return u == x })
		m.unknown = append(m.unknown, x)
	}
}

// lostSession: the process is gone, with all that clients waited for.
func (w *World) lostSession(n *node) {
	for id, o := range w.model.ops {
		if o.node == n {
			w.unknown(o)
			delete(w.model.ops, id)
		}
	}
}

// grant is what the document said of a copy when it gave it an epoch.
type grant struct {
	was    cluster.VolumeCopy
	forced bool
}

// begins: a node has become the source.
func (w *World) begins(n *node) {
	e := n.m.Super().Epoch
	w.Takeovers++
	w.say("node %v serves under epoch %v", n.id, e)
	g, granted := w.grants[e]
	switch {
	case !granted:
		w.violated("node %v serves under epoch %v, which nobody gave it", n.id, e)
	case g.was.Standing == cluster.Following:
		w.pastState(n, !n.lost && !g.was.Suspect)
		w.adopt(n)
	case n.accepted || g.forced:
		w.softly(n)
	case n.lost && n.disk.erred:
		w.adopt(n)
	case n.lost:
		w.violated("copy %d lost acknowledged writes with its power and is the source without that being known", n.id)
	}
	n.lost, n.accepted = false, false
}

// softly: a copy that lost power may lack what was not flushed.
func (w *World) softly(n *node) {
	for b := range w.model.blocks {
		m := &w.model.blocks[b]
		x := n.disk.read(int64(b))
		if !w.model.junk[x] && x != m.flushed && !slices.Contains(m.after, x) && !m.may(x) {
			w.violated("node %v serves after a power loss: block %d is %d, flushed was %d, then %v, last %d unknown %v under %v", n.id, b, x, m.flushed, m.after, m.last, m.unknown, m.under)
		}
	}
	w.adopt(n)
}

// adopt takes the content of a copy for the truth.
func (w *World) adopt(n *node) {
	for b := range w.model.blocks {
		m := &w.model.blocks[b]
		x := n.disk.read(int64(b))
		m.last, m.flushed, m.after = x, x, nil
		if x != n.disk.durable[b] {
			m.flushed, m.after = n.disk.durable[b], []uint64{x}
		}
		m.unknown = nil
	}
	w.model.acks = nil
	clear(w.model.started)
}

// pastState checks that an async copy holds what the volume once was: if it has
// a write, it has every write that was acknowledged before that one began.
func (w *World) pastState(n *node, whole bool) {
	if !whole || !n.disk.super.Consistent {
		return
	}
	newest := 0
	for b := range int64(blocks) {
		newest = max(newest, w.model.started[n.disk.read(b)])
	}
	var must [blocks]int // index in acks + 1 of what the block must at least have
	for i, a := range w.model.acks[:min(newest, len(w.model.acks))] {
		must[a.block] = i + 1
	}
	for b := range int64(blocks) {
		if must[b] == 0 {
			continue
		}
		x, want := n.disk.read(b), w.model.acks[must[b]-1].value
		if x == want || x == 0 && want == 0 {
			continue
		}
		later := slices.ContainsFunc(w.model.acks[must[b]:], func(a acked) bool { return a.block == b && a.value == x }) ||
			w.model.blocks[b].may(x)
		if !later {
			w.violated("async copy on node %v is no past state: block %d has %d, %d was acknowledged before a write that it has began", n.id, b, x, want)
			return
		}
	}
}

// taken checks that a target takes no write of a stale epoch.
func (w *World) taken(n *node, op volume.DiskOp) {
	if l := w.links[op.Link]; l != nil {
		if e := n.m.Super().Epoch; e != n.disk.super.Epoch {
			w.violated("node %v takes a write under epoch %v, its disk has %v", n.id, e, n.disk.super.Epoch)
		}
		if from := w.nodes[l.a]; from.life == l.lifeA && from.m != nil && n.m != nil {
			if s := from.m.Super(); s.Source && s.Epoch.Less(n.disk.super.Epoch) && n.m.Super().Epoch == s.Epoch {
				w.violated("node %v takes a write of epoch %v after %v", n.id, s.Epoch, n.disk.super.Epoch)
			}
		}
	}
}

// check looks at every in-sync copy.
func (w *World) check() {
	if w.fault != "" {
		return
	}
	v := w.vol()
	if v.Unverified {
		return
	}
	for _, c := range v.Copies {
		n := w.nodes[c.Node]
		if c.Standing != cluster.InSync || n.lost || c.Suspect || v.Source == c.Number && n.serves != v.Epoch {
			continue // the last: it will say itself what it begins with
		}
		for b := range w.model.blocks {
			if x := n.disk.read(int64(b)); !w.model.blocks[b].may(x) && !w.model.junk[x] {
				m := &w.model.blocks[b]
				w.violated("in-sync copy %d is older: block %d is %d, acknowledged is %d (unknown %v, under way %v)", c.Number, b, x, m.last, m.unknown, m.under)
				return
			}
		}
	}
}

// compare: when all is quiet, in-sync copies are equal.
func (w *World) compare() {
	v := w.vol()
	source := w.nodes[v.Copy(v.Source).Node]
	for _, c := range v.Copies {
		if c.Standing == cluster.Diverged {
			continue
		}
		for b := range int64(blocks) {
			if x, y := w.nodes[c.Node].disk.read(b), source.disk.read(b); x != y {
				w.violated("in the end copy %d (%s) has %d in block %d, the source %d", c.Number, c.Standing, x, b, y)
				return
			}
		}
	}
}
