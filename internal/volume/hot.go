package volume

import "slices"

// activity is the activity log: which extents may differ between the copies of
// the set after a crash.
type activity struct {
	slots []int64         // −1: empty
	at    map[int64]int   // extent → slot
	used  map[int64]int64 // extent → when it was last used
	clock int64
	ready map[int64]bool // durable
	busy  bool
}

func (a *activity) init(slots int, from []int64) {
	a.slots = make([]int64, slots)
	a.at, a.used, a.ready = make(map[int64]int), make(map[int64]int64), make(map[int64]bool)
	for i := range a.slots {
		a.slots[i] = -1
		if i < len(from) && from[i] >= 0 {
			a.put(i, from[i])
			a.ready[from[i]] = true
		}
	}
}

func (a *activity) empty() bool { return len(a.at) == 0 }

func (a *activity) put(slot int, extent int64) {
	if old := a.slots[slot]; old >= 0 {
		delete(a.at, old)
		delete(a.used, old)
		delete(a.ready, old)
	}
	a.slots[slot] = extent
	if extent >= 0 {
		a.at[extent] = slot
		a.touch(extent)
	}
}

func (a *activity) touch(extent int64) {
	a.clock++
	a.used[extent] = a.clock
}

// list is the hot extents, in order.
func (a *activity) list() []int64 {
	var l []int64
	for _, e := range a.slots {
		if e >= 0 {
			l = append(l, e)
		}
	}
	slices.Sort(l)
	return l
}

// taken is the slots that hold an extent.
func (a *activity) taken() (s []Slot) {
	for i, e := range a.slots {
		if e >= 0 {
			s = append(s, Slot{i, e})
		}
	}
	return s
}

func (a *activity) clearAll() (s []Slot) {
	for i, e := range a.slots {
		if e >= 0 {
			a.put(i, -1)
			s = append(s, Slot{i, -1})
		}
	}
	return s
}

// isHot reports whether all the extents are durably hot, and touches them.
func (m *Machine) isHot(extents []int64) bool {
	all := true
	for _, e := range extents {
		if m.hot.ready[e] {
			m.hot.touch(e)
		} else {
			all = false
		}
	}
	return all
}

// heat makes extents hot, as many as there is room for, in one transaction. The
// news goes ahead of the writes to every target.
func (m *Machine) heat(wanted []int64) {
	if m.hot.busy || len(wanted) == 0 {
		return
	}
	var changes []Slot
	var cold []int64
	free := m.freeSlots(len(wanted), wanted)
	for _, e := range wanted {
		if _, there := m.hot.at[e]; there || len(free) == 0 {
			continue
		}
		slot := free[0]
		free = free[1:]
		if old := m.hot.slots[slot]; old >= 0 {
			cold = append(cold, old)
		}
		changes = append(changes, Slot{slot, e})
	}
	if len(changes) == 0 {
		m.flushAll() // nothing can cool before that
		return
	}
	for _, e := range cold {
		for _, n := range m.others() {
			m.savePage(n, e)
		}
	}
	for _, c := range changes {
		m.hot.put(c.Slot, c.Extent)
	}
	for _, p := range m.sortedPeers() {
		if p.stage == stageReady {
			m.send(p, Message{Type: Hot, Hot: changes})
		}
	}
	m.hot.busy = true
	m.persist(Persist{Slots: changes}, func() {
		m.hot.busy = false
		for _, c := range changes {
			if m.hot.slots[c.Slot] == c.Extent {
				m.hot.ready[c.Extent] = true
			}
		}
	})
}

// freeSlots finds up to n slots that are empty or whose extents may cool, the
// longest unused first.
func (m *Machine) freeSlots(n int, wanted []int64) (free []int) {
	var used []int
	for i, e := range m.hot.slots {
		switch {
		case e < 0:
			free = append(free, i)
		case !slices.Contains(wanted, e) && m.mayCool(e):
			used = append(used, i)
		}
	}
	slices.SortFunc(used, func(a, b int) int { return int(m.hot.used[m.hot.slots[a]] - m.hot.used[m.hot.slots[b]]) })
	free = append(free, used...)
	return free[:min(n, len(free))]
}

// mayCool reports whether the extent is the same on the disks of all copies
// that count.
func (m *Machine) mayCool(e int64) bool {
	r := m.extent(e)
	if m.fresh.Any(r) || slices.ContainsFunc(m.flushes, func(b *Bitmap) bool { return b.Any(r) }) {
		return false
	}
	for _, o := range m.active {
		if o.changes() && o.run.overlaps(r) {
			return false
		}
	}
	for _, o := range m.pending {
		if o.sent != 0 && o.run.overlaps(r) {
			return false
		}
	}
	for _, p := range m.peers {
		if m.acting.Has(p.n) && (p.unsettled(r) || m.marks[p.n].Any(r)) {
			return false
		}
	}
	return true
}
