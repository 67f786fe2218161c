package volume

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// upstream is the link of a target to its source.
type upstream struct {
	link    uint64
	from    cluster.Copy
	epoch   cluster.VolumeEpoch
	heard   time.Duration
	planned bool
	queue   []Message
	held    bool // a persist must end before the next message
	under   map[uint64]*storing
	members cluster.CopySet
	outside [cluster.MaxCopies + 1]uint64
}

// storing is a message whose blocks are being written.
type storing struct {
	run   Run
	copy  bool
	batch uint64
}

func (m *Machine) endUpstream() {
	if m.up != nil {
		m.fx.HangUp = append(m.fx.HangUp, m.up.link)
		m.up = nil
	}
	if m.hello != nil && m.role != Idle {
		m.fx.HangUp = append(m.fx.HangUp, m.hello.link)
		m.hello = nil
	}
}

func (m *Machine) tell(link uint64, msg Message) {
	m.fx.Send = append(m.fx.Send, Send{Link: link, Message: msg})
}

// fromSource is a message of a copy that dialled.
func (m *Machine) fromSource(link uint64, msg Message) {
	if msg.Type == Hello {
		m.onHello(link, msg)
		return
	}
	u := m.up
	if u == nil || u.link != link || msg.Epoch != u.epoch {
		return
	}
	u.heard = m.now.Mono
	switch msg.Type {
	case Ping:
		m.tell(link, Message{Type: Pong, Epoch: u.epoch})
	case Bye:
		m.endUpstream()
	default:
		u.queue = append(u.queue, msg)
	}
}

func (m *Machine) refuse(link uint64, c Code) {
	m.tell(link, Message{Type: Refuse, Code: c, Epoch: m.super.Epoch})
	m.fx.HangUp = append(m.fx.HangUp, link)
}

func (m *Machine) onHello(link uint64, msg Message) {
	c := m.self()
	switch {
	case msg.Protocol != ProtocolVersion:
		m.refuse(link, OtherProtocol)
	case msg.Volume != m.cfg.Volume || msg.To != m.cfg.Self || msg.From == m.cfg.Self || msg.From == 0 || msg.From > cluster.MaxCopies:
		m.refuse(link, OtherVolume)
	case msg.Size != m.cfg.Size || msg.BlockSize != m.cfg.BlockSize || msg.ExtentSize != m.cfg.ExtentSize || msg.Slots != m.cfg.Slots:
		m.refuse(link, OtherForm)
	case msg.Epoch.Less(m.super.Epoch), m.super.Source && msg.Epoch == m.super.Epoch:
		m.refuse(link, StaleEpoch)
	case m.role == Failed:
		m.refuse(link, DiskFailed)
	case c == nil:
		m.refuse(link, Busy)
	case c.Standing == cluster.Diverged && m.view.Epoch.Lineage <= msg.Epoch.Lineage:
		m.refuse(link, NotResolved)
	case m.super.Epoch.Lineage < msg.Epoch.Lineage && m.view.Epoch.Lineage < msg.Epoch.Lineage:
		m.refuse(link, Busy) // whether this copy was thrown away isn't known here yet
	case m.role != Idle:
		if m.super.Epoch.Less(msg.Epoch) && (m.role == Source || m.role == Releasing) {
			m.reason = "another source has a later epoch"
			m.abandon()
		}
		m.refuse(link, Busy)
	default:
		if m.hello != nil {
			m.fx.HangUp = append(m.fx.HangUp, m.hello.link)
		}
		m.hello = &LinkHello{link, msg}
	}
}

// welcome answers a Hello once everything of earlier sessions is on disk and the
// epoch is durable.
func (m *Machine) welcome() {
	h := m.hello
	if h == nil || m.role != Idle || m.busy {
		return
	}
	if m.up != nil {
		m.fx.HangUp = append(m.fx.HangUp, m.up.link)
		m.up = nil
	}
	if m.writing > 0 {
		return
	}
	m.hello, m.busy = nil, true
	answer := func() {
		m.busy = false
		if m.role != Idle || m.view == nil || m.hello != nil {
			m.fx.HangUp = append(m.fx.HangUp, h.link)
			return
		}
		m.up = &upstream{link: h.link, from: h.msg.From, epoch: h.msg.Epoch, heard: m.now.Mono, under: make(map[uint64]*storing)}
		m.tell(h.link, Message{Type: Welcome, Epoch: h.msg.Epoch, Session: m.cfg.Session, Boot: m.cfg.Boot, Consistent: m.super.Consistent, Suspect: m.super.Suspect})
		m.tell(h.link, Message{Type: MarksOf, Epoch: h.msg.Epoch, Copy: h.msg.From, SinceSet: m.super.Since[h.msg.From], Runs: m.marks[h.msg.From].Runs()})
	}
	m.absorb(func() {
		m.super.Epoch, m.super.Source, m.super.Boot = h.msg.Epoch, false, m.cfg.Boot
		m.saveSuper(answer)
	})
}

// feed carries out what the source sent, in order as far as order matters.
func (m *Machine) feed() {
	u := m.up
	if u == nil {
		return
	}
	if m.now.Mono > u.heard+2*m.cfg.LinkTimeout {
		m.endUpstream()
		return
	}
	for m.up == u && len(u.queue) > 0 && !u.held {
		if !m.take(u, u.queue[0]) {
			return
		}
		u.queue = u.queue[1:]
	}
}

// hold lets nothing pass before a persist has ended.
func (m *Machine) hold(u *upstream) func() {
	u.held = true
	return func() { u.held = false }
}

// take begins one message, or says that it has to wait.
func (m *Machine) take(u *upstream, msg Message) bool {
	if !u.planned && msg.Type != Plan {
		m.endUpstream()
		return true
	}
	switch msg.Type {
	case Plan:
		m.onPlan(u, msg)
	case Configs:
		m.onConfig(u, msg)
		m.saveSuper(m.hold(u))
	case Hot:
		m.takeSlots(u, msg.Hot)
	case Flushes:
		m.disk(DiskOp{Kind: DiskFlush}, func(failed bool) {
			if failed {
				m.super.Suspect = true
				m.saveSuper(nil)
			}
			m.ack(u, msg.Seq, failed)
		})
	case MarksOf:
		if n := msg.Copy; n >= 1 && n <= cluster.MaxCopies && n != m.cfg.Self {
			for _, r := range msg.Runs {
				m.marks[n].Set(r)
			}
			m.super.Since[n] = msg.SinceSet
			m.saveMarks(n)
		}
	case Equals:
		if len(u.under) > 0 {
			return false
		}
		m.onEqual(u, msg)
	case Writes, Trims, Zeroes, CopyBlocks:
		return m.store(u, msg)
	}
	return true
}

func (m *Machine) ack(u *upstream, seq uint64, failed bool) {
	if m.up != u {
		return
	}
	code := Good
	if failed {
		code = DiskFailed
	}
	m.tell(u.link, Message{Type: Ack, Epoch: u.epoch, Seq: seq, Code: code})
}

func (m *Machine) onPlan(u *upstream, msg Message) {
	u.planned = true
	m.onConfig(u, msg)
	if msg.Blocks > 0 && !m.cfg.Broken.KeepConsistent {
		if m.super.Consistent && msg.Undo {
			m.super.Undo = true
		}
		m.super.Consistent = false
	}
	m.hot.init(m.cfg.Slots, nil)
	m.takeSlots(u, msg.Hot)
	m.saveSuper(m.hold(u))
}

// takeSlots follows the source's activity log.
func (m *Machine) takeSlots(u *upstream, slots []Slot) {
	for _, s := range slots {
		if s.Slot < 0 || s.Slot >= m.cfg.Slots || s.Extent < -1 || s.Extent*int64(m.cfg.ExtentSize) >= m.cfg.Size {
			m.endUpstream()
			return
		}
		if old := m.hot.slots[s.Slot]; old >= 0 {
			for _, n := range m.others() {
				m.savePage(n, old)
			}
		}
		m.hot.put(s.Slot, s.Extent)
		if s.Extent >= 0 {
			m.hot.ready[s.Extent] = true
		}
	}
	if len(slots) > 0 {
		m.persist(Persist{Slots: slots}, m.hold(u))
	}
}

// onConfig learns who is in the set. For a copy that has left it marks begin
// with what is hot: nothing else can be missing there.
func (m *Machine) onConfig(u *upstream, msg Message) {
	was, in := m.super.Set, m.super.Members.Has(m.cfg.Self)
	u.members, u.outside = msg.Members, msg.Since
	m.super.Set, m.super.Members = msg.Set, msg.Members
	if m.cfg.Broken.ForgetOutside {
		u.outside = [cluster.MaxCopies + 1]uint64{}
		return
	}
	for n := cluster.Copy(1); n <= cluster.MaxCopies; n++ {
		if n == m.cfg.Self || u.outside[n] == 0 || m.super.Since[n] == u.outside[n] || !u.members.Has(m.cfg.Self) {
			continue
		}
		for _, e := range m.hot.list() {
			m.marks[n].Set(m.extent(e))
		}
		if in && was < u.outside[n] { // in the set when the copy left
			m.super.Since[n] = u.outside[n]
		}
	}
}

// onEqual: nothing is missing here, and nothing differs between those copies.
func (m *Machine) onEqual(u *upstream, msg Message) {
	for n := cluster.Copy(1); n <= cluster.MaxCopies; n++ {
		if n != m.cfg.Self && msg.Equal.Has(n) {
			m.clearMarks(n)
			m.super.Since[n] = 0
		}
	}
	drop := m.super.Undo
	m.super.Consistent, m.super.Suspect, m.super.Undo = true, false, false
	release := m.hold(u)
	m.saveSuper(func() {
		release()
		m.ack(u, msg.Seq, false)
	})
	if drop {
		m.saved.Reset()
		m.persist(Persist{DropUndo: true}, nil)
	}
}

// store writes blocks, when nothing that must come first is under way.
func (m *Machine) store(u *upstream, msg Message) bool {
	if msg.Offset < 0 || msg.Length <= 0 || msg.Length > m.cfg.Size || msg.Offset > m.cfg.Size-msg.Length {
		m.endUpstream()
		return true
	}
	r := m.run(msg.Offset, msg.Length)
	for _, s := range u.under {
		if s.run.overlaps(r) || msg.Type != CopyBlocks && !s.copy && s.batch != msg.Batch && !m.cfg.Broken.NoOrder {
			return false
		}
	}
	st := &storing{run: r, copy: msg.Type == CopyBlocks, batch: msg.Batch}
	u.under[msg.Seq] = st
	if msg.Type != CopyBlocks {
		for n := range u.outside {
			if u.outside[n] != 0 && cluster.Copy(n) != m.cfg.Self {
				m.marks[n].Set(r)
			}
		}
	}
	kind := map[MessageType]DiskKind{Writes: DiskWrite, CopyBlocks: DiskWrite, Trims: DiskTrim, Zeroes: DiskZero}[msg.Type]
	write := func() {
		m.disk(DiskOp{Kind: kind, Offset: msg.Offset, Length: msg.Length, FUA: msg.FUA, Link: u.link, Seq: msg.Seq}, func(failed bool) {
			delete(u.under, msg.Seq)
			m.ack(u, msg.Seq, failed)
		})
	}
	if !m.super.Undo || !m.unsaved(r) {
		write()
		return true
	}
	offset, length := m.bytes(r)
	m.writing++ // the write follows whatever happens to the link
	m.disk(DiskOp{Kind: DiskUndoSave, Offset: offset, Length: length}, func(failed bool) {
		m.writing--
		if failed {
			// The log is full or broken: the point that it kept is lost.
			m.super.Undo = false
			m.saved.Reset()
			m.saveSuper(func() { m.persist(Persist{DropUndo: true}, write) })
			return
		}
		m.saved.Set(r)
		write()
	})
	return true
}

func (m *Machine) unsaved(r Run) bool {
	return slices.ContainsFunc(slices.Collect(blocks(r)), func(n int64) bool { return !m.saved.Has(n) })
}

func blocks(r Run) func(func(int64) bool) {
	return func(yield func(int64) bool) {
		for n := r.First; n < r.End(); n++ {
			if !yield(n) {
				return
			}
		}
	}
}
