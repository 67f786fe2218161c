package volume

import (
	"fmt"
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// resync copies what targets lack, and closes with those that lack nothing.
func (m *Machine) resync() {
	for _, p := range m.sortedPeers() {
		if p.stage != stageReady {
			continue
		}
		m.copyBlocks(p)
		if m.marks[p.n].Count() == 0 && len(p.copies) == 0 {
			m.closeUp(p)
		}
	}
}

// copyBlocks keeps a few copies under way; fewer while clients wait.
func (m *Machine) copyBlocks(p *peer) {
	most := m.cfg.CopiesInFlight
	if len(m.active)+len(m.pending) > 0 {
		most = 1
	}
	for len(p.copies) < most {
		r, ok := m.nextRun(p)
		if !ok {
			return
		}
		c := &copying{run: r}
		p.copies = append(p.copies, c)
		p.cursor = r.End()
		offset, length := m.bytes(r)
		link := p.link
		m.disk(DiskOp{Kind: DiskRead, Offset: offset, Length: length, Copy: m.token + 1}, func(failed bool) {
			if p.link != link || !slices.Contains(p.copies, c) {
				return
			}
			if failed {
				m.fail("the disk can't be read")
				return
			}
			c.seq = m.ask(p, Message{Type: CopyBlocks, Offset: offset, Length: length}, &sent{copy: c, run: r}, 0, c.read)
		})
		c.read = m.token
	}
}

// nextRun finds blocks to copy that no write touches, from the cursor on.
func (m *Machine) nextRun(p *peer) (Run, bool) {
	marks := m.marks[p.n]
	free := func(n int64) bool {
		one := Run{n, 1}
		return marks.Has(n) && !slices.ContainsFunc(p.copies, func(c *copying) bool { return c.run.overlaps(one) }) &&
			!slices.ContainsFunc(m.active, func(o *op) bool { return o.changes() && o.run.overlaps(one) })
	}
	most := max(1, m.cfg.CopyBytes/int64(m.cfg.BlockSize))
	for _, from := range []int64{p.cursor, 0} {
		for n := marks.Next(from); n >= 0; n = marks.Next(n + 1) {
			if !free(n) {
				continue
			}
			r := Run{n, 1}
			for r.Count < most && free(r.End()) {
				r.Count++
			}
			return r, true
		}
	}
	return Run{}, false
}

// closeUp ends a resync: from here on writes wait for the copy; it is flushed,
// told that it is equal, and then the cluster is asked.
func (m *Machine) closeUp(p *peer) {
	c := m.view.Copy(p.n)
	if c.Standing == cluster.Diverged || m.role != Source {
		return
	}
	if !p.closing {
		p.closing = true // what started before was acknowledged by the copy or marked
	}
	switch {
	case p.flushSeq == 0:
		p.flushSeq = m.flushThere(p, nil)
	case !p.closed:
	case p.doneAs == "" || c.Suspect || c.Full || c.Fork != 0:
		p.adding, p.addSet = true, m.view.Set
		m.askAdd(p)
	}
}

// askAdd proposes the copy for the set, again until it is known what became of
// it.
func (m *Machine) askAdd(p *peer) {
	if m.again(fmt.Sprintf("add %d to %d", p.n, p.addSet)) {
		m.fx.Propose = append(m.fx.Propose, cluster.Command{AddInSync: &cluster.AddInSync{Name: m.view.Name, Copy: p.n, Epoch: m.super.Epoch, Set: p.addSet}})
	}
}

// equal is the copies of the set that have the same content as this one.
func (m *Machine) equal() cluster.CopySet {
	s := cluster.CopiesOf(m.cfg.Self)
	for _, p := range m.peers {
		if m.acting.Has(p.n) && p.closed && p.stage == stageReady {
			s = s.With(p.n)
		}
	}
	return s
}

// tellEqual tells a copy that it has everything, and what others lack.
func (m *Machine) tellEqual(p *peer) {
	if m.marks[p.n].Count() > 0 {
		p.flushSeq = 0 // the link was lost in between
		return
	}
	for _, o := range m.sortedPeers() {
		if o != p && !m.acting.Has(o.n) && m.view.Copy(o.n) != nil {
			b := m.marks[o.n].Clone()
			b.Add(o.fresh)
			for _, f := range o.flushes {
				b.Add(f)
			}
			for _, s := range o.out {
				b.Set(s.run)
			}
			m.send(p, Message{Type: MarksOf, Copy: o.n, SinceSet: m.super.Since[o.n], Runs: b.Runs()})
		}
	}
	m.clearMarks(p.n)
	p.doubt.Reset()
	p.equalSeq = m.ask(p, Message{Type: Equals, Equal: m.equal().With(p.n)}, &sent{}, 0, 0)
}
