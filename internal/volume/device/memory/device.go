package memory

import (
	"fmt"
	"math/rand"
	"slices"
	"sync"

	"github.com/perdure-ha/perdure/internal/volume/block"
)

// Device is a disk in memory.
type Device struct {
	geometry block.Geometry

	mu       sync.Mutex
	content  []byte
	durable  []byte
	unsynced []change
	fail     func(*block.Request) error
	held     []*block.Request
	holding  bool
	gone     bool
	counts   map[block.Op]int
}

var _ block.Submitter = (*Device)(nil)

// change is a write that isn't known to be durable.
type change struct {
	offset int64
	data   []byte
	// forced: it is durable, and with it that nothing older is in its place.
	forced bool
}

// New makes an empty disk of size bytes with sectors of logical bytes.
func New(size int64, logical int) *Device {
	return &Device{
		geometry: block.Geometry{Size: size, Logical: logical, Physical: logical, MemoryAlign: 1, Discard: true, DiscardZeroes: true, FastZero: true},
		content:  make([]byte, size), durable: make([]byte, size), counts: make(map[block.Op]int),
	}
}

// Geometry is what the disk is like.
func (d *Device) Geometry() block.Geometry {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.geometry
}

// Refresh looks at the size again, as a real device's does.
func (d *Device) Refresh() (block.Geometry, error) { return d.Geometry(), nil }

// Close does nothing: a test may look at the content afterwards.
func (d *Device) Close() error { return nil }

// Grow makes the disk larger.
func (d *Device) Grow(size int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.content = append(d.content, make([]byte, size-d.geometry.Size)...)
	d.durable = append(d.durable, make([]byte, size-d.geometry.Size)...)
	d.geometry.Size = size
}

// Fail has f look at each operation before it is done: an error ends it without
// effect. nil: none fails.
func (d *Device) Fail(f func(*block.Request) error) {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.fail = f
}

// Vanish makes every operation fail from now on, as if the disk was pulled out.
func (d *Device) Vanish() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.gone = true
}

// Hold keeps operations from now on until Release.
func (d *Device) Hold() {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.holding = true
}

// Held is how many operations wait.
func (d *Device) Held() int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return len(d.held)
}

// Release does the operations that were held, in the order of perm if it is not
// nil (see [rand.Perm]), and holds no more.
func (d *Device) Release(perm func(int) []int) {
	d.mu.Lock()
	held := d.held
	d.held, d.holding = nil, false
	d.mu.Unlock()
	order := make([]int, len(held))
	for i := range order {
		order[i] = i
	}
	if perm != nil {
		order = perm(len(held))
	}
	for _, i := range order {
		held[i].End(d.perform(held[i]))
	}
}

// Count is how many operations of a kind were done.
func (d *Device) Count(op block.Op) int {
	d.mu.Lock()
	defer d.mu.Unlock()
	return d.counts[op]
}

// Content is a copy of what a reader sees now.
func (d *Device) Content() []byte {
	d.mu.Lock()
	defer d.mu.Unlock()
	return slices.Clone(d.content)
}

// Corrupt turns every bit of a range that is read from now on.
func (d *Device) Corrupt(offset, n int64) {
	d.mu.Lock()
	defer d.mu.Unlock()
	for i := offset; i < offset+n; i++ {
		d.content[i] ^= 0xff
		d.durable[i] ^= 0xff
	}
}

// Submit implements [block.Submitter].
func (d *Device) Submit(batch []*block.Request) {
	for _, r := range batch {
		d.mu.Lock()
		if d.holding {
			d.held = append(d.held, r)
			d.mu.Unlock()
			continue
		}
		d.mu.Unlock()
		r.End(d.perform(r))
	}
}

func (d *Device) perform(r *block.Request) error {
	d.mu.Lock()
	defer d.mu.Unlock()
	d.counts[r.Op]++
	if d.gone {
		return fmt.Errorf("%v: %w", r.Op, block.ErrGone)
	}
	if err := d.geometry.Check(r); err != nil {
		return err
	}
	if d.fail != nil {
		if err := d.fail(r); err != nil {
			return err
		}
	}
	switch r.Op {
	case block.Read:
		copy(r.Data, d.content[r.Offset:])
	case block.Write:
		d.change(r.Offset, slices.Clone(r.Data))
	case block.Zero, block.Discard:
		d.change(r.Offset, make([]byte, r.Length))
	case block.Flush:
		d.sync()
	}
	if r.Op.Changes() && r.Flags&block.FUA != 0 {
		d.unsynced[len(d.unsynced)-1].forced = true
	}
	return nil
}

func (d *Device) change(offset int64, data []byte) {
	copy(d.content[offset:], data)
	d.unsynced = append(d.unsynced, change{offset: offset, data: data})
}

func (d *Device) sync() {
	copy(d.durable, d.content)
	d.unsynced = d.unsynced[:0]
}

// Crash is the disk as it may be after a loss of power now: each sector of each
// unsynced write is there or not, as seed decides. The device itself goes on.
func (d *Device) Crash(seed int64) *Device {
	d.mu.Lock()
	defer d.mu.Unlock()
	r := rand.New(rand.NewSource(seed))
	after := New(d.geometry.Size, d.geometry.Logical)
	after.geometry = d.geometry
	copy(after.content, d.durable)
	sector := int64(d.geometry.Logical)
	for _, c := range d.unsynced {
		// Most writes are there or not as a whole; some are torn.
		torn, whole := r.Intn(4) == 0, r.Intn(2) == 0
		for at := int64(0); at < int64(len(c.data)); at += sector {
			if c.forced || torn && r.Intn(2) == 0 || !torn && whole {
				copy(after.content[c.offset+at:c.offset+at+sector], c.data[at:])
			}
		}
	}
	copy(after.durable, after.content)
	return after
}
