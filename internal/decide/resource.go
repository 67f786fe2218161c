package decide

import (
	"hash/fnv"
	"maps"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// stage is how far a resource is, as far as this node knows.
type stage uint8

const (
	// off: surely nothing of it is left, or it was never started here.
	off stage = iota
	starting
	up
	recovering
	// sick: failed, and left so by policy.
	sick
	// doubt: it must be checked before anything is done about it.
	doubt
	stopping
	// verifying: a stop wasn't confirmed, its check is asked.
	verifying
	killing
	// proving: as verifying, after a kill.
	proving
	// stuck: nobody can say whether it is stopped. Tried again at retryAt.
	stuck
)

// resource is one resource of a run.
type resource struct {
	// spec is as it was started; want as the state has it now.
	spec, want cluster.Resource
	stage      stage
	// gone: it was deleted. restart: it is to be stopped and started again.
	gone, restart bool
	act           action
	instance      uint64 // ID of its last Start
	stops         int    // tries of the present stop
	retryAt       time.Duration
	// degraded, and why; cause is the failure that is being mended.
	degraded bool
	why      cluster.Reason
	cause    cluster.Reason
	// asked is the check that gave no answer and is repeated.
	asked Act
	// excused: its next failure is due to an interruption and isn't counted.
	excused bool
	// ran: it was started under this epoch. added: others were before it was
	// even made.
	ran, added bool
	// news: something happened to it during its start.
	news bool

	lightAt, deepAt time.Duration
	recoveries      []time.Duration
	spread, nth     uint64
}

func (x *Executor) newResource(hierarchy string, spec cluster.Resource) *resource {
	h := fnv.New64a()
	h.Write([]byte(hierarchy + "/" + spec.Name))
	return &resource{spec: spec, want: spec, spread: x.seed ^ h.Sum64()}
}

func byName(a, b *resource) int { return strings.Compare(a.spec.Name, b.spec.Name) }

// sameThing reports whether the one needn't be restarted to become the other.
func sameThing(a, b *cluster.Resource) bool {
	return a.Kit == b.Kit && maps.Equal(a.Settings, b.Settings)
}

// common are the resource's settings with defaults.
func (res *resource) common() cluster.Common { return Effective(res.spec.Common, Defaults()) }

// running reports whether there may be something to stop.
func (res *resource) running() bool {
	switch res.stage {
	case starting, up, recovering, sick, doubt:
		return true
	}
	return false
}

// ready reports whether parents may be started on it.
func (res *resource) ready() bool { return res.stage == up && !res.restart && !res.gone }

// specs are all resources as the guardian must know them now.
func (r *run) specs() []cluster.Resource {
	var all []cluster.Resource
	for _, res := range r.all {
		switch {
		case res.stage != off:
			all = append(all, res.spec)
		case !res.gone:
			all = append(all, res.want)
		}
	}
	return all
}

// covered reports whether the guardian was asked to guard exactly what runs or
// is to be started. What it doesn't know of would serve on after the lease.
func (r *run) covered() bool {
	return slices.EqualFunc(r.guarded, r.specs(), func(a, b cluster.Resource) bool { return a.Name == b.Name && sameThing(&a, &b) })
}

// deleted names a resource that is guarded and isn't there any more.
func (r *run) deleted() string {
	for i := range r.guarded {
		if res := r.resource(r.guarded[i].Name); res == nil || res.gone && res.stage == off {
			return r.guarded[i].Name
		}
	}
	return ""
}

// parentsOff reports whether nothing that depends on it is left.
func (r *run) parentsOff(res *resource) bool {
	for _, p := range r.all {
		if p.stage != off && slices.Contains(p.spec.DependsOn, res.spec.Name) {
			return false
		}
	}
	return true
}

// blocked returns the child for which a start must wait, or the parent that
// must be stopped before; nil if there is none.
func (r *run) blocked(res *resource) *resource {
	for _, o := range r.all {
		if slices.Contains(res.want.DependsOn, o.spec.Name) && (!o.ready() || o.excused && o.act.id != 0) {
			return o // which may be about to be found failed
		}
		if o.restart && o.stage != off && slices.Contains(o.spec.DependsOn, res.spec.Name) {
			return o
		}
	}
	return nil
}

// restartProbed restarts what a probe looks at, because it found that it
// doesn't answer; the probe has nothing of its own to restart. It reports
// whether there is anything.
func (r *run) restartProbed(probe *resource) bool {
	if len(probe.spec.DependsOn) == 0 {
		return false
	}
	if probe.stage != off {
		probe.stage = up // it is stopped before what it looks at
	}
	for _, name := range probe.spec.DependsOn {
		if res := r.resource(name); res != nil {
			r.markRestart(res, r.up)
		}
	}
	return true
}

// markRestart has a resource, and what depends on it, stopped and started.
func (r *run) markRestart(res *resource, why cluster.Reason) {
	res.restart, res.why = true, why
	for _, p := range r.all {
		if p.stage != off && !p.restart && slices.Contains(p.spec.DependsOn, res.spec.Name) {
			r.markRestart(p, why)
		}
	}
}

// status is what is reported of a resource.
func (x *Executor) status(r *run, res *resource) cluster.ResourceStatus {
	st := cluster.ResourceStatus{Name: res.spec.Name, Reason: res.why}
	say := func(s cluster.Status, code string, args ...any) {
		st.Status, st.Reason = s, cluster.Because(code, args...)
	}
	name := res.spec.Name
	switch {
	case res.stage == stuck:
		st.Status = cluster.Unknown
	case res.stage == sick:
		st.Status = cluster.Failed
	case res.stage == off && (r.down.set || res.gone):
		st.Status = cluster.OutOfService
		if r.down.resource == name {
			st.Status, st.Reason = cluster.Failed, r.down.why
		}
	case res.stage == off:
		if o := r.blocked(res); o != nil {
			say(cluster.Starting, message.WaitsForChild, name, o.spec.Name)
		} else {
			say(cluster.Starting, message.IsStarting, name, x.name())
		}
	case res.stage >= stopping:
		say(cluster.Stopping, message.IsStopping, name, x.name())
	case res.stage == up && res.restart:
		say(cluster.Stopping, message.IsStopping, name, x.name())
	case res.stage == up && res.degraded:
		st.Status = cluster.Degraded
	case res.stage == up:
		st.Status = cluster.InService
	default:
		say(cluster.Starting, message.IsStarting, name, x.name())
		if res.cause.Code != "" {
			st.Reason = res.cause
		}
	}
	return st
}
