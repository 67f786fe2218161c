package volume

import (
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// op is a client's request under way.
type op struct {
	req   Request
	run   Run
	local bool // the own disk has done it
	err   Errno
	sent  cluster.CopySet // it is on its way to these
	acked cluster.CopySet // and these have it
}

// changes reports whether it changes blocks.
func (o *op) changes() bool {
	return o.req.Kind == Write || o.req.Kind == Trim || o.req.Kind == Zero
}

func (m *Machine) onSubmit(r Request) {
	o := &op{req: r}
	switch {
	case m.role != Source:
		m.reply(o, Shutdown)
		return
	case r.Kind == Flush:
	case r.Kind < Read || r.Kind > Flush || r.Offset < 0 || r.Length <= 0 || r.Length > m.cfg.Size || r.Offset > m.cfg.Size-r.Length ||
		len(m.extents(m.run(r.Offset, r.Length))) > max(1, m.cfg.Slots/2):
		m.reply(o, Invalid)
		return
	default:
		o.run = m.run(r.Offset, r.Length)
	}
	m.pending = append(m.pending, o)
}

func (m *Machine) reply(o *op, e Errno) {
	m.fx.Reply = append(m.fx.Reply, Reply{Request: o.req.ID, Error: e})
}

// serving reports whether clients may be answered: the lease lives.
func (m *Machine) serving() bool {
	return m.now.Boot < m.lease
}

// complete reports whether every copy that writes wait for is connected.
func (m *Machine) complete() bool {
	for _, p := range m.peers {
		if m.counts(p) && p.stage != stageReady && !m.cfg.Broken.AckEarly {
			return false
		}
	}
	return true
}

// startOps begins requests that nothing stands against, in order where they
// touch the same blocks.
func (m *Machine) startOps() {
	if m.role == Source && m.serving() {
		var rest []*op
		var wanted []int64
		for _, o := range m.pending {
			if !m.clear(o, rest) || !m.start(o, &wanted) {
				rest = append(rest, o)
			}
		}
		m.pending = rest
		m.heat(wanted)
	}
	// A copy of the set that came back gets what it had not acknowledged.
	for _, o := range m.active {
		for _, p := range m.sortedPeers() {
			if o.req.Kind != Read && m.counts(p) && p.stage == stageReady && !o.sent.Has(p.n) && !o.acked.Has(p.n) {
				m.pass(o, p)
			}
		}
	}
}

// clear reports whether nothing under way or waiting before it is in its way.
func (m *Machine) clear(o *op, before []*op) bool {
	if o.req.Kind == Flush {
		return true
	}
	conflicts := func(x *op) bool {
		return (o.changes() || x.changes()) && x.req.Kind != Flush && x.run.overlaps(o.run)
	}
	if slices.ContainsFunc(m.active, conflicts) || slices.ContainsFunc(before, conflicts) {
		return false
	}
	for _, p := range m.peers {
		if o.changes() && slices.ContainsFunc(p.copies, func(c *copying) bool { return c.run.overlaps(o.run) }) {
			return false
		}
	}
	return true
}

// start begins a request, or says no and what extents it wants hot.
func (m *Machine) start(o *op, wanted *[]int64) bool {
	switch o.req.Kind {
	case Read:
		for _, p := range m.peers {
			if m.acting.Has(p.n) && p.doubt.Any(o.run) {
				p.cursor = p.doubt.Next(o.run.First)
				return false
			}
		}
		m.active = append(m.active, o)
		m.disk(DiskOp{Kind: DiskRead, Offset: o.req.Offset, Length: o.req.Length, Request: o.req.ID}, func(failed bool) {
			if failed {
				o.err = IOError
			}
			o.local = true
		})
		return true
	case Flush:
		if !m.complete() {
			return false
		}
		m.active = append(m.active, o)
		m.flushHere(o)
		for _, p := range m.sortedPeers() {
			if p.stage == stageReady {
				m.flushThere(p, o)
			}
		}
		return true
	}
	if !m.complete() || !m.room(o) {
		return false
	}
	if es := m.extents(o.run); !m.isHot(es) {
		for _, e := range es {
			if !slices.Contains(*wanted, e) && len(*wanted) < m.cfg.Slots {
				*wanted = append(*wanted, e)
			}
		}
		return false
	}
	m.active = append(m.active, o)
	kind := map[Kind]DiskKind{Write: DiskWrite, Trim: DiskTrim, Zero: DiskZero}[o.req.Kind]
	m.disk(DiskOp{Kind: kind, Offset: o.req.Offset, Length: o.req.Length, FUA: o.req.FUA, Request: o.req.ID}, func(failed bool) {
		o.local = true
		if failed {
			o.err = IOError
			return
		}
		m.fresh.Set(o.run)
	})
	for _, p := range m.sortedPeers() {
		switch {
		case p.stage == stageReady && (m.counts(p) || !m.marks[p.n].Any(o.run)):
			m.pass(o, p)
		default:
			m.marks[p.n].Set(o.run)
		}
	}
	return true
}

// room reports whether the queues to copies that writes don't wait for have
// place. A full queue pauses its copy or holds the writer.
func (m *Machine) room(o *op) bool {
	room := true
	for _, p := range m.sortedPeers() {
		if p.stage != stageReady || m.counts(p) || m.marks[p.n].Any(o.run) {
			continue
		}
		if len(p.out) < m.cfg.QueueOps && p.bytes+o.req.Length <= m.cfg.QueueBytes || len(p.out) == 0 {
			continue
		}
		if c := m.view.Copy(p.n); c.Mode == cluster.Async && c.FullQueue == cluster.PauseWhenFull && p.doneAs == cluster.Following {
			m.dropPeer(p, Good)
			p.nextDial = m.now.Mono + m.cfg.LinkTimeout
			continue
		}
		room = false
	}
	return room
}

// pass sends a request that changes blocks, or a flush, to a copy.
func (m *Machine) pass(o *op, p *peer) {
	if o.req.Kind == Flush {
		m.flushThere(p, o)
		return
	}
	msg := Message{Type: map[Kind]MessageType{Write: Writes, Trim: Trims, Zero: Zeroes}[o.req.Kind],
		Offset: o.req.Offset, Length: o.req.Length, FUA: o.req.FUA}
	if m.view.Copy(p.n).Mode == cluster.Async {
		if p.acked || p.batch == 0 {
			p.batch++
			p.acked = false
		}
		msg.Batch = p.batch
	}
	o.sent = o.sent.With(p.n)
	m.ask(p, msg, &sent{op: o, run: o.run, bytes: o.req.Length}, o.req.ID, 0)
}

// finishOps acknowledges what every copy that counts has.
func (m *Machine) finishOps() {
	if !m.serving() {
		return
	}
	var rest []*op
	for _, o := range slices.Clone(m.active) {
		if !o.local || o.err == OK && o.req.Kind != Read && !m.everywhere(o) {
			rest = append(rest, o)
			continue
		}
		m.reply(o, o.err)
		for _, p := range m.peers {
			p.acked = true
		}
		if o.err == OK || o.req.Kind == Read {
			continue
		}
		m.active = slices.DeleteFunc(m.active, func(x *op) bool { return x == o })
		if !m.alone() {
			// What this disk has now is unknown; another copy knows better.
			m.fail("the disk failed")
			return
		}
		for _, p := range m.sortedPeers() {
			m.marks[p.n].Set(o.run)
			m.dropPeer(p, Good)
		}
	}
	m.active = rest
}

// alone reports whether no other copy is in the set, or may be.
func (m *Machine) alone() bool {
	for _, p := range m.peers {
		if p.adding {
			return false
		}
	}
	return m.acting == cluster.CopiesOf(m.cfg.Self)
}

func (m *Machine) everywhere(o *op) bool {
	for _, p := range m.peers {
		if m.counts(p) && !o.acked.Has(p.n) && !m.cfg.Broken.AckEarly {
			return false
		}
	}
	return true
}

// flushHere flushes the own disk; o is nil if nobody waits. A flush that failed
// may have lost what was written before: it is never tried again to success.
func (m *Machine) flushHere(o *op) {
	b := m.fresh
	m.fresh = m.bitmap()
	m.flushes = append(m.flushes, b)
	m.disk(DiskOp{Kind: DiskFlush}, func(failed bool) {
		m.flushes = slices.DeleteFunc(m.flushes, func(x *Bitmap) bool { return x == b })
		if o != nil {
			o.local = true
		}
		if !failed {
			return
		}
		m.fresh.Add(b)
		m.super.Suspect = true
		m.saveSuper(nil)
		if o != nil {
			o.err = IOError
			return
		}
		if !m.alone() {
			m.fail("the disk can't be flushed")
		}
	})
}

func (m *Machine) flushThere(p *peer, o *op) uint64 {
	if o != nil {
		o.sent = o.sent.With(p.n)
	}
	seq := m.ask(p, Message{Type: Flushes}, &sent{op: o}, 0, 0)
	p.flushes[seq] = p.fresh
	p.fresh = m.bitmap()
	return seq
}

// flushAll settles everything, unless that is under way.
func (m *Machine) flushAll() {
	if m.fresh.Count() > 0 && len(m.flushes) == 0 {
		m.flushHere(nil)
	}
	for _, p := range m.sortedPeers() {
		if p.stage == stageReady && p.fresh.Count() > 0 && len(p.flushes) == 0 {
			m.flushThere(p, nil)
		}
	}
}

func (m *Machine) flushWhenDue() {
	if m.role == Failed || m.now.Mono < m.flushAt {
		return
	}
	m.flushAt = m.now.Mono + m.cfg.FlushEvery
	m.flushAll()
}
