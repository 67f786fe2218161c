package volume

import (
	"maps"
	"math/bits"
	"slices"
)

// Run is a number of blocks one after another.
type Run struct {
	First, Count int64
}

// End is the block behind the run.
func (r Run) End() int64 { return r.First + r.Count }

func (r Run) overlaps(o Run) bool { return r.First < o.End() && o.First < r.End() }

// Bitmap is a set of blocks, in pages of one extent each. Empty pages take no
// memory.
type Bitmap struct {
	perPage int64 // blocks of an extent
	blocks  int64 // of the volume
	pages   map[int64][]uint64
	count   int64
}

// NewBitmap is an empty set of blocks, for a volume of so many blocks with so
// many in an extent (at least 1).
func NewBitmap(blocks, perExtent int64) *Bitmap {
	return &Bitmap{perPage: perExtent, blocks: blocks, pages: make(map[int64][]uint64)}
}

// Count is the number of blocks in the set.
func (b *Bitmap) Count() int64 { return b.count }

// Has reports whether the block is in the set.
func (b *Bitmap) Has(block int64) bool {
	p := b.pages[block/b.perPage]
	i := block % b.perPage
	return p != nil && p[i/64]&(1<<(i%64)) != 0
}

// Set adds blocks. What lies outside the volume is ignored.
func (b *Bitmap) Set(r Run) {
	for n := max(r.First, 0); n < min(r.End(), b.blocks); n++ {
		page, i := n/b.perPage, n%b.perPage
		p := b.pages[page]
		if p == nil {
			p = make([]uint64, (b.perPage+63)/64)
			b.pages[page] = p
		}
		if p[i/64]&(1<<(i%64)) == 0 {
			p[i/64] |= 1 << (i % 64)
			b.count++
		}
	}
}

// Clear removes blocks.
func (b *Bitmap) Clear(r Run) {
	for n := max(r.First, 0); n < min(r.End(), b.blocks); n++ {
		page, i := n/b.perPage, n%b.perPage
		p := b.pages[page]
		if p == nil || p[i/64]&(1<<(i%64)) == 0 {
			continue
		}
		p[i/64] &^= 1 << (i % 64)
		b.count--
		if !slices.ContainsFunc(p, func(w uint64) bool { return w != 0 }) {
			delete(b.pages, page)
		}
	}
}

// Any reports whether a block of the run is in the set.
func (b *Bitmap) Any(r Run) bool {
	if b.count == 0 {
		return false
	}
	for n := max(r.First, 0); n < min(r.End(), b.blocks); n++ {
		if b.Has(n) {
			return true
		}
	}
	return false
}

// Add adds all blocks of another set of the same form.
func (b *Bitmap) Add(o *Bitmap) {
	for page, words := range o.pages {
		p := b.pages[page]
		if p == nil {
			p = make([]uint64, len(words))
			b.pages[page] = p
		}
		for i, w := range words {
			b.count += int64(bits.OnesCount64(w &^ p[i]))
			p[i] |= w
		}
	}
}

// Fill adds every block of the volume.
func (b *Bitmap) Fill() { b.Set(Run{0, b.blocks}) }

// Reset empties the set.
func (b *Bitmap) Reset() { clear(b.pages); b.count = 0 }

// Clone is a copy of the set.
func (b *Bitmap) Clone() *Bitmap {
	c := NewBitmap(b.blocks, b.perPage)
	c.Add(b)
	return c
}

// Next is the first block of the set at or behind from; −1 if there is none.
func (b *Bitmap) Next(from int64) int64 {
	if b.count == 0 {
		return -1
	}
	first := int64(-1)
	for _, page := range slices.Sorted(maps.Keys(b.pages)) {
		if (page+1)*b.perPage <= from {
			continue
		}
		for i, w := range b.pages[page] {
			base := page*b.perPage + int64(i)*64
			if base+64 <= from {
				continue
			}
			if from > base {
				w &= ^uint64(0) << (from - base)
			}
			if w != 0 {
				return base + int64(bits.TrailingZeros64(w))
			}
		}
	}
	return first
}

// Page is the part of the set in an extent, a bit for each block; nil if empty.
// The words are a copy.
func (b *Bitmap) Page(extent int64) []uint64 { return slices.Clone(b.pages[extent]) }

// SetPage adds the blocks of an extent as [Bitmap.Page] gave them.
func (b *Bitmap) SetPage(extent int64, words []uint64) {
	for i, w := range words {
		for ; w != 0; w &= w - 1 {
			b.Set(Run{extent*b.perPage + int64(i)*64 + int64(bits.TrailingZeros64(w)), 1})
		}
	}
}

// Extents lists the extents with blocks of the set, in order.
func (b *Bitmap) Extents() []int64 { return slices.Sorted(maps.Keys(b.pages)) }

// Runs lists the set as runs, in order.
func (b *Bitmap) Runs() []Run {
	var runs []Run
	for _, page := range b.Extents() {
		for i, w := range b.pages[page] {
			for ; w != 0; w &= w - 1 {
				n := page*b.perPage + int64(i)*64 + int64(bits.TrailingZeros64(w))
				if l := len(runs); l > 0 && runs[l-1].End() == n {
					runs[l-1].Count++
				} else {
					runs = append(runs, Run{n, 1})
				}
			}
		}
	}
	return runs
}
