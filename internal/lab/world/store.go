package world

import (
	"errors"
	"fmt"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// store is shared storage with the object of one passive voter. Its fault
// model: it may be slow, hang, be out of reach of some nodes or all, show old
// versions, carry out a save late or without saying so. What it must not do is
// to save over a version that isn't the one named; scenarios have it do that,
// go back in time or be exchanged, to see that it is noticed.
type store struct {
	w        *World
	voter    cluster.NodeID
	versions [][]byte
	latency  time.Duration // mean of one access
	missing  bool
	stale    int // percent of loads that show an earlier version
	unsure   int // percent of saves whose end isn't told
	blind    bool
	reach    []reach // by node
}

// reach is how one node gets at the store.
type reach struct {
	cut     bool
	hanging bool
	held    []func() // what goes on when it hangs no more
}

var (
	errStoreGone    = errors.New("no path to the device")
	errStoreMissing = errors.New("no object")
	errStoreTimeout = errors.New("timed out")
)

func (w *World) storeOf(id cluster.NodeID) *store {
	for _, st := range w.stores {
		if st.voter == id {
			return st
		}
	}
	return nil
}

// access plans one access of a node; do is called when the device carries it
// out.
func (st *store) access(n *node, do func()) {
	w := st.w
	w.after(st.latency/2+w.chance(st.latency), func() {
		if r := &st.reach[n.idx]; r.hanging {
			r.held = append(r.held, do)
			return
		}
		do()
	})
}

func (st *store) unhang(n *node) {
	r := &st.reach[n.idx]
	held := r.held
	r.hanging, r.held = false, nil
	for _, do := range held {
		do()
	}
}

// run is one operation of a core at the store.
type run struct {
	n     *node
	st    *store
	op    *core.StorageOp
	life  int
	until time.Duration
	ended bool
	again int // loads that showed an object that had gone back
}

// storageOp does what package store does: load, step, save if unchanged, again
// if it has changed.
func (n *node) storageOp(op *core.StorageOp) {
	st := n.w.storeOf(op.Voter)
	if st == nil {
		return
	}
	r := &run{n: n, st: st, op: op, life: n.life, until: n.w.now + n.real(op.Within)}
	n.act(op.Within, func() { r.end(nil, errStoreTimeout) })
	r.load()
}

func (r *run) over() bool { return r.ended || r.n.life != r.life || r.n.core == nil }

func (r *run) end(out *core.Outcome, err error) {
	if r.over() {
		return
	}
	r.ended = true
	r.n.deliver(core.StorageDone{ID: r.op.ID, Voter: r.op.Voter, Outcome: out, Err: err})
}

func (r *run) load() {
	st, n := r.st, r.n
	if r.over() {
		return
	}
	if st.reach[n.idx].cut {
		n.act(time.Millisecond, func() { r.end(nil, errStoreGone) })
		return
	}
	st.access(n, func() {
		if st.missing {
			n.act(0, func() { r.end(nil, errStoreMissing) })
			return
		}
		at := len(st.versions) - 1
		if st.stale > 0 && at > 0 && st.w.maybe(st.stale) {
			at -= 1 + st.w.rand.IntN(min(at, 5))
		}
		object := st.versions[at]
		n.act(0, func() { r.step(at, object) })
	})
}

func (r *run) step(at int, object []byte) {
	if r.over() {
		return
	}
	st, n := r.st, r.n
	s := n.stepper(r.op)
	next, out, err := s.Step(object, r.op.Batch)
	if err != nil {
		if errors.Is(err, core.ErrWentBack) && n.w.now < r.until && r.again < 3 {
			r.again++
			n.act(st.latency, r.load) // an old version may have been shown
			return
		}
		r.end(nil, err)
		return
	}
	if next == nil {
		r.end(out, nil)
		return
	}
	out.Saved = true
	if n.w.cfg.Broken.AnswerFirst {
		r.end(out, nil)
	}
	if st.reach[n.idx].cut {
		s.Saved(core.SaveConflict) // it didn't leave the machine
		n.act(time.Millisecond, func() { r.end(nil, errStoreGone) })
		return
	}
	told, unsure := false, st.w.maybe(st.unsure)
	tell := func(how core.SaveEnd) {
		if told || n.life != r.life {
			return
		}
		told = true
		s.Saved(how)
		switch {
		case how == core.SaveDone:
			r.end(out, nil)
		case r.over():
		case n.w.now < r.until:
			n.act(st.latency/4+n.w.chance(st.latency), r.load)
		}
	}
	if unsure {
		n.act(2*st.latency, func() { tell(core.SaveUnknown) })
		if st.w.maybe(30) {
			return // lost on its way
		}
	}
	// After the time for the operation it is unknown what becomes of the save.
	n.w.at(r.until, func() { n.act(0, func() { tell(core.SaveUnknown) }) })
	late := time.Duration(0)
	if unsure {
		late = st.w.chance(n.w.cfg.Detection)
	}
	n.w.after(late, func() {
		st.access(n, func() {
			if st.missing || at != len(st.versions)-1 && !st.blind && !n.w.cfg.Broken.BlindSave {
				n.act(0, func() { tell(core.SaveConflict) })
				return
			}
			st.versions = append(st.versions, next)
			n.w.check.saved(st.voter, out)
			n.act(st.latency/4, func() {
				if !unsure {
					tell(core.SaveDone)
				}
			})
		})
	})
}

// stepper is the process's memory of the store.
func (n *node) stepper(op *core.StorageOp) *core.Stepper {
	if n.steppersOf != n.life {
		n.steppers, n.steppersOf = make(map[cluster.NodeID]*core.Stepper), n.life
	}
	s := n.steppers[op.Voter]
	if s == nil {
		s = core.NewStepper(n.id, op.Voter, op.Store, n.w.rand.Uint64(), n.w.cfg.Broken)
		n.steppers[op.Voter] = s
	}
	return s
}

// saved looks at what a passive voter has said by the save of its object.
func (c *checker) saved(voter cluster.NodeID, out *core.Outcome) {
	if a := out.Ack; a != nil && a.Refusal == arbiter.Granted {
		for _, st := range out.Seen.Stamps {
			if st.Sent == a.Sent && st.Generation == a.Generation && c.history.promises[promised{voter, st.Node, a.Generation}] {
				c.fail("storage witness %v acknowledged %v (generation %d) after it had promised never to", voter, st.Node, a.Generation)
			}
		}
	}
	for _, m := range out.Messages {
		if a := m.Answer; a != nil && a.Yes && a.Phase == arbiter.Do {
			c.history.promise(voter, a.Node, a.Generation)
		}
		if m.Raft == nil || m.Raft.GetType() != raftpb.MsgApp {
			continue
		}
		c.leadsAs(voter, m.Raft.GetTerm())
		for _, e := range m.Raft.GetEntries() {
			if e.GetIndex() <= m.Raft.GetCommit() {
				c.commitsAs(voter, e.GetIndex(), e.GetTerm())
			}
		}
	}
}

// storeFault does something to a store, and plans its end.
func (w *World) storeFault() {
	d := w.cfg.Detection
	st := w.stores[w.rand.IntN(len(w.stores))]
	n := w.nodes[w.rand.IntN(len(w.nodes))]
	long := d/4 + w.chance(3*d)
	name := fmt.Sprintf("store %v", st.voter)
	switch w.rand.IntN(8) {
	case 0, 1:
		w.tell("%s: out of reach of %s for %v", name, n.name, long)
		st.reach[n.idx].cut = true
		w.after(long, func() { st.reach[n.idx].cut = false })
	case 2:
		w.tell("%s: out of everybody's reach for %v", name, long)
		for i := range st.reach {
			st.reach[i].cut = true
		}
		w.after(long, func() {
			for i := range st.reach {
				st.reach[i].cut = false
			}
		})
	case 3:
		st.latency = w.chance(d / 4)
		w.tell("%s: takes %v", name, st.latency)
		w.after(long, func() { st.latency = storeLatency })
	case 4:
		w.tell("%s: hangs for %s for %v", name, n.name, long)
		st.reach[n.idx].hanging = true
		w.after(long, func() { st.unhang(n) })
	case 5:
		st.stale = 10 + w.rand.IntN(50)
		w.tell("%s: %d %% of its loads are stale", name, st.stale)
		w.after(long, func() { st.stale = 0 })
	case 6:
		st.unsure = 10 + w.rand.IntN(60)
		w.tell("%s: the end of %d %% of its saves isn't known", name, st.unsure)
		w.after(long, func() { st.unsure = 0 })
	case 7:
		w.tell("%s: can't be found for %v", name, long)
		st.missing = true
		w.after(long, func() { st.missing = false })
	}
}

const storeLatency = 2 * time.Millisecond

// heal ends all faults of the store.
func (st *store) heal() {
	st.latency, st.stale, st.unsure, st.missing = storeLatency, 0, 0, false
	for i := range st.reach {
		st.reach[i].cut = false
		st.unhang(st.w.nodes[i])
	}
}
