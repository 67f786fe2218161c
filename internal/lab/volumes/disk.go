package volumes

import (
	"maps"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/volume"
)

// disk is a device with a volatile cache, and the metadata of a copy. A value
// stands for the content of a block.
type disk struct {
	n       *node
	durable [blocks]uint64
	cache   []cached // completed, not flushed, in order
	under   int      // operations under way
	bad     bool     // writes and flushes fail
	erred   bool     // they did once

	super volume.Super
	slots []int64
	marks map[cluster.Copy]map[int64][]uint64
	undo  map[int64]uint64
	metaQ []volume.Persist
	busy  bool
}

type cached struct {
	block  int64
	value  uint64
	failed bool // the device said that it failed
}

func (d *disk) init(n *node) {
	d.n = n
	d.super = volume.Super{Consistent: true, Boot: "b0"}
	d.super.Epoch = cluster.VolumeEpoch{Lineage: 1}
	d.slots = make([]int64, slots)
	for i := range d.slots {
		d.slots[i] = -1
	}
	d.marks = make(map[cluster.Copy]map[int64][]uint64)
	d.undo = make(map[int64]uint64)
}

// read is the content as the device gives it.
func (d *disk) read(b int64) uint64 {
	for i := len(d.cache) - 1; i >= 0; i-- {
		if d.cache[i].block == b {
			return d.cache[i].value
		}
	}
	return d.durable[b]
}

// open is what a starting process finds.
func (d *disk) open() volume.Disk {
	o := volume.Disk{Super: d.super, Slots: slices.Clone(d.slots), Marks: make(map[cluster.Copy]*volume.Bitmap)}
	for c, pages := range d.marks {
		b := volume.NewBitmap(blocks, perExtent)
		for e, bits := range pages {
			b.SetPage(e, bits)
		}
		o.Marks[c] = b
	}
	if d.super.Undo {
		o.Saved = volume.NewBitmap(blocks, perExtent)
		for b := range d.undo {
			o.Saved.Set(volume.Run{First: b, Count: 1})
		}
	}
	return o
}

// persist is carried out in order; what was under way at a power loss is done or
// not.
func (d *disk) persist(p volume.Persist) {
	d.metaQ = append(d.metaQ, p)
	d.next()
}

func (d *disk) next() {
	if d.busy || len(d.metaQ) == 0 {
		return
	}
	d.busy = true
	p, power, process := d.metaQ[0], d.n.power, d.n.life
	d.n.w.after(50*time.Microsecond+d.n.w.chance(time.Millisecond), func() {
		if d.n.power != power {
			return
		}
		d.busy = false
		d.metaQ = d.metaQ[1:]
		d.write(p)
		d.n.done(process, p.Token, false)
		d.next()
	})
}

func (d *disk) write(p volume.Persist) {
	switch {
	case p.Super != nil:
		if p.Super.Epoch.Less(d.super.Epoch) {
			d.n.w.violated("node %v writes epoch %v after %v", d.n.id, p.Super.Epoch, d.super.Epoch)
		}
		d.super = *p.Super
	case p.Slots != nil:
		for _, s := range p.Slots {
			d.slots[s.Slot] = s.Extent
		}
	case p.Page != nil:
		if d.marks[p.Page.Copy] == nil {
			d.marks[p.Page.Copy] = make(map[int64][]uint64)
		}
		d.marks[p.Page.Copy][p.Page.Extent] = slices.Clone(p.Page.Bits)
	case p.ClearMarks != 0:
		delete(d.marks, p.ClearMarks)
	case p.DropUndo:
		clear(d.undo)
	}
}

// operate carries out one operation: it takes effect at some moment and its end
// is told later.
func (d *disk) operate(op volume.DiskOp, values []uint64, told func(values []uint64, failed bool)) {
	w, power := d.n.w, d.n.power
	d.under++
	flushed := len(d.cache)
	took := 100*time.Microsecond + w.chance(2*time.Millisecond)
	if w.faults && w.odds(2) {
		took += w.chance(linkTime)
	}
	w.after(took, func() {
		if d.n.power != power {
			return
		}
		d.under--
		first, count := op.Offset/blockSize, op.Length/blockSize
		var out []uint64
		failed := d.bad && op.Kind != volume.DiskRead
		d.erred = d.erred || failed
		switch op.Kind {
		case volume.DiskRead:
			for b := first; b < first+count; b++ {
				out = append(out, d.read(b))
			}
		case volume.DiskWrite, volume.DiskTrim, volume.DiskZero:
			if failed && (op.Kind != volume.DiskWrite || w.odds(50)) {
				break
			}
			for i := int64(0); i < count; i++ {
				v := uint64(0)
				if op.Kind == volume.DiskWrite {
					v = values[i]
				}
				if failed {
					w.model.junk[v] = true
				}
				d.cache = append(d.cache, cached{first + i, v, failed})
			}
			if op.FUA && !failed {
				d.flush(len(d.cache))
			}
		case volume.DiskFlush:
			if !failed {
				d.flush(min(flushed, len(d.cache)))
			}
		case volume.DiskUndoSave:
			for b := first; b < first+count; b++ {
				if _, saved := d.undo[b]; !saved {
					d.undo[b] = d.read(b)
				}
			}
		case volume.DiskUndoRestore:
			for _, b := range slices.Sorted(maps.Keys(d.undo)) {
				d.cache = append(d.cache, cached{b, d.undo[b], false})
			}
			d.flush(len(d.cache))
		}
		told(out, failed)
	})
}

// flush makes the first n cached writes durable. Others that were cached later
// may have become so by themselves, which a power loss decides.
func (d *disk) flush(n int) {
	for _, c := range d.cache[:n] {
		d.durable[c.block] = c.value
	}
	d.cache = slices.Delete(d.cache, 0, n)
}

// powerLoss keeps of each cached write what chance says. It reports whether
// something is missing now that clients may rely on.
func (d *disk) powerLoss() bool {
	want := make(map[int64][]uint64) // by block: what counted as written, and what may have been since
	for _, c := range d.cache {
		if !c.failed {
			want[c.block] = nil
		}
		if !c.failed || len(want[c.block]) > 0 {
			want[c.block] = append(want[c.block], c.value)
		}
		if d.n.w.odds(50) {
			d.durable[c.block] = c.value
		}
	}
	d.cache, d.under = nil, 0
	if d.busy && d.n.w.odds(50) {
		d.write(d.metaQ[0])
	}
	d.metaQ, d.busy = nil, false
	if d.erred { // what a device that reported errors keeps is anybody's guess
		for b, x := range d.durable {
			if !d.n.w.model.blocks[b].may(x) {
				return true
			}
		}
	}
	for b, x := range want {
		if !slices.Contains(x, d.durable[b]) || !d.n.w.model.blocks[b].may(d.durable[b]) && !d.n.w.model.junk[d.durable[b]] {
			return true
		}
	}
	return false
}
