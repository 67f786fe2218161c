package volume

import (
	"fmt"
	"maps"
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
)

func (m *Machine) self() *cluster.VolumeCopy {
	if m.view == nil {
		return nil
	}
	return m.view.Copy(m.cfg.Self)
}

func (m *Machine) onView(e View) {
	if e.Applied < m.applied {
		return
	}
	m.applied = e.Applied
	if e.Volume == nil || e.Volume.ID != m.cfg.Volume || e.Volume.Copy(m.cfg.Self) == nil {
		m.view = nil
		m.abandon()
		m.endUpstream()
		return
	}
	m.view = e.Volume.Clone()
	if m.role != Source && m.role != Releasing {
		return
	}
	if v := m.view; v.Epoch != m.super.Epoch || v.Source != m.cfg.Self || v.SourceGeneration != m.want.Generation {
		m.reason = "the cluster has another source"
		m.abandon()
		return
	}
	m.onSet()
}

// reportSuspect tells the cluster that unflushed writes may be lost here.
func (m *Machine) reportSuspect() {
	c := m.self()
	if c != nil && m.view.Unverified && m.role == Idle && !m.saw() && m.again("saw") {
		m.fx.Propose = append(m.fx.Propose, cluster.Command{SawCopy: &cluster.SawCopy{Name: m.view.Name,
			Saw: cluster.SeenCopy{Copy: m.cfg.Self, Epoch: m.super.Epoch, Set: m.super.Set, Members: m.super.Members}}})
	}
	if c == nil || !m.super.Suspect || c.Suspect || m.role != Idle && m.role != Acquiring || m.view.Source == m.cfg.Self && m.super.Epoch.Less(m.view.Epoch) || c.Standing != cluster.InSync && c.Standing != cluster.Following {
		return
	}
	if m.again("suspect") {
		m.fx.Propose = append(m.fx.Propose, cluster.Command{SuspectCopy: &cluster.SuspectCopy{Name: m.view.Name, Copy: m.cfg.Self, Epoch: m.view.Epoch, Set: m.view.Set}})
	}
}

// saw reports whether the cluster knows what this superblock says.
func (m *Machine) saw() bool {
	for _, s := range m.view.Seen {
		if s.Copy == m.cfg.Self {
			return true
		}
	}
	return false
}

func (m *Machine) onAcquire(e Acquire) {
	switch m.role {
	case Failed:
		return
	case Source, Releasing:
		if m.want.Generation == e.Generation && m.role == Source {
			return
		}
		m.abandon()
	}
	m.want, m.role, m.began = e, Acquiring, false
	m.endUpstream()
	delete(m.propose, "acquire")
}

// acquire goes as far towards the source role as it can.
func (m *Machine) acquire() {
	c := m.self()
	switch {
	case m.began:
		return
	case c == nil:
		m.reason = "the cluster's word about the volume"
		return
	case m.writing > 0 || m.busy:
		m.reason = "writes of the former role"
		return
	case m.view.Epoch.Less(m.super.Epoch):
		m.reason = fmt.Sprintf("this copy knows epoch %v, the cluster %v: the cluster's state is older", m.super.Epoch, m.view.Epoch)
		return
	case !m.super.Consistent:
		m.reason = "this copy is inconsistent: a resync was interrupted"
		return
	case m.view.Source == m.cfg.Self && m.view.SourceGeneration == m.want.Generation && m.super.Epoch.Less(m.view.Epoch):
		m.begin()
		return
	case m.super.Suspect && !c.Suspect && (c.Standing == cluster.InSync || c.Standing == cluster.Following):
		m.reason = "the cluster's word about lost writes"
		return
	}
	m.reason = "the cluster's consent"
	if m.again("acquire") {
		m.fx.Propose = append(m.fx.Propose, cluster.Command{AcquireVolume: &cluster.AcquireVolume{Name: m.view.Name, Copy: m.cfg.Self,
			Generation: m.want.Generation, Previous: m.view.Epoch, AcceptLoss: m.want.AcceptLoss}})
	}
}

// begin prepares the session under the epoch that the cluster has given:
// whatever may differ becomes marks, and is durable before anything is served.
func (m *Machine) begin() {
	m.began, m.busy = true, true
	epoch := m.view.Epoch
	m.absorb(func() {
		m.busy = false
		if m.role != Acquiring || m.view == nil || m.view.Epoch != epoch || m.view.Source != m.cfg.Self {
			m.began = false
			return
		}
		m.super.Epoch, m.super.Source, m.super.Suspect = epoch, true, false
		m.super.Boot = m.cfg.Boot
		m.super.Set, m.super.Members = m.view.Set, m.view.Members()
		m.peers = make(map[cluster.Copy]*peer)
		for _, n := range m.others() {
			m.addPeer(n)
		}
		m.busy = true
		m.saveSuper(func() {
			m.busy = false
			if v := m.view; m.role != Acquiring || v == nil || v.Epoch != epoch || v.Source != m.cfg.Self || v.SourceGeneration != m.want.Generation {
				m.began = false
				return
			}
			m.role, m.reason = Source, ""
			m.acting, m.acted, m.saving = m.super.Members, m.super.Set, m.super.Set
			m.onSet()
		})
	})
}

// addPeer begins to care for another copy. Marks that are not known to be
// complete become all blocks; on a copy that is not blank that takes a person.
func (m *Machine) addPeer(n cluster.Copy) {
	c := m.view.Copy(n)
	p := &peer{n: n, doubt: m.bitmap(), fresh: m.bitmap(), lostAt: m.now.Mono, out: make(map[uint64]*sent), flushes: make(map[uint64]*Bitmap)}
	m.peers[n] = p
	if c.Standing == cluster.InSync {
		m.super.Since[n] = 0
		if !m.cfg.Broken.ReadDoubtful {
			p.doubt.Add(m.marks[n])
		}
		return
	}
	if m.super.Since[n] == c.Out || !c.Blank && m.self().In <= c.Out {
		m.super.Since[n] = c.Out
		return
	}
	if c.Blank || c.Full {
		m.marks[n].Fill()
		m.saveMarks(n)
		m.super.Since[n] = c.Out
		p.filled = true
		return
	}
	p.needFull = true
}

// onSet follows a change of the in-sync set: who came in counts at once, who
// left counts until the new set is in the superblock.
func (m *Machine) onSet() {
	v := m.view
	changed := m.super.Set != v.Set || m.super.Members != v.Members()
	for _, n := range m.others() {
		c := v.Copy(n)
		p := m.peers[n]
		if p == nil {
			m.addPeer(n)
			p = m.peers[n]
			changed = true
		}
		if p.adding && v.Set > p.addSet {
			p.adding = false // the command is applied, or void for good
			p.closing = p.closing && p.stage == stageReady
		}
		if c.Standing == cluster.InSync || c.Standing == cluster.Following {
			p.doneAs = c.Standing
			m.super.Since[n] = 0
			if c.Standing == cluster.Following {
				m.super.Since[n] = c.Out
			}
		} else if p.doneAs != "" {
			p.doneAs = ""
			m.super.Since[n] = c.Out
			if p.stage == stageReady {
				m.dropPeer(p, Good) // what it has from here on has no order
			}
		}
		if c.Full && !p.filled && (p.needFull || p.doneAs == "") {
			m.marks[n].Fill()
			m.super.Since[n] = c.Out
			p.filled, p.needFull = true, false
			m.saveMarks(n)
			changed = true
		}
		if !c.Full && c.Standing == cluster.InSync {
			p.filled = false
		}
		if c.Paused && p.stage != stageDown {
			m.dropPeer(p, Good)
		}
	}
	for n, p := range m.peers {
		if v.Copy(n) == nil {
			m.dropPeer(p, Good)
			delete(m.peers, n)
			m.clearMarks(n)
			m.super.Since[n] = 0
			changed = true
		}
	}
	for _, n := range m.others() {
		if v.Members().Has(n) {
			m.acting = m.acting.With(n)
		}
	}
	if !changed {
		return
	}
	m.super.Set, m.super.Members = v.Set, v.Members()
	set, members := m.super.Set, m.super.Members
	m.saving = set
	m.saveSuper(func() {
		if m.role != Source && m.role != Releasing || m.saving != set {
			return
		}
		m.acting, m.acted = members, set
		for _, p := range m.sortedPeers() {
			if p.stage == stageReady {
				m.send(p, m.config(Configs))
			}
		}
		m.shareEqual()
	})
}

// shareEqual tells every copy of the set which others are the same, so that
// they keep no marks for them.
func (m *Machine) shareEqual() {
	equal := m.equal()
	for _, p := range m.sortedPeers() {
		if equal.Has(p.n) && equal != cluster.CopiesOf(m.cfg.Self, p.n) {
			m.ask(p, Message{Type: Equals, Equal: equal}, &sent{}, 0, 0)
		}
	}
}

// config is the in-sync set as it counts here.
func (m *Machine) config(t MessageType) Message {
	msg := Message{Type: t, Set: m.acted, Members: m.acting}
	for _, n := range m.others() {
		if !m.acting.Has(n) {
			msg.Since[n] = m.view.Copy(n).Out
		}
	}
	return msg
}

func (m *Machine) sortedPeers() (ps []*peer) {
	for _, n := range slices.Sorted(maps.Keys(m.peers)) {
		ps = append(ps, m.peers[n])
	}
	return ps
}

func (m *Machine) onRelease() {
	switch m.role {
	case Source:
		m.role = Releasing
		for _, o := range m.pending {
			m.reply(o, Shutdown)
		}
		m.pending = nil
	case Acquiring:
		m.abandon()
	}
}

// release goes as far as it can in giving the role up: everything that is under
// way is done and flushed, the activity log is empty, the cluster knows.
func (m *Machine) release() {
	if m.role != Releasing || len(m.active) > 0 || m.busy || m.hot.busy {
		return
	}
	var drained cluster.CopySet
	unsettled := m.fresh.Count() > 0 || len(m.flushes) > 0
	for _, p := range m.sortedPeers() {
		counts := m.counts(p)
		switch {
		case p.stage == stageReady && (counts || p.doneAs == cluster.Following):
			unsettled = unsettled || p.fresh.Count() > 0 || len(p.flushes) > 0 || len(p.out) > 0
			if p.doneAs == cluster.Following && m.marks[p.n].Count() == 0 {
				drained = drained.With(p.n)
			}
		case counts:
			m.reason = "an in-sync copy that is away"
			return
		}
	}
	if unsettled {
		m.reason = "flushing"
		m.flushAll()
		return
	}
	if !m.hot.empty() {
		m.busy = true
		for _, e := range m.hot.list() {
			for _, n := range m.others() {
				m.savePage(n, e)
			}
		}
		cold := m.hot.clearAll()
		m.persist(Persist{Slots: cold}, func() { m.busy = false })
		for _, p := range m.sortedPeers() {
			if p.stage == stageReady {
				m.send(p, Message{Type: Hot, Hot: cold})
				m.flushThere(p, nil) // its answer says that this has arrived
			}
		}
		return
	}
	m.reason = "the cluster's word about the release"
	if m.again("release") {
		m.fx.Propose = append(m.fx.Propose, cluster.Command{ReleaseVolume: &cluster.ReleaseVolume{Name: m.view.Name, Epoch: m.super.Epoch, Drained: drained}})
	}
}

// abandon ends whatever role there is. Requests that are under way are never
// acknowledged; what of them is on disks is covered by hot extents.
func (m *Machine) abandon() {
	if m.role != Source && m.role != Releasing && m.role != Acquiring {
		return
	}
	for _, o := range append(m.active, m.pending...) {
		m.reply(o, Shutdown)
	}
	m.active, m.pending = nil, nil
	for _, p := range m.sortedPeers() {
		m.dropPeer(p, Good)
		m.marks[p.n].Add(p.fresh) // whether it has lost it nobody will ask any more
	}
	m.peers = make(map[cluster.Copy]*peer)
	m.fresh.Reset()
	m.flushes = nil
	m.role, m.began, m.acting = Idle, false, 0
	clear(m.propose)
}

func (m *Machine) onRollBack() {
	if m.role != Idle || !m.super.Undo || m.busy || m.view == nil {
		return
	}
	m.endUpstream()
	m.busy = true
	m.disk(DiskOp{Kind: DiskUndoRestore}, func(failed bool) {
		if failed {
			m.fail("the undo log can't be written back")
			return
		}
		for _, n := range m.others() {
			m.marks[n].Add(m.saved)
			m.saveMarks(n)
		}
		m.absorb(func() {
			m.super.Consistent, m.super.Undo = true, false
			m.saveSuper(func() {
				m.saved.Reset()
				m.persist(Persist{DropUndo: true}, func() { m.busy = false })
			})
		})
	})
}
