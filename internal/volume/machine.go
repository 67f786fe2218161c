package volume

import (
	"fmt"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Config is what a machine is told once. All times and numbers are above 0.
type Config struct {
	Volume string // id
	Self   cluster.Copy
	// Size of the data in bytes, a multiple of BlockSize.
	Size                  int64
	BlockSize, ExtentSize int
	// Slots is the number of extents that may be hot at a time.
	Slots int
	// Boot names the machine's boot, Session this process: random.
	Boot    string
	Session uint64

	// LinkTimeout is the silence after which a link counts as lost, and how
	// long an in-sync copy may be away before the source asks to go on without.
	LinkTimeout time.Duration
	// FlushEvery is how long a write may stay unsettled.
	FlushEvery time.Duration
	// CopyBytes is the most that one message of a resync carries, and
	// CopiesInFlight how many may be under way to a target.
	CopyBytes      int64
	CopiesInFlight int
	// QueueOps and QueueBytes bound what is under way to a copy that writes
	// don't wait for.
	QueueOps   int
	QueueBytes int64
	// Undo keeps a log on a target from which a resync can be taken back.
	Undo bool
	// Broken is for negative controls alone.
	Broken Broken
}

// Broken takes one rule away. The zero value is the only right one; the
// simulator uses the others to see that its checkers notice.
type Broken struct {
	AckEarly        bool // writes don't wait for in-sync targets
	SkipCommit      bool // a lost target is left out before the cluster agreed
	ForgetHot       bool // hot extents don't become marks
	ForgetUnsettled bool // what a target lost with its power isn't copied again
	AddUncounted    bool // writes don't wait for a copy whose add is under way
	ReadDoubtful    bool // reads don't wait for doubtful blocks
	KeepConsistent  bool // a resync doesn't mark its target inconsistent
	NoOrder         bool // batches of an async copy are ignored
	ForgetOutside   bool // a target keeps no marks for copies outside the set
}

// Role of the copy.
type Role string

const (
	// Idle: no session of its own; it may be a target.
	Idle Role = "idle"
	// Acquiring: asked for the source role.
	Acquiring Role = "acquiring"
	// Source serves.
	Source Role = "source"
	// Releasing: source, finishing what is under way.
	Releasing Role = "releasing"
	// Failed: its disk failed. Only a new process can change that.
	Failed Role = "failed"
)

// Disk is what the metadata held when the copy was opened.
type Disk struct {
	Super Super
	// Slots is the activity log; −1 is an empty slot.
	Slots []int64
	// Marks by copy; a missing one is empty.
	Marks map[cluster.Copy]*Bitmap
	// Saved are the blocks in the undo log; nil if there is none.
	Saved *Bitmap
}

// Machine is one copy of a volume.
type Machine struct {
	cfg   Config
	super Super
	role  Role
	fx    *Effects
	now   cluster.Instant

	applied uint64
	view    *cluster.Volume
	lease   time.Duration
	want    Acquire
	began   bool // the session as source is being prepared

	token Token
	waits map[Token]func(failed bool)
	// writing counts changes of the device that are under way.
	writing int
	busy    bool // hot extents are being absorbed, or a role is being prepared

	marks  [cluster.MaxCopies + 1]*Bitmap
	onDisk [cluster.MaxCopies + 1]*Bitmap // marks as they are persisted
	hot    activity
	saved  *Bitmap

	// As source.
	acting  cluster.CopySet // the set that acknowledgements wait for
	acted   uint64          // its version, durable
	saving  uint64          // the version that is being made durable
	peers   map[cluster.Copy]*peer
	pending []*op
	active  []*op
	fresh   *Bitmap // written here since the last flush began
	flushes []*Bitmap
	flushAt time.Duration
	propose map[string]time.Duration

	up     *upstream // as target
	hello  *LinkHello
	reason string
}

// LinkHello is a Hello that waits for its answer.
type LinkHello struct {
	link uint64
	msg  Message
}

// New is the machine of a copy as its metadata describe it.
func New(cfg Config, d Disk) *Machine {
	m := &Machine{cfg: cfg, super: d.Super, role: Idle, waits: make(map[Token]func(bool)), peers: make(map[cluster.Copy]*peer),
		propose: make(map[string]time.Duration), saved: d.Saved}
	m.hot.init(cfg.Slots, d.Slots)
	m.fresh = m.bitmap()
	for n := cluster.Copy(1); n <= cluster.MaxCopies; n++ {
		m.marks[n], m.onDisk[n] = m.bitmap(), m.bitmap()
		if b := d.Marks[n]; b != nil {
			m.marks[n].Add(b)
			m.onDisk[n].Add(b)
		}
	}
	if m.saved == nil {
		m.saved = m.bitmap()
	}
	if m.super.Boot != cfg.Boot && !m.hot.empty() {
		m.super.Suspect = true // durable when it is first saved; until then found again
	}
	return m
}

func (m *Machine) bitmap() *Bitmap {
	return NewBitmap(m.cfg.Size/int64(m.cfg.BlockSize), int64(m.cfg.ExtentSize/m.cfg.BlockSize))
}

// Role says what the copy is.
func (m *Machine) Role() Role { return m.role }

// Super is the superblock as the machine last wanted it.
func (m *Machine) Super() Super { return m.super }

// Missing is the number of blocks that the copy n is known to lack.
func (m *Machine) Missing(n cluster.Copy) int64 { return m.marks[n].Count() }

// Ready reports whether the copy n is connected as a target.
func (m *Machine) Ready(n cluster.Copy) bool {
	p := m.peers[n]
	return p != nil && p.stage == stageReady
}

// NeedsFull reports whether nobody knows what the copy n lacks, so that a person
// must ask for a copy of every block.
func (m *Machine) NeedsFull(n cluster.Copy) bool {
	p := m.peers[n]
	return p != nil && p.needFull
}

// Under says what is under way, for logs.
func (m *Machine) Under() string {
	s := fmt.Sprintf("%d requests, %d waiting, %d disk writes", len(m.active), len(m.pending), m.writing)
	if len(m.active) > 0 {
		o := m.active[0]
		s += fmt.Sprintf(", first: %v here %v, at %03b", o.req.Kind, o.local, o.acked)
	}
	for _, p := range m.sortedPeers() {
		s += fmt.Sprintf(", copy %d stage %d counts %v adding %v must leave %v needs full %v", p.n, p.stage, m.view != nil && m.counts(p), p.adding, p.mustLeave, p.needFull)
	}
	return s
}

// Why says what the machine is waiting for, in English, for logs; "" if nothing.
func (m *Machine) Why() string { return m.reason }

// Next is when Step wants to be called with a Tick, by the Mono clock.
func (m *Machine) Next() time.Duration {
	if m.role == Idle && m.up == nil && !m.super.Suspect && m.hello == nil && (m.view == nil || !m.view.Unverified) {
		return cluster.Never
	}
	return m.now.Mono + m.cfg.LinkTimeout/8
}

// Step takes one event in and says what must be done about it.
func (m *Machine) Step(now cluster.Instant, ev Event) Effects {
	var fx Effects
	m.fx, m.now = &fx, now
	switch e := ev.(type) {
	case View:
		m.onView(e)
	case Lease:
		m.lease = max(m.lease, e.Until)
	case Acquire:
		m.onAcquire(e)
	case Release:
		m.onRelease()
	case Abandon:
		m.abandon()
	case RollBack:
		m.onRollBack()
	case Submit:
		m.onSubmit(e.Request)
	case Done:
		m.onDone(e)
	case LinkUp:
		m.onLinkUp(e)
	case LinkDown:
		m.onLinkDown(e)
	case Received:
		m.onReceived(e)
	}
	m.pump()
	m.fx = nil
	return fx
}

// pump does whatever has become possible.
func (m *Machine) pump() {
	m.reportSuspect()
	m.welcome()
	m.feed()
	switch m.role {
	case Acquiring:
		m.acquire()
	case Source, Releasing:
		m.watchPeers()
		m.startOps()
		m.resync()
		m.finishOps()
		m.flushWhenDue()
		m.release()
	}
}

func (m *Machine) wait(f func(failed bool)) Token {
	m.token++
	m.waits[m.token] = f
	return m.token
}

func (m *Machine) onDone(e Done) {
	f := m.waits[e.Token]
	delete(m.waits, e.Token)
	if f != nil {
		f(e.Failed)
	}
}

// persist writes metadata; what comes after is only called if it succeeded.
func (m *Machine) persist(p Persist, then func()) {
	if then != nil {
		p.Token = m.wait(func(failed bool) {
			if failed {
				m.fail("metadata can't be written")
				return
			}
			then()
		})
	} else {
		p.Token = m.wait(func(failed bool) {
			if failed {
				m.fail("metadata can't be written")
			}
		})
	}
	m.fx.Persist = append(m.fx.Persist, p)
}

func (m *Machine) saveSuper(then func()) {
	s := m.super
	m.persist(Persist{Super: &s}, then)
}

// disk asks for a disk operation. Changes of the device are counted, so that a
// change of role can wait for them.
func (m *Machine) disk(d DiskOp, then func(failed bool)) {
	changes := d.Kind == DiskWrite || d.Kind == DiskTrim || d.Kind == DiskZero || d.Kind == DiskUndoRestore
	if changes {
		m.writing++
	}
	d.Token = m.wait(func(failed bool) {
		if changes {
			m.writing--
		}
		then(failed)
	})
	m.fx.Disk = append(m.fx.Disk, d)
}

// fail ends every role: the disk or the metadata can't be trusted.
func (m *Machine) fail(why string) {
	if m.role == Failed {
		return
	}
	m.abandon()
	m.role, m.reason = Failed, why
	m.endUpstream()
}

func (m *Machine) run(offset, length int64) Run {
	bs := int64(m.cfg.BlockSize)
	first := offset / bs
	return Run{first, (offset+length+bs-1)/bs - first}
}

func (m *Machine) bytes(r Run) (offset, length int64) {
	bs := int64(m.cfg.BlockSize)
	return r.First * bs, min(r.Count*bs, m.cfg.Size-r.First*bs)
}

func (m *Machine) extent(e int64) Run {
	per := int64(m.cfg.ExtentSize / m.cfg.BlockSize)
	return Run{e * per, per}
}

func (m *Machine) extents(r Run) (es []int64) {
	per := int64(m.cfg.ExtentSize / m.cfg.BlockSize)
	for e := r.First / per; e*per < r.End(); e++ {
		es = append(es, e)
	}
	return es
}

// others are the numbers of the other copies, in order.
func (m *Machine) others() (ns []cluster.Copy) {
	if m.view != nil {
		for i := range m.view.Copies {
			if n := m.view.Copies[i].Number; n != m.cfg.Self {
				ns = append(ns, n)
			}
		}
	}
	return ns
}

// again reports whether something may be asked for once more, at most every
// half link time-out.
func (m *Machine) again(what string) bool {
	if at, asked := m.propose[what]; asked && m.now.Mono < at+m.cfg.LinkTimeout/2 {
		return false
	}
	m.propose[what] = m.now.Mono
	return true
}

// absorb turns hot extents into marks for every other copy, so that the
// activity log is free: they are all that can differ.
func (m *Machine) absorb(then func()) {
	if m.hot.empty() {
		then()
		return
	}
	if m.super.Suspect {
		m.saveSuper(nil) // hot extents were the only sign of it
	}
	m.disk(DiskOp{Kind: DiskFlush}, func(failed bool) {
		if failed {
			m.super.Suspect = true
			m.saveSuper(nil)
			m.fail("the disk can't be flushed")
			return
		}
		m.fresh.Reset()
		hot := m.hot.list()
		if !m.cfg.Broken.ForgetHot {
			for _, n := range m.others() {
				for _, e := range hot {
					m.marks[n].Set(m.extent(e))
					m.savePage(n, e)
				}
			}
		}
		m.persist(Persist{Slots: m.hot.clearAll()}, then)
	})
}

// savePage makes the marks for a copy in an extent durable: also what is under
// way to it or not yet flushed there.
func (m *Machine) savePage(n cluster.Copy, extent int64) {
	b := m.marks[n]
	if p := m.peers[n]; p != nil {
		b = b.Clone()
		p.addUnsettled(b, m.extent(extent))
	}
	bits := b.Page(extent)
	if slices.Equal(bits, m.onDisk[n].pages[extent]) {
		return
	}
	m.onDisk[n].Clear(m.extent(extent))
	m.onDisk[n].SetPage(extent, bits)
	m.persist(Persist{Page: &Page{Copy: n, Extent: extent, Bits: bits}}, nil)
}

// saveMarks makes all marks for a copy durable.
func (m *Machine) saveMarks(n cluster.Copy) {
	for _, e := range m.onDisk[n].Extents() {
		m.savePage(n, e)
	}
	for _, e := range m.marks[n].Extents() {
		m.savePage(n, e)
	}
}

func (m *Machine) clearMarks(n cluster.Copy) {
	m.marks[n].Reset()
	if m.onDisk[n].Count() > 0 {
		m.onDisk[n].Reset()
		m.persist(Persist{ClearMarks: n}, nil)
	}
}
