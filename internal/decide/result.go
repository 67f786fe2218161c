package decide

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Done tells how an action ended. Results of actions that were replaced by
// later ones are ignored.
func (x *Executor) Done(now cluster.Instant, result Result) {
	if result.Action == 0 || x.state == nil {
		return
	}
	if x.looked(result) {
		return
	}
	for _, r := range x.runs {
		if r.act.id == result.Action {
			x.dirty = true
			x.guardDone(now.Mono, r, result)
			return
		}
		for _, res := range r.all {
			if res.act.id == result.Action {
				x.dirty = true
				x.done(now.Mono, r, res, result)
				return
			}
		}
	}
}

// expire goes on without the answers that don't come.
func (x *Executor) expire(now time.Duration, r *run) {
	if r.act.id != 0 && now >= r.act.deadline {
		x.guardDone(now, r, Result{Action: r.act.id})
	}
	for _, res := range r.all {
		if res.act.id != 0 && now >= res.act.deadline {
			x.done(now, r, res, Result{Action: res.act.id})
		}
	}
}

func explain(result Result, a action, what string) cluster.Reason {
	switch {
	case result.Reason.Code != "":
		return result.Reason
	case result.Outcome == Unclear:
		return cluster.Because(message.NoAnswerInTime, a.act, what, spell(a.timeout))
	}
	return cluster.Because(message.NoReasonGiven, a.act, what)
}

// guardDone takes the result of an action for the whole hierarchy.
func (x *Executor) guardDone(now time.Duration, r *run, result Result) {
	a := r.act
	r.act = action{}
	ok := result.Outcome == Succeeded
	switch a.act {
	case Guard:
		switch {
		case ok:
			r.guard = guardOn
			r.prove(now, cluster.Because(message.GuardTook, r.name, spell(now-a.began)))
		case x.paused():
			r.guard = guardOff // asked again when the lease is back
		case r.guardAgain && r.guardTries < guardTriesMax:
			r.guard, r.retryAt = guardOff, now+killRetry
		default:
			r.guard = guardOn // perhaps
			if !r.down.set {
				r.goDown(cluster.Failed, "", cluster.Because(message.GuardFailed, r.name, x.name(), words(explain(result, a, r.name))))
			}
		}
	case Unguard:
		// If it failed, the next Guard takes its place.
		r.guard = guardOff
	case Kill:
		if !ok {
			r.retryAt = now + killRetry
			return
		}
		r.kill, r.sweep = false, false
		for _, res := range r.all {
			res.stage = off
		}
	}
}

// done takes the result of a resource's action.
func (x *Executor) done(now time.Duration, r *run, res *resource, result Result) {
	a := res.act
	res.act = action{}
	if r.lost {
		return
	}
	why := explain(result, a, res.spec.Name)
	health := cluster.Unknown
	if result.Outcome == Succeeded && result.Health != "" {
		health = result.Health
	}
	switch res.stage {
	case starting, recovering:
		x.started(now, r, res, a, result.Outcome, why)
	case up, sick:
		x.checked(now, r, res, a, health, why)
	case doubt:
		x.answered(now, r, res, health, why)
	case stopping:
		if result.Outcome == Succeeded {
			x.stopped(now, r, res, a)
			return
		}
		res.stage, res.cause = verifying, why
		r.prove(now, why)
	case verifying:
		switch {
		case health == cluster.OutOfService:
			x.stopped(now, r, res, a)
		case res.stops < stopTries:
			res.stage = stopping
		default:
			res.stage = killing
		}
	case killing:
		res.stage = proving
	case proving:
		if health == cluster.OutOfService {
			x.stopped(now, r, res, a)
			return
		}
		res.stage, res.retryAt = stuck, now+stuckRetry
		res.why = cluster.Because(message.StopUnconfirmed, res.spec.Name, x.name(), words(res.cause))
	}
}

func (x *Executor) started(now time.Duration, r *run, res *resource, a action, outcome Outcome, why cluster.Reason) {
	switch {
	case outcome == Succeeded:
		took := cluster.Because(message.StartTook, res.spec.Name, spell(now-a.began))
		if a.act == Start {
			r.prove(now, took)
		}
		x.isUp(now, res, took)
		if res.news {
			res.lightAt = now
		}
	case outcome == Unclear || x.paused():
		res.stage, res.cause = doubt, why
	case a.act == Recover:
		if outcome != Unsupported {
			r.prove(now, why)
		}
		res.stage = up // in whatever state: it is stopped after its parents
		r.markRestart(res, r.up)
	default:
		x.fail(now, r, res, why, false)
	}
}

func (x *Executor) isUp(now time.Duration, res *resource, why cluster.Reason) {
	res.stage, res.degraded, res.asked = up, false, ""
	res.why, res.cause = why, cluster.Reason{}
	x.scheduleLight(now, res)
	x.scheduleDeep(now, res)
}

func (x *Executor) stopped(now time.Duration, r *run, res *resource, a action) {
	res.stage, res.stops, res.degraded = off, 0, false
	res.why = cluster.Because(message.StopTook, res.spec.Name, spell(now-a.began))
	r.prove(now, res.why)
}

// answered takes the check of a resource about which nothing was known.
func (x *Executor) answered(now time.Duration, r *run, res *resource, health cluster.Status, why cluster.Reason) {
	cause := res.cause
	if cause.Code == "" {
		cause = why
	}
	switch {
	case health.Serving():
		r.found = true
		if r.inherited && res.want.Status.Serving() {
			x.isUp(now, res, res.want.Reason)
		} else {
			x.isUp(now, res, cluster.Because(message.ResourceWellAgain, res.spec.Name, x.name()))
		}
		if health == cluster.Degraded {
			res.degraded = true
			res.why = cluster.Because(message.ServesDegraded, res.spec.Name, x.name(), words(why))
		}
	case x.paused():
		// It is asked again when the lease is back.
	case health == cluster.Unknown && res.asked == "":
		res.asked = Check
	case r.inherited:
		res.cause, res.stage = cause, sick
		if health == cluster.OutOfService {
			res.stage, res.cause = off, cluster.Because(message.StoppedUnasked, res.spec.Name, x.name())
		}
	case health == cluster.OutOfService && res.cause.Code == "":
		x.fail(now, r, res, cluster.Because(message.StoppedUnasked, res.spec.Name, x.name()), true)
	default:
		x.fail(now, r, res, cause, health == cluster.OutOfService)
	}
}

// Observe tells what a kit noticed by itself.
func (x *Executor) Observe(now cluster.Instant, ev KitEvent) {
	r := x.run(ev.Hierarchy)
	if r == nil || r.lost || x.state == nil {
		return
	}
	res := r.resource(ev.Resource)
	if res == nil || ev.Instance != 0 && res.instance != 0 && ev.Instance != res.instance {
		return
	}
	x.dirty = true
	switch {
	case res.stage == starting || res.stage == recovering || res.stage == doubt:
		res.news = true
	case r.down.set || res.restart || res.gone || r.inherited || res.stage != up && res.stage != sick:
	case res.want.Maintenance:
	case x.paused() || r.unwatched:
		r.gap = true // looked at as soon as it may be
	case ev.Health == cluster.Unknown || ev.Health == "":
		if res.act.id == 0 {
			res.lightAt = now.Mono
		}
	default:
		why := ev.Reason
		if why.Code == "" {
			why = cluster.Because(message.NoReasonGiven, Check, res.spec.Name)
		}
		x.judge(now.Mono, r, res, ev.Health, why)
	}
}

// due is when something is to be done though nothing happens.
func (x *Executor) due() time.Duration {
	next := cluster.Never
	if x.inherit && x.gen != 0 && x.lease && x.state != nil {
		next = x.markSent + x.resend()
	}
	paused := x.paused()
	for _, l := range x.looks {
		if x.gen != 0 && x.lease {
			next = min(next, l.due())
		}
	}
	for _, r := range x.runs {
		if !r.lost {
			next = min(next, r.reportAt)
		}
		switch {
		case r.act.id != 0:
			next = min(next, r.act.deadline)
		case r.lost && r.kill, !paused && r.down.set && r.sweep && r.allOff(),
			!paused && !r.lost && !r.down.set && (r.guard == guardOff || r.guard == guardOn && !r.covered()):
			next = min(next, r.retryAt)
		}
		for _, res := range r.all {
			switch {
			case res.act.id != 0:
				next = min(next, res.act.deadline)
			case r.lost || paused:
			case res.stage == stuck:
				next = min(next, res.retryAt)
			case r.supervised(res):
				next = min(next, res.lightAt, res.deepAt)
			}
		}
	}
	return next
}

func (r *run) supervised(res *resource) bool {
	return !r.down.set && !r.inherited && !r.unwatched && !res.want.Maintenance && !res.restart && !res.gone &&
		(res.stage == up || res.stage == sick)
}
