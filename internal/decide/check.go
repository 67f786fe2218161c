package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// supervise begins the checks that are due, and all of them after a gap.
func (x *Executor) supervise(now time.Duration, r *run) {
	if r.gap && !r.inherited && !r.down.set && !r.unwatched {
		r.gap = false
		x.afterGap(now, r)
	}
	for _, res := range r.all {
		if !r.supervised(res) || res.act.id != 0 {
			continue
		}
		switch {
		case now >= res.lightAt:
			x.act(now, r, res, Check, cluster.Because(message.CheckIsDue, res.spec.Name))
		case now >= res.deepAt:
			x.act(now, r, res, DeepCheck, cluster.Because(message.CheckIsDue, res.spec.Name))
		}
	}
}

// afterGap asks the guardian again, announces the addresses again and checks
// everything at once. What it finds is due to the interruption and not held
// against the resource. A guardian that killed the hierarchy meanwhile keeps its
// addresses silent until it is asked to guard it once more.
func (x *Executor) afterGap(now time.Duration, r *run) {
	if r.guard == guardOn {
		r.guard, r.guardAgain, r.guardTries = guardOff, true, 0
	}
	any := false
	for _, res := range r.all {
		if res.stage == up || res.stage == sick {
			// A check that was under way may have been frozen with the rest.
			any, res.excused = true, true
			res.asked, res.act = "", action{}
			res.lightAt = now
		}
	}
	if any {
		x.announce(now, r, cluster.Because(message.CheckedAfterGap, r.name, x.name()))
	}
}

func (x *Executor) announce(now time.Duration, r *run, why cluster.Reason) {
	x.emit(now, r, Announce, Action{Reason: why, Timeout: forceTimeout})
}

// scheduleLight sets the time of the next light check. Checks of resources with
// the same interval are spread by an eighth of it to either side, so that they
// don't all fall together.
func (x *Executor) scheduleLight(now time.Duration, res *resource) {
	res.lightAt = now + res.spread8(res.common().CheckInterval)
}

func (x *Executor) scheduleDeep(now time.Duration, res *resource) {
	res.deepAt = cluster.Never
	if d := res.common().DeepInterval; d > 0 {
		res.deepAt = now + res.spread8(d)
	}
}

func (res *resource) spread8(d time.Duration) time.Duration {
	res.nth++
	if d < 8 {
		return max(d, 1)
	}
	return d - d/8 + time.Duration(mix(res.spread+res.nth)%uint64(d/4))
}

// checked takes the result of a due check.
func (x *Executor) checked(now time.Duration, r *run, res *resource, a action, health cluster.Status, why cluster.Reason) {
	if a.act == DeepCheck {
		x.scheduleDeep(now, res)
	} else {
		x.scheduleLight(now, res)
	}
	if x.paused() || !r.supervised(res) {
		return
	}
	if health == cluster.Unknown && res.asked != a.act {
		// Once more at once: one lost answer is no failure.
		res.asked = a.act
		if a.act == DeepCheck {
			res.deepAt = now
		} else {
			res.lightAt = now
		}
		return
	}
	if res.asked == a.act {
		res.asked = ""
	}
	if health.Serving() && a.act == Check {
		res.excused = false
	}
	x.judge(now, r, res, health, why)
}

// judge draws the conclusion from what is known of a resource in service.
func (x *Executor) judge(now time.Duration, r *run, res *resource, health cluster.Status, why cluster.Reason) {
	name := res.spec.Name
	switch health {
	case cluster.InService:
		if res.degraded || res.stage == sick {
			res.stage, res.degraded = up, false
			res.why, res.cause = cluster.Because(message.ResourceWellAgain, name, x.name()), cluster.Reason{}
		}
	case cluster.Degraded:
		res.stage, res.degraded, res.cause = up, true, cluster.Reason{}
		res.why = cluster.Because(message.ServesDegraded, name, x.name(), words(why))
	case cluster.OutOfService:
		if why.Code == "" || why.Code == message.NoReasonGiven {
			why = cluster.Because(message.StoppedUnasked, name, x.name())
		}
		x.fail(now, r, res, why, true)
	default:
		x.fail(now, r, res, why, false)
	}
}

// fail is the one place that decides what a failure leads to. ended reports
// whether surely nothing of the resource is left.
func (x *Executor) fail(now time.Duration, r *run, res *resource, cause cluster.Reason, ended bool) {
	excused, wasSick := res.excused, res.stage == sick
	wasUp := res.stage == up || wasSick
	res.act, res.asked, res.cause = action{}, "", cause
	res.excused, res.degraded = false, false
	if ended {
		res.stage = off
	}
	if r.down.set {
		return
	}
	if !wasSick {
		r.prove(now, cause)
	}
	c := res.common()
	name := res.spec.Name
	switch {
	case r.unwatched || res.want.Maintenance || x.notifyOnly(r, res):
		res.stage = sick
		res.why = cluster.Because(message.KeptByPolicy, name, x.name(), words(cause))
		x.scheduleLight(now, res)
		x.scheduleDeep(now, res)
		return
	case excused:
	case !r.served:
		r.goDown(cluster.Failed, name, cluster.Because(message.BringUpFailed, name, x.name(), words(cause)))
		return
	case c.RecoveryMax < 0:
		r.goDown(cluster.Failed, name, cluster.Because(message.RecoveryIsOff, name, x.name(), words(cause)))
		return
	default:
		res.recoveries = slices.DeleteFunc(res.recoveries, func(t time.Duration) bool { return now-t >= c.RecoveryWithin })
		if len(res.recoveries) >= c.RecoveryMax {
			r.goDown(cluster.Failed, name, cluster.Because(message.RecoveriesUsedUp, name, x.name(),
				len(res.recoveries), spell(c.RecoveryWithin), words(cause)))
			return
		}
		res.recoveries = append(res.recoveries, now)
	}
	r.up = cluster.Because(message.LocalRecovery, name, x.name(), max(len(res.recoveries), 1), c.RecoveryMax)
	if r.recovering == "" {
		r.recoverAt = now
	}
	r.recovering = name
	if c.Probe && r.restartProbed(res) {
		return
	}
	if wasUp && !ended {
		res.stage = recovering
		return
	}
	if !ended {
		res.stage = up // in whatever state: it is stopped after its parents
	}
	r.markRestart(res, r.up)
}

// notifyOnly reports whether failures of the resource are only reported.
func (x *Executor) notifyOnly(r *run, res *resource) bool {
	h := x.state.Hierarchy(r.name)
	return h != nil && x.state.NotifyOnly(h, &res.want, x.self)
}
