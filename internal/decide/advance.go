package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// answerGrace is how long after its time-out an action's answer is waited
	// for before the executor goes on without it.
	answerGrace = 5 * time.Second
	// forceTimeout is for what the node itself does: guard, unguard, kill.
	forceTimeout = 10 * time.Second
	// stopTries is how often a resource is asked to stop before it is killed.
	stopTries = 2
	// stuckRetry is the time between attempts to end what can't be confirmed
	// to have ended; killRetry the same where another node may start it.
	stuckRetry = 10 * time.Second
	killRetry  = time.Second
	// guardTriesMax is how often the guardian is asked again after a gap: it may
	// be busy killing what is to be started again.
	guardTriesMax = 5
)

// advance begins all that may begin now. It looks at the situation alone, so
// it doesn't matter which event led here.
func (x *Executor) advance(now time.Duration, r *run) {
	if r.down.set {
		r.inherited = false // stopping needs no knowledge of what runs
	}
	if (r.guard == guardOff || r.guard == guardOn && !r.covered()) && !r.down.set && now >= r.retryAt {
		why := r.up
		switch {
		case r.inherited:
			why = cluster.Because(message.CheckedAfterDaemonRestart, r.name, x.name())
		case r.guard == guardOn && r.deleted() != "":
			why = cluster.Because(message.StopsDeleted, r.deleted(), x.name())
		case r.guardAgain:
			why = cluster.Because(message.CheckedAfterGap, r.name, x.name())
		}
		r.guarded = r.specs()
		r.act = x.emit(now, r, Guard, Action{Reason: why, Timeout: forceTimeout, Specs: r.guarded})
		r.guard = guardAsked
		r.guardTries++
	}
	for moved := true; moved; {
		moved = false
		for _, res := range r.all {
			moved = x.move(now, r, res) || moved
		}
	}
	r.all = slices.DeleteFunc(r.all, func(res *resource) bool { return res.gone && res.stage == off })
	if r.inherited {
		if x.inheritance(now, r); !r.inherited {
			x.advance(now, r)
			return
		}
	}
	if r.down.set && r.allOff() && r.sweep {
		if r.act.act != Kill && now >= r.retryAt {
			x.ask(now, r, Kill, r.down.why)
		}
		return
	}
	if r.down.set && r.allOff() && (r.guard == guardOn || r.guard == guardAsked) {
		x.ask(now, r, Unguard, cluster.Because(message.GuardIsOver, r.name, x.name()))
		r.guard = guardEnding
	}
}

// move begins the next action of one resource, and reports whether that may
// let others go on.
func (x *Executor) move(now time.Duration, r *run, res *resource) bool {
	if r.inherited && res.stage != doubt {
		return false // first all must be known
	}
	if res.running() && (r.down.set || res.gone || res.restart) && r.parentsOff(res) {
		// A running start, check or recovery is ended by the stop.
		res.stage, res.stops, res.act = stopping, 0, action{}
	}
	if res.act.id != 0 {
		return false
	}
	switch res.stage {
	case off:
		if r.down.set || res.gone || r.guard != guardOn || !r.covered() || r.blocked(res) != nil {
			return false
		}
		res.spec, res.restart, res.stage, res.news = res.want, false, starting, false
		x.act(now, r, res, Start, r.up)
		res.instance = res.act.id
	case recovering:
		x.act(now, r, res, Recover, r.up)
	case doubt:
		x.act(now, r, res, Check, cluster.Because(message.AskedAgain, res.spec.Name))
	case stopping:
		res.stops++
		x.act(now, r, res, Stop, x.becauseStopped(r, res))
	case verifying, proving:
		x.act(now, r, res, Check, cluster.Because(message.AskedAgain, res.spec.Name))
	case stuck:
		if now < res.retryAt {
			return false
		}
		res.stage = killing
		fallthrough
	case killing:
		x.act(now, r, res, Kill, cluster.Because(message.KilledAfterStop, res.spec.Name, x.name(), words(res.cause)))
	default:
		return false
	}
	return true
}

func (x *Executor) becauseStopped(r *run, res *resource) cluster.Reason {
	switch {
	case r.down.set:
		return r.down.why
	case res.restart && r.recovering != "" && r.recovering != res.spec.Name:
		return cluster.Because(message.RecoveryRestarts, res.spec.Name, x.name(), r.recovering)
	case res.restart && r.recovering != "":
		return r.up
	}
	if res.why.Code != "" {
		return res.why
	}
	return cluster.Because(message.IsStopping, res.spec.Name, x.name())
}

// inheritance ends when every resource is known. What the earlier daemon had
// in service goes on. If nothing runs, its report of that may be on its way,
// so nothing is started under this epoch.
func (x *Executor) inheritance(now time.Duration, r *run) {
	for _, res := range r.all {
		if res.stage == doubt {
			return
		}
	}
	if x.inherit {
		return // the state may be old, and another node the owner by now
	}
	r.inherited = false
	if !r.found && len(r.all) > 0 {
		r.goDown(cluster.OutOfService, "", cluster.Because(message.NothingFound, r.name, x.name()))
		return
	}
	r.gap = false
	x.announce(now, r, cluster.Because(message.CheckedAfterDaemonRestart, r.name, x.name()))
	for _, res := range r.all {
		if res.stage != up {
			res.excused = true
			x.fail(now, r, res, res.cause, res.stage == off)
		}
	}
}

// act begins an action of a resource.
func (x *Executor) act(now time.Duration, r *run, res *resource, act Act, why cluster.Reason) {
	c := res.common()
	timeout := c.CheckTimeout
	switch act {
	case Start, Recover:
		timeout = c.StartTimeout
	case Stop:
		timeout = c.StopTimeout
	case DeepCheck:
		timeout = c.DeepTimeout
	case Kill:
		timeout = forceTimeout
	}
	a := Action{Resource: res.spec.Name, Spec: res.spec, Reason: why, Timeout: timeout}
	if act == Start {
		switch {
		case res.ran:
			a.How = cluster.ReleasedStopped // by this node itself
		case !res.added:
			a.How = r.how
		}
		res.ran = true
	}
	res.act = x.emit(now, r, act, a)
}

// ask begins an action for the whole hierarchy. A later one ends an earlier.
func (x *Executor) ask(now time.Duration, r *run, act Act, why cluster.Reason) {
	r.act = x.emit(now, r, act, Action{Reason: why, Timeout: forceTimeout})
}

func (x *Executor) emit(now time.Duration, r *run, act Act, a Action) action {
	x.lastID++
	a.ID, a.Act, a.Hierarchy, a.Epoch, a.Generation = x.lastID, act, r.name, r.epoch, r.gen
	x.actions = append(x.actions, a)
	return action{id: a.ID, act: act, began: now, timeout: a.Timeout, deadline: now + a.Timeout + answerGrace}
}

// killAll ends what is left of a hierarchy that this node owns no more. It
// needs no lease and reports nothing: nobody listens to this node about it.
func (x *Executor) killAll(now time.Duration, r *run) {
	if !r.begun {
		r.begun = true
		r.kill = r.kill || !r.stopped()
		if r.guard != guardEnding {
			r.act = action{}
		}
		for _, res := range r.all {
			res.act = action{}
		}
	}
	switch {
	case r.act.id != 0:
	case r.kill:
		if now >= r.retryAt {
			x.ask(now, r, Kill, cluster.Because(message.OwnershipLost, r.name, x.name()))
		}
	case r.guard != guardOff:
		x.ask(now, r, Unguard, cluster.Because(message.GuardIsOver, r.name, x.name()))
		r.guard = guardEnding
	}
}
