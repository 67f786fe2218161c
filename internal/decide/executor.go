package decide

import (
	"slices"
	"strconv"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Executor carries out the assignments to one node. It acts for a hierarchy
// only while the state says that the node owns it under its present generation,
// and begins nothing without a valid lease.
type Executor struct {
	self cluster.NodeID
	seed uint64

	state   *cluster.State
	applied uint64
	gen     cluster.Generation
	lease   bool
	// inherit is true between a restart of the daemon and the proof that
	// nothing the earlier daemon proposed can be applied any more; until then
	// every assignment may be an old one. The proof is a note with this mark.
	inherit  bool
	mark     string
	markSent time.Duration
	found    []Running

	runs []*run // sorted by name
	// looks are the extensions to this node that are being looked into.
	looks []*look
	// leaves are the hierarchies that this node gives up because it is being
	// stopped, see [Executor.Leave].
	leaves map[string]leaving
	lastID uint64
	dirty  bool
	now    time.Duration // of the present Step
	next   time.Duration

	actions  []Action
	commands []cluster.Command
}

// NewExecutor makes the executor of a starting daemon. The seed spreads the
// checks of resources and must differ between starts.
func NewExecutor(self cluster.NodeID, seed uint64) *Executor {
	return &Executor{self: self, seed: seed, next: cluster.Never}
}

// SetState tells that the state changed, and under which generation this boot
// is admitted (0: it isn't). The state must stay as it is until the next call.
func (x *Executor) SetState(_ cluster.Instant, s *cluster.State, g cluster.Generation) {
	if s == x.state && s.Applied == x.applied && g == x.gen {
		return
	}
	x.state, x.applied, x.gen = s, s.Applied, g
	x.dirty = true
}

// Lease tells whether the node's lease is valid.
func (x *Executor) Lease(now cluster.Instant, valid bool) {
	if valid == x.lease {
		return
	}
	x.lease = valid
	x.dirty = true
	if valid {
		for _, r := range x.runs {
			r.gap = true
			if r.inherited && !r.lost {
				r.doubtAll() // what was found may be gone again
			}
		}
	}
}

// Adopt tells that the daemon was restarted while its guardian lived on, and
// what was found guarded. It must come before the first lease.
func (x *Executor) Adopt(now cluster.Instant, found []Running) {
	x.inherit, x.found, x.dirty = true, found, true
	x.mark = strconv.FormatUint(mix(x.seed^uint64(now.Boot)), 36)
	x.markSent = -1
	for _, r := range x.runs {
		r.inherited, r.sweep = true, true
	}
}

// Reset tells that the guardian has stopped everything on this node and begun a
// new session: there is nothing to look after, and nothing to inherit.
func (x *Executor) Reset(cluster.Instant) {
	x.runs, x.looks, x.found, x.inherit, x.dirty = nil, nil, nil, false, true
}

// leaving is how a hierarchy is given up by a node that is being stopped.
type leaving uint8

const (
	leaveNot leaving = iota
	leaveFree
	leaveKeeps
)

// Leave tells that this node is being stopped and that no other can take the
// hierarchy now, or (keeps) shall have it. It is stopped here and given up; that
// it is wanted in service stays, so that the first node that can will have it
// without a person, or this one when it is back.
func (x *Executor) Leave(hierarchy string, keeps bool) {
	if x.leaves[hierarchy] != leaveNot {
		return
	}
	if x.leaves == nil {
		x.leaves = make(map[string]leaving)
	}
	x.leaves[hierarchy], x.dirty = leaveFree, true
	if keeps {
		x.leaves[hierarchy] = leaveKeeps
	}
}

// Clean reports whether surely nothing of any hierarchy is left on this node as
// far as this executor had to do with it. Only then may the node state so.
func (x *Executor) Clean() bool { return len(x.runs) == 0 && len(x.found) == 0 }

// Next is the Mono time at which Step wants to be called even if nothing
// happens.
func (x *Executor) Next() time.Duration {
	if x.dirty {
		return 0
	}
	return x.next
}

// Step says what is to be done and proposed after all that was told since the
// last call.
func (x *Executor) Step(now cluster.Instant) ([]Action, []cluster.Command) {
	if !x.dirty && now.Mono < x.next || x.state == nil {
		return nil, nil
	}
	x.dirty, x.now = false, now.Mono
	x.actions, x.commands = nil, nil
	x.passBarrier(now.Mono)
	// A hierarchy that is over may be assigned anew already: then once more.
	for again := true; again; {
		x.take(now.Mono)
		for _, r := range x.runs {
			x.follow(now.Mono, r)
		}
		before := len(x.runs)
		x.runs = slices.DeleteFunc(x.runs, func(r *run) bool { return r.finished() })
		again = len(x.runs) < before
	}
	x.lookInto(now.Mono)
	x.next = x.due()
	return x.actions, x.commands
}

// follow brings one hierarchy as far as it goes now.
func (x *Executor) follow(now time.Duration, r *run) {
	x.expire(now, r)
	if r.lost {
		x.killAll(now, r)
		return
	}
	if !x.paused() {
		x.supervise(now, r)
		x.advance(now, r)
	}
	x.report(now, r)
}

// paused reports whether nothing may be begun: without a lease the guardian
// freezes and stops, and an unmanaged node was left alone on purpose.
func (x *Executor) paused() bool {
	if !x.lease || x.gen == 0 {
		return true
	}
	n := x.state.Node(x.self)
	return n == nil || n.Presence != cluster.Present
}

// take compares the assignments in the state with what is under way here.
func (x *Executor) take(now time.Duration) {
	for _, r := range x.runs {
		h := x.state.Hierarchy(r.name)
		switch {
		case h != nil && h.Owns(x.self, x.gen) && h.Epoch == r.epoch && x.gen == r.gen:
			r.sync(x, h)
			r.aim(x, h)
		default:
			r.lost = true
		}
	}
	for i := range x.state.Hierarchies {
		h := &x.state.Hierarchies[i]
		if x.gen == 0 || !h.Owns(x.self, x.gen) || x.run(h.Name) != nil {
			continue
		}
		if f := x.foundOf(h.Name); f != nil && f.Epoch > h.Epoch && x.inherit {
			continue
		}
		x.insert(x.begin(now, h))
	}
	x.disown()
}

// disown kills what was found running and belongs to this node no more. It
// waits until the state is at least as new as what was found. A node that has
// left has no generation and owns nothing; it gets one only when it is clean.
func (x *Executor) disown() {
	n := x.state.Node(x.self)
	knows := x.gen != 0 || n != nil && n.Presence == cluster.Left
	x.found = slices.DeleteFunc(x.found, func(f Running) bool {
		if x.run(f.Hierarchy) != nil {
			return true
		}
		h := x.state.Hierarchy(f.Hierarchy)
		if !knows || h != nil && h.Epoch < f.Epoch && x.inherit {
			return false
		}
		r := &run{name: f.Hierarchy, epoch: f.Epoch, gen: x.gen, lost: true, kill: true, guard: guardOn}
		for _, spec := range f.Resources {
			r.all = append(r.all, &resource{spec: spec, stage: doubt})
		}
		x.insert(r)
		return true
	})
}

func (x *Executor) foundOf(name string) *Running {
	for i := range x.found {
		if x.found[i].Hierarchy == name {
			return &x.found[i]
		}
	}
	return nil
}

func (x *Executor) run(name string) *run {
	for _, r := range x.runs {
		if r.name == name {
			return r
		}
	}
	return nil
}

func (x *Executor) insert(r *run) {
	i, _ := slices.BinarySearchFunc(x.runs, r.name, func(r *run, n string) int { return strings.Compare(r.name, n) })
	x.runs = slices.Insert(x.runs, i, r)
}

// passBarrier ends the inheritance once the mark is in the timeline: whatever
// was assigned after it is unknown to the earlier daemon.
func (x *Executor) passBarrier(now time.Duration) {
	if !x.inherit || x.gen == 0 {
		return
	}
	for i := len(x.state.Timeline) - 1; i >= 0; i-- {
		e := &x.state.Timeline[i]
		if e.Kind == cluster.KindDaemonRestarted && e.Node == x.self && slices.Contains(e.Reason.Args, x.mark) {
			x.inherit = false
			return
		}
	}
	if x.markSent >= 0 && (now < x.markSent+x.resend() || !x.lease) {
		return
	}
	x.markSent = now
	x.commands = append(x.commands, cluster.Command{
		Reason: cluster.Because(message.DaemonRestarted, x.state.NodeName(x.self), x.mark),
		Note:   &cluster.Note{Kind: cluster.KindDaemonRestarted, Node: x.self},
	})
}

// resend is when a command that isn't seen in the state is proposed again. The
// proposer itself tries on until then.
func (x *Executor) resend() time.Duration { return 2 * x.state.Detection }

func (x *Executor) name() string { return x.state.NodeName(x.self) }

// mix is the finalizer of splitmix64: it makes a spread number of any.
// Source: Steele, Lea, Flood: Fast splittable pseudorandom number generators.
func mix(v uint64) uint64 {
	v += 0x9e3779b97f4a7c15
	v = (v ^ v>>30) * 0xbf58476d1ce4e5b9
	v = (v ^ v>>27) * 0x94d049bb133111eb
	return v ^ v>>31
}
