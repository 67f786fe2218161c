package server

import (
	"fmt"
	"sync"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/meta"
)

// activity is the activity log while the copy is open: an extent is in the log on
// disk before the first write to it, and leaves only after a flush that began
// after its last write.
type activity struct {
	area   *meta.Area
	device block.Submitter
	log    block.Submitter // where the area is
	shift  uint            // of an extent
	volume [16]byte

	mu       sync.Mutex
	slots    []slot
	index    map[uint32]int
	hand     int // where the search for a slot goes on
	waiting  []*op
	starting []*op // assigned in the transaction that is being written
	sequence uint64
	writing  bool // a transaction
	flushing bool // to be able to give up slots
	writes   uint64
	failed   error
	buf      []byte
	hot      []uint32
	record   block.Request
	flush    block.Request
	flushed  uint64 // writes when the flush began
	batch    []*block.Request
}

// slot is an extent that is or becomes hot.
type slot struct {
	extent uint32
	used   bool
	busy   int // writes under way
	// dirty: written since the last flush; last is the count of writes then.
	dirty bool
	last  uint64
}

// newActivity goes on with what was hot. Those count as written: whether the disk
// has it is unknown.
func newActivity(area *meta.Area, device, log block.Submitter, buf []byte) (*activity, bool, error) {
	s := area.Superblock()
	if s.Slots < 4 {
		return nil, false, fmt.Errorf("volume %s: %d slots are too few", s.Name, s.Slots)
	}
	a := &activity{area: area, device: device, log: log, volume: s.Volume, slots: make([]slot, s.Slots), index: make(map[uint32]int, 2*s.Slots),
		hot: make([]uint32, s.Slots), buf: buf}
	for a.shift = 0; int64(1)<<a.shift < s.ExtentSize; {
		a.shift++
	}
	sequence, hot, whole, err := area.Activity()
	if err != nil {
		return nil, false, err
	}
	a.sequence = sequence
	for _, e := range hot {
		if e != meta.NoExtent && len(a.index) < len(a.slots) {
			i := len(a.index)
			a.slots[i] = slot{extent: e, used: true, dirty: true}
			a.index[e] = i
		}
	}
	a.record.Done, a.flush.Done = a.recorded, a.cleaned
	return a, whole, nil
}

// widest is how many extents a request may touch; a wider one is cut.
func (a *activity) widest() int64 { return int64(min(64, len(a.slots)/2)) }

// extents is the range of extents that a request touches.
func (a *activity) extents(r *block.Request) (first, last uint32) {
	return uint32(r.Offset >> a.shift), uint32((r.Offset + r.Size() - 1) >> a.shift)
}

// begin reports whether the request may go to the disk now. If not, it is started
// when its extents are hot, or ended with an error.
func (a *activity) begin(o *op) bool {
	first, last := a.extents(&o.inner)
	a.mu.Lock()
	defer a.mu.Unlock()
	if a.failed == nil && len(a.waiting) == 0 && a.claim(first, last) {
		return true
	}
	a.waiting = append(a.waiting, o)
	return false
}

// claim marks all extents as written to if all of them are hot already.
func (a *activity) claim(first, last uint32) bool {
	for e := first; e <= last; e++ {
		if _, ok := a.index[e]; !ok {
			return false
		}
	}
	for e := first; e <= last; e++ {
		s := &a.slots[a.index[e]]
		s.busy++
		s.dirty = true
	}
	return true
}

// kick goes on with those that wait. It is called without the lock after begin
// said no, and after each step.
func (a *activity) kick() {
	a.mu.Lock()
	if a.writing || len(a.waiting) == 0 {
		a.mu.Unlock()
		return
	}
	if a.failed != nil {
		a.fail()
		return
	}
	fresh, n := false, 0
	for _, o := range a.waiting {
		first, last := a.extents(&o.inner)
		added, ok := a.assign(first, last)
		if !ok {
			break
		}
		fresh = fresh || added
		a.starting = append(a.starting, o)
		n++
	}
	a.waiting = append(a.waiting[:0], a.waiting[n:]...)
	switch {
	case n == 0 && !a.flushing:
		// Everything is in use or not known to be on the disk.
		a.flushing, a.flushed = true, a.writes
		a.flush.Op = block.Flush
		a.mu.Unlock()
		a.device.Submit([]*block.Request{&a.flush})
	case n == 0:
		a.mu.Unlock() // when the flush is done
	case !fresh:
		a.start()
	default:
		a.write()
	}
}

// assign gives each extent a slot. ok is false if there are not enough; then
// nothing has changed but slots that were given up, which are cold by then.
func (a *activity) assign(first, last uint32) (fresh, ok bool) {
	need := 0
	for e := first; e <= last; e++ {
		if _, hot := a.index[e]; !hot {
			need++
		}
	}
	free := 0
	for i := range a.slots {
		s := &a.slots[i]
		if !s.used || s.busy == 0 && !s.dirty && (s.extent < first || s.extent > last) {
			free++
		}
		if free >= need {
			break
		}
	}
	if free < need {
		return false, false
	}
	for e := first; e <= last; e++ {
		i, hot := a.index[e]
		if !hot {
			i = a.victim(first, last)
			if a.slots[i].used {
				delete(a.index, a.slots[i].extent)
			}
			a.slots[i] = slot{extent: e, used: true}
			a.index[e] = i
			fresh = true
		}
		a.slots[i].busy++
		a.slots[i].dirty = true
	}
	return fresh, true
}

// victim finds a slot that is free, or whose extent can cool.
func (a *activity) victim(first, last uint32) int {
	for {
		a.hand = (a.hand + 1) % len(a.slots)
		s := &a.slots[a.hand]
		if !s.used || s.busy == 0 && !s.dirty && (s.extent < first || s.extent > last) {
			return a.hand
		}
	}
}

// write makes a transaction durable. It unlocks.
func (a *activity) write() {
	for i, s := range a.slots {
		a.hot[i] = meta.NoExtent
		if s.used {
			a.hot[i] = s.extent
		}
	}
	a.writing = true
	meta.EncodeActivity(a.buf, a.volume, a.sequence+1, a.hot)
	a.record.Op, a.record.Flags, a.record.Data = block.Write, block.FUA, a.buf[:meta.Block]
	a.record.Offset = a.area.ActivityAt(a.sequence + 1)
	a.mu.Unlock()
	a.log.Submit([]*block.Request{&a.record})
}

// recorded is the end of writing a transaction.
func (a *activity) recorded(r *block.Request) {
	a.mu.Lock()
	a.writing = false
	if r.Err != nil {
		a.failed = fmt.Errorf("write the activity log: %w", r.Err)
		a.fail()
		return
	}
	a.sequence++
	a.start()
}

// start submits what is assigned, and goes on. It unlocks.
func (a *activity) start() {
	a.batch = a.batch[:0]
	for _, o := range a.starting {
		a.batch = append(a.batch, &o.inner)
	}
	a.starting = a.starting[:0]
	batch := append([]*block.Request(nil), a.batch...)
	a.mu.Unlock()
	a.device.Submit(batch)
	a.kick()
}

// fail ends everything that waits, now and from now on: without the log no write
// may begin. It unlocks.
func (a *activity) fail() {
	all := append(append([]*op(nil), a.starting...), a.waiting...)
	a.starting, a.waiting = nil, nil
	err := a.failed
	a.mu.Unlock()
	for _, o := range all {
		o.finish(err)
	}
}

// cleaned is the end of a flush of its own.
func (a *activity) cleaned(r *block.Request) {
	a.mu.Lock()
	a.flushing = false
	if r.Err != nil {
		a.failed = fmt.Errorf("flush before an extent leaves the activity log: %w", r.Err)
	} else {
		a.settle(a.flushed)
	}
	a.mu.Unlock()
	a.kick()
}

// settle notes that a flush succeeded that began when n writes had ended.
func (a *activity) settle(n uint64) {
	for i := range a.slots {
		s := &a.slots[i]
		if s.used && s.busy == 0 && s.last <= n {
			s.dirty = false
		}
	}
}

// ended is called for each change that has come back from the disk.
func (a *activity) ended(r *block.Request) {
	first, last := a.extents(r)
	a.mu.Lock()
	a.writes++
	for e := first; e <= last; e++ {
		s := &a.slots[a.index[e]]
		s.busy--
		s.last = a.writes
	}
	wake := len(a.waiting) > 0 && !a.writing
	a.mu.Unlock()
	if wake {
		a.kick()
	}
}

// count is how many writes have ended: a flush that begins now covers them.
func (a *activity) count() uint64 {
	a.mu.Lock()
	defer a.mu.Unlock()
	return a.writes
}

// flushedAt notes a client's flush.
func (a *activity) flushedAt(n uint64) {
	a.mu.Lock()
	a.settle(n)
	a.mu.Unlock()
}

// hotNow is how many extents are hot.
func (a *activity) hotNow() int {
	a.mu.Lock()
	defer a.mu.Unlock()
	return len(a.index)
}

// empty writes a transaction that names nothing. Nothing may be under way, and
// all must be flushed.
func (a *activity) empty() error {
	a.mu.Lock()
	defer a.mu.Unlock()
	clear(a.slots)
	clear(a.index)
	a.sequence++
	return a.area.WriteActivity(a.sequence, nil)
}
