package volume

import (
	"fmt"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// stage of a source's link to a target.
type stage int

const (
	stageDown stage = iota
	stageDialing
	stageHello // waits for Welcome
	stageMarks // waits for the target's marks
	stageReady
)

// peer is another copy as the source sees it.
type peer struct {
	n     cluster.Copy
	stage stage
	link  uint64
	boot  string // of its machine, as last seen

	heard, asked, lostAt, nextDial time.Duration

	// doubt are blocks of an in-set copy that may hold writes nobody
	// acknowledged: reads wait for their copy.
	doubt *Bitmap
	// fresh are blocks that it acknowledged since its last flush began, flushes
	// those that a flush under way settles, by its Seq.
	fresh   *Bitmap
	flushes map[uint64]*Bitmap
	seq     uint64
	out     map[uint64]*sent
	bytes   int64 // in out
	batch   uint64
	acked   bool // a request was acknowledged since the batch began

	copies []*copying
	cursor int64

	// closing: nothing is missing, and writes wait for it from here on.
	closing  bool
	closed   bool // it was told Equal
	flushSeq uint64
	equalSeq uint64
	adding   bool // AddInSync may be applied
	addSet   uint64
	doneAs   cluster.Standing // in-sync or following, as the cluster knows
	// mustLeave: it lost acknowledged writes, or its disk failed.
	mustLeave bool
	needFull  bool
	filled    bool
	behind    int64 // blocks missing when the resync began
}

// sent is a message that the target must acknowledge.
type sent struct {
	op    *op
	copy  *copying
	run   Run
	bytes int64
}

// copying is blocks on their way to a target.
type copying struct {
	run  Run
	read Token
	seq  uint64
}

// counts reports whether writes wait for the copy.
func (m *Machine) counts(p *peer) bool {
	if m.acting.Has(p.n) {
		return true
	}
	if c := m.view.Copy(p.n); c == nil || c.Mode == cluster.Async {
		return false
	}
	return (p.closing || p.adding) && !m.cfg.Broken.AddUncounted
}

// unsettled reports whether the run has blocks that a power loss of the copy
// could take.
func (p *peer) unsettled(r Run) bool {
	if p.fresh.Any(r) {
		return true
	}
	for _, b := range p.flushes {
		if b.Any(r) {
			return true
		}
	}
	for _, s := range p.out {
		if s.run.Count > 0 && s.run.overlaps(r) {
			return true
		}
	}
	return false
}

// addUnsettled adds those blocks of an extent to a set.
func (p *peer) addUnsettled(to *Bitmap, extent Run) {
	add := func(b *Bitmap) {
		for n := extent.First; n < extent.End(); n++ {
			if b.Has(n) {
				to.Set(Run{n, 1})
			}
		}
	}
	add(p.fresh)
	for _, b := range p.flushes {
		add(b)
	}
	for _, s := range p.out {
		if s.run.Count > 0 && s.run.overlaps(extent) {
			to.Set(s.run)
		}
	}
}

func (m *Machine) send(p *peer, msg Message) {
	msg.Epoch = m.super.Epoch
	m.fx.Send = append(m.fx.Send, Send{Link: p.link, Message: msg})
}

// ask sends what must be acknowledged and returns its Seq.
func (m *Machine) ask(p *peer, msg Message, s *sent, request uint64, buffer Token) uint64 {
	p.seq++
	msg.Seq, msg.Epoch = p.seq, m.super.Epoch
	p.out[p.seq] = s
	p.bytes += s.bytes
	m.fx.Send = append(m.fx.Send, Send{Link: p.link, Message: msg, Request: request, Copy: buffer})
	return p.seq
}

// watchPeers dials, pings, gives up and asks the cluster about copies.
func (m *Machine) watchPeers() {
	for _, p := range m.sortedPeers() {
		c := m.view.Copy(p.n)
		if p.stage != stageDown && m.now.Mono > p.heard+m.cfg.LinkTimeout {
			m.dropPeer(p, Good)
		}
		switch {
		case p.stage == stageReady && m.now.Mono > p.asked+m.cfg.LinkTimeout/4:
			p.asked = m.now.Mono
			m.send(p, Message{Type: Ping})
		case p.stage == stageDown && m.now.Mono >= p.nextDial && m.mayDial(p, c):
			p.stage, p.heard = stageDialing, m.now.Mono
			p.nextDial = m.now.Mono + m.cfg.LinkTimeout/4
			m.fx.Dial = append(m.fx.Dial, p.n)
		}
		away := p.stage != stageReady && m.now.Mono > p.lostAt+m.cfg.LinkTimeout || c.Paused || p.mustLeave
		if away && (c.Standing == cluster.InSync || c.Standing == cluster.Following && p.mustLeave) {
			m.leaveOut(p)
		}
		if p.mustLeave && c.Standing != cluster.InSync && c.Standing != cluster.Following && !m.acting.Has(p.n) && !p.adding {
			p.mustLeave = false
		}
		if p.adding && p.stage != stageReady {
			m.askAdd(p) // to know what became of it
		}
	}
}

func (m *Machine) mayDial(p *peer, c *cluster.VolumeCopy) bool {
	return m.role == Source && !c.Paused && c.Standing != cluster.Diverged && !p.needFull && !p.mustLeave
}

// leaveOut asks the cluster to go on without the copy.
func (m *Machine) leaveOut(p *peer) {
	if m.cfg.Broken.SkipCommit {
		m.acting = m.acting.Without(p.n)
	}
	if m.again(fmt.Sprintf("remove %d from %d", p.n, m.view.Set)) {
		m.fx.Propose = append(m.fx.Propose, cluster.Command{RemoveInSync: &cluster.RemoveInSync{Name: m.view.Name, Copy: p.n, Epoch: m.super.Epoch, Set: m.view.Set}})
	}
}

// dropPeer ends the link. What was not acknowledged becomes marks; what was
// acknowledged and not flushed stays in mind until the copy says whether it
// lost power.
func (m *Machine) dropPeer(p *peer, why Code) {
	if p.link != 0 {
		if why == Good {
			m.send(p, Message{Type: Bye})
		}
		m.fx.HangUp = append(m.fx.HangUp, p.link)
	}
	if p.stage == stageReady {
		p.lostAt = m.now.Mono
	}
	p.stage, p.link = stageDown, 0
	p.nextDial = max(p.nextDial, m.now.Mono+m.cfg.LinkTimeout/8)
	for _, s := range p.out {
		if s.run.Count > 0 {
			m.marks[p.n].Set(s.run)
		}
		if s.op != nil {
			s.op.sent = s.op.sent.Without(p.n)
		}
	}
	clear(p.out)
	p.bytes = 0
	for _, b := range p.flushes {
		p.fresh.Add(b)
	}
	clear(p.flushes)
	p.copies = nil
	if !p.adding {
		p.closing = false
	}
	p.closed, p.flushSeq, p.equalSeq = false, 0, 0
}

func (m *Machine) peerByLink(link uint64) *peer {
	for _, p := range m.peers {
		if p.link == link && link != 0 {
			return p
		}
	}
	return nil
}

func (m *Machine) onLinkUp(e LinkUp) {
	if e.Incoming {
		return // it speaks first
	}
	p := m.peers[e.Peer]
	if p == nil || p.stage != stageDialing || m.role != Source && m.role != Releasing {
		m.fx.HangUp = append(m.fx.HangUp, e.Link)
		return
	}
	p.stage, p.link, p.heard, p.seq = stageHello, e.Link, m.now.Mono, 0
	m.send(p, Message{Type: Hello, Protocol: ProtocolVersion, Volume: m.cfg.Volume, From: m.cfg.Self, To: p.n, Session: m.cfg.Session,
		Size: m.cfg.Size, BlockSize: m.cfg.BlockSize, ExtentSize: m.cfg.ExtentSize, Slots: m.cfg.Slots})
}

func (m *Machine) onLinkDown(e LinkDown) {
	if m.up != nil && m.up.link == e.Link && e.Link != 0 {
		m.endUpstream()
		return
	}
	if m.hello != nil && m.hello.link == e.Link && e.Link != 0 {
		m.hello = nil
	}
	if p := m.peers[e.Peer]; p != nil && (p.link == e.Link || e.Link == 0 && p.stage == stageDialing) {
		p.link = 0
		m.dropPeer(p, Busy)
	}
}

func (m *Machine) onReceived(e Received) {
	if p := m.peerByLink(e.Link); p != nil {
		m.fromTarget(p, e.Message)
		return
	}
	m.fromSource(e.Link, e.Message)
}

// fromTarget is a message of a target.
func (m *Machine) fromTarget(p *peer, msg Message) {
	p.heard = m.now.Mono
	switch msg.Type {
	case Welcome:
		if p.stage == stageHello && msg.Epoch == m.super.Epoch {
			p.stage = stageMarks
			m.welcomed(p, msg)
		}
	case MarksOf:
		if p.stage == stageMarks {
			for _, r := range msg.Runs {
				m.marks[p.n].Set(r)
				if m.view.Copy(p.n).Standing == cluster.InSync && !m.cfg.Broken.ReadDoubtful {
					p.doubt.Set(r)
				}
			}
			if msg.Seq == 0 { // the last
				m.plan(p, msg.SinceSet)
			}
		}
	case Refuse:
		if msg.Code == StaleEpoch && m.super.Epoch.Less(msg.Epoch) {
			m.reason = "another source has a later epoch"
			m.abandon()
			return
		}
		m.dropPeer(p, msg.Code)
		p.nextDial = m.now.Mono + m.cfg.LinkTimeout/2
	case Bye:
		m.dropPeer(p, Busy)
	case Ack:
		m.onAck(p, msg)
	}
}

// welcomed decides whether what the target had acknowledged is still there.
func (m *Machine) welcomed(p *peer, msg Message) {
	lost := msg.Suspect || p.boot != "" && p.boot != msg.Boot
	p.boot = msg.Boot
	if !lost || m.cfg.Broken.ForgetUnsettled {
		return
	}
	m.marks[p.n].Add(p.fresh)
	p.fresh.Reset()
	if m.acting.Has(p.n) || p.adding || p.doneAs == cluster.Following {
		// It can't count as in-sync while acknowledged writes are missing.
		p.mustLeave = true
	}
}

// plan begins to replicate: the target knows what is hot, who is in the set, and
// whether it becomes inconsistent.
func (m *Machine) plan(p *peer, since uint64) {
	c := m.view.Copy(p.n)
	if p.mustLeave {
		m.dropPeer(p, Good)
		return
	}
	if c.Fork != 0 && !p.filled && since != c.Fork && (c.In == 0 || c.In >= c.Fork) {
		// The loser doesn't know what only it has.
		if !c.Full {
			p.needFull = true
			m.dropPeer(p, Good)
			return
		}
		m.marks[p.n].Fill()
		p.filled = true
	}
	p.stage, p.copies, p.closing, p.closed = stageReady, nil, p.adding, false
	p.asked = m.now.Mono
	p.behind = m.marks[p.n].Count()
	msg := m.config(Plan)
	msg.Hot = m.hot.taken()
	if !m.counts(p) {
		msg.Blocks, msg.Undo = p.behind, m.cfg.Undo
	}
	m.send(p, msg)
}

func (m *Machine) onAck(p *peer, msg Message) {
	s := p.out[msg.Seq]
	if s == nil || p.stage != stageReady {
		return
	}
	if msg.Code != Good {
		p.mustLeave = m.counts(p) || p.doneAs == cluster.Following
		m.marks[p.n].Add(p.fresh)
		for _, b := range p.flushes {
			m.marks[p.n].Add(b)
		}
		m.dropPeer(p, Good)
		p.nextDial = m.now.Mono + m.cfg.LinkTimeout
		return
	}
	delete(p.out, msg.Seq)
	p.bytes -= s.bytes
	if b := p.flushes[msg.Seq]; b != nil {
		delete(p.flushes, msg.Seq)
		for _, e := range b.Extents() {
			if m.onDisk[p.n].Any(m.extent(e)) {
				m.savePage(p.n, e)
			}
		}
	}
	if s.op != nil {
		s.op.acked = s.op.acked.With(p.n)
	}
	if s.run.Count > 0 {
		p.fresh.Set(s.run)
	}
	if c := s.copy; c != nil {
		m.marks[p.n].Clear(c.run)
		p.doubt.Clear(c.run)
		p.copies = slices.DeleteFunc(p.copies, func(o *copying) bool { return o == c })
	}
	if msg.Seq == p.equalSeq {
		p.closed = true
	}
	if msg.Seq == p.flushSeq {
		m.tellEqual(p)
	}
}
