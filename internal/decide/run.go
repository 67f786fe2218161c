package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// run is what this node does about one hierarchy under one epoch.
type run struct {
	name  string
	epoch cluster.Epoch
	gen   cluster.Generation
	how   cluster.Release
	all   []*resource // sorted by name

	guard guardState
	// guardAgain: it was on before a gap; guardTries counts since then.
	guardAgain bool
	guardTries int
	// guarded is what the guardian was last asked to guard.
	guarded []cluster.Resource
	act     action // Guard, Unguard, Announce or Kill of everything
	retryAt time.Duration

	// lost: the node owns it no more, and what is left (kill) is killed; begun
	// reports whether that was taken up.
	lost, kill, begun bool
	// inherited: an earlier daemon of this boot may have done anything under
	// this epoch; found reports whether something was proven to run.
	inherited, found bool
	// sweep: there may be resources that the state doesn't name any more, so
	// that only a Kill of everything proves that nothing is left.
	sweep bool
	// served: it was in service as a whole under this epoch. known: its first
	// resources are taken over; what comes later was added.
	served, known bool
	// gap: supervision was interrupted; everything is doubtful.
	gap    bool
	policy cluster.Policy
	// keeps: the node is shut down, and has it again when it is back.
	keeps bool
	// unwatched: in maintenance, by itself or with its node or the cluster.
	unwatched bool

	// down: it is being stopped, for good under this epoch.
	down downward
	// up is why it is being brought up or mended; recovering names what is
	// being mended, since when.
	up         cluster.Reason
	recovering string
	recoverAt  time.Duration

	said     report
	reportAt time.Duration
	causes   []uint64 // of the next report, beside the state's Since
	evidence []phase
}

// downward is the way out of service.
type downward struct {
	set      bool
	final    cluster.Status // OutOfService or Failed
	resource string         // that failed
	why      cluster.Reason
	said     bool // that it is stopping, and why
}

type guardState uint8

const (
	guardOff guardState = iota
	guardAsked
	guardOn
	guardEnding
)

// action is one that runs for a hierarchy or resource; id 0: none.
type action struct {
	id       uint64
	act      Act
	began    time.Duration
	deadline time.Duration // Mono after which no answer is expected any more
	timeout  time.Duration
}

// phase is something that took its time, for the timeline.
type phase struct {
	at     time.Duration
	reason cluster.Reason
}

// evidenceMax bounds what one report carries.
const evidenceMax = 24

func (r *run) prove(now time.Duration, why cluster.Reason) {
	if why.Code != "" && len(r.evidence) < evidenceMax {
		r.evidence = append(r.evidence, phase{now, why})
	}
}

// begin takes over an assignment.
func (x *Executor) begin(now time.Duration, h *cluster.Hierarchy) *run {
	r := &run{name: h.Name, epoch: h.Epoch, gen: h.Generation, how: h.Released, up: h.Reason, policy: h.Policy}
	if h.LastOwner == 0 {
		r.how = ""
	}
	if r.up.Code == "" {
		r.up = cluster.Because(message.AssignedFirst, h.Name, x.name())
	}
	if x.inherit {
		r.inherited, r.sweep = true, true
		r.served = h.Status.Serving()
		r.gap = true
		if f := x.foundOf(h.Name); f != nil && f.Epoch == h.Epoch {
			for i := range f.Resources {
				r.all = append(r.all, x.newResource(h.Name, f.Resources[i]))
			}
			slices.SortFunc(r.all, byName)
		}
	}
	// What an earlier daemon was about to say may still be applied, so what is
	// said here must be looked at again.
	r.said = report{status: h.Status, reason: h.Reason, at: now, sent: r.inherited}
	r.sync(x, h)
	r.known = true
	for _, res := range r.all {
		if r.inherited {
			res.stage, res.ran = doubt, true
		}
		if w := h.Resource(res.spec.Name); w != nil {
			r.said.resources = append(r.said.resources, cluster.ResourceStatus{Name: w.Name, Status: w.Status, Reason: w.Reason})
		}
	}
	r.aim(x, h)
	return r
}

// sync takes over the resources as they are wanted now.
func (r *run) sync(x *Executor, h *cluster.Hierarchy) {
	was := r.unwatched
	r.policy, r.unwatched = h.Policy, x.state.Unwatched(h, x.self)
	if was && !r.unwatched {
		r.gap = true
	}
	for _, res := range r.all {
		if w := h.Resource(res.spec.Name); w == nil && !res.gone {
			res.gone = true
			res.why = cluster.Because(message.StopsDeleted, res.spec.Name, x.name())
		}
	}
	for i := range h.Resources {
		w := &h.Resources[i]
		res := r.resource(w.Name)
		if res == nil {
			res = x.newResource(r.name, *w)
			if r.known {
				res.added = true
				res.why = cluster.Because(message.StartsAdded, w.Name, x.name())
				r.up = res.why
			}
			j, _ := slices.BinarySearchFunc(r.all, res, byName)
			r.all = slices.Insert(r.all, j, res)
			continue
		}
		res.gone = false
		if res.want.Maintenance && !w.Maintenance {
			res.excused, res.lightAt = true, x.now // looked at anew
		}
		res.want = *w
		res.spec.DependsOn = w.DependsOn
		if res.spec.Common != w.Common {
			res.spec.Common = w.Common
			x.scheduleLight(x.now, res)
			x.scheduleDeep(x.now, res)
		}
		if res.stage != off && !res.restart && !sameThing(&res.spec, w) {
			r.markRestart(res, cluster.Because(message.RestartForSettings, w.Name, x.name()))
			r.up = res.why
		}
	}
}

// aim decides whether it goes on in service. There is no way back under the
// same epoch: a report that gave up ownership may be on its way.
func (r *run) aim(x *Executor, h *cluster.Hierarchy) {
	switch {
	case r.down.set:
	case h.Want == cluster.WantOutOfService:
		if e := lastEntry(x.state, h.Name, cluster.KindWant); e != nil {
			r.causes = append(r.causes, e.ID)
		}
		r.goDown(cluster.OutOfService, "", cluster.Because(message.StoppingByRequest, h.Name, x.name()))
	case h.Move != nil && h.Move.To != x.self && !x.state.Suspended(h):
		r.causes = append(r.causes, h.Move.Entry)
		r.goDown(cluster.OutOfService, "", cluster.Because(message.StoppingForSwitchover, h.Name, x.name(), x.state.NodeName(h.Move.To)))
	case x.leaves[h.Name] == leaveKeeps:
		r.keeps = true
		r.goDown(cluster.OutOfService, "", cluster.Because(message.StoppingForShutdown, h.Name, x.name()))
	case x.leaves[h.Name] == leaveFree:
		r.goDown(cluster.OutOfService, "", cluster.Because(message.StoppingForLeave, h.Name, x.name()))
	}
}

// doubtAll forgets what an inherited run has found so far.
func (r *run) doubtAll() {
	if r.guard == guardOn {
		r.guard = guardOff
	}
	for _, res := range r.all {
		res.stage, res.asked = doubt, ""
	}
}

func (r *run) goDown(final cluster.Status, resource string, why cluster.Reason) {
	r.down = downward{set: true, final: final, resource: resource, why: why}
}

func (r *run) resource(name string) *resource {
	for _, res := range r.all {
		if res.spec.Name == name {
			return res
		}
	}
	return nil
}

func (r *run) allOff() bool {
	for _, res := range r.all {
		if res.stage != off {
			return false
		}
	}
	return true
}

// stopped reports whether surely nothing of the hierarchy is left.
func (r *run) stopped() bool { return r.allOff() && !r.sweep }

// finished reports whether the run can be forgotten: the node owns the
// hierarchy no more and nothing of it is left.
func (r *run) finished() bool {
	return r.lost && !r.kill && r.guard == guardOff && r.act.id == 0 && r.allOff()
}
