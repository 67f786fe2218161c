package decide

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// report is what the others are told of a hierarchy.
type report struct {
	status    cluster.Status
	reason    cluster.Reason
	resource  string
	resources []cluster.ResourceStatus
	at        time.Duration
	sent      bool
}

// report proposes what has changed since it was last said: at once if it
// concerns the hierarchy, otherwise gathered.
func (x *Executor) report(now time.Duration, r *run) {
	r.reportAt = cluster.Never
	h := x.state.Hierarchy(r.name)
	if r.inherited || h == nil || x.paused() && !(r.down.set && r.stopped()) {
		return
	}
	want := x.compose(r)
	gather := r.said.at + x.state.Timing().LeaderSilence
	again := r.said.at + x.resend()
	quiet := false
	switch {
	case want.status != r.said.status || !sameReason(want.reason, r.said.reason):
	case !sameResources(want.resources, r.said.resources):
		if now < gather {
			r.reportAt = gather
			return
		}
		quiet = true
	case r.said.sent && x.lease && !shows(h, &r.said):
		// Whoever proposes tries for a while; this is for what got lost.
		if now < again {
			r.reportAt = again
			return
		}
		quiet = h.Status == want.status && sameReason(h.Reason, want.reason)
	default:
		return
	}
	want.at, want.sent = now, true
	if want.status == cluster.Stopping {
		r.down.said = true
	}
	if want.status == cluster.OutOfService && !r.down.said {
		r.prove(now, r.down.why) // nothing had to be stopped, so it wasn't said yet
	}
	if want.status.Serving() {
		r.served, r.recovering = true, ""
	}
	cmd := cluster.Command{
		Reason: want.reason,
		Report: &cluster.Report{
			Hierarchy: r.name, Node: x.self, Generation: r.gen, Epoch: r.epoch,
			Status: want.status, Resource: want.resource, Resources: want.resources, Quiet: quiet,
			Keeps: r.keeps && want.status == cluster.OutOfService,
		},
	}
	if !quiet {
		cmd.Causes, cmd.Evidence = r.because(h), x.proof(now, r)
		r.causes, r.evidence = nil, nil
	}
	r.said = want
	r.reportAt = now + x.resend()
	x.commands = append(x.commands, cmd)
}

func sameResources(a, b []cluster.ResourceStatus) bool {
	return slices.EqualFunc(a, b, func(a, b cluster.ResourceStatus) bool {
		return a.Name == b.Name && a.Status == b.Status && sameReason(a.Reason, b.Reason)
	})
}

// shows reports whether the state says what was reported.
func shows(h *cluster.Hierarchy, said *report) bool {
	if h.Status != said.status || !sameReason(h.Reason, said.reason) || final(said.status) {
		return false
	}
	for i := range said.resources {
		want := &said.resources[i]
		if r := h.Resource(want.Name); r != nil && (r.Status != want.Status || !sameReason(r.Reason, want.Reason)) {
			return false
		}
	}
	return true
}

// final reports whether the status gives up ownership, so that a state which
// still shows the owner hasn't seen it.
func final(s cluster.Status) bool { return s == cluster.OutOfService || s == cluster.Failed }

func (r *run) because(h *cluster.Hierarchy) []uint64 {
	ids := append(slices.Clone(r.causes), h.Since)
	slices.Sort(ids)
	ids = slices.Compact(ids)
	return slices.DeleteFunc(ids, func(id uint64) bool { return id == 0 })
}

func (x *Executor) proof(now time.Duration, r *run) []cluster.Evidence {
	var out []cluster.Evidence
	for _, p := range r.evidence {
		out = append(out, cluster.Evidence{Node: x.self, Reason: p.reason, Ago: now - p.at})
	}
	return out
}

// compose says how the hierarchy is.
func (x *Executor) compose(r *run) report {
	rep := report{resources: make([]cluster.ResourceStatus, 0, len(r.all))}
	for _, res := range r.all {
		rep.resources = append(rep.resources, x.status(r, res))
	}
	stuckOne, unready, kept, weak := r.first()
	switch {
	case stuckOne != nil:
		rep.status, rep.reason, rep.resource = cluster.Unknown, stuckOne.why, stuckOne.spec.Name
	case r.down.set && !r.stopped():
		rep.status, rep.reason, rep.resource = cluster.Stopping, r.down.why, r.down.resource
	case r.down.set && r.down.final == cluster.Failed:
		rep.status, rep.reason, rep.resource = cluster.Failed, r.down.why, r.down.resource
	case r.down.set:
		rep.status, rep.reason = cluster.OutOfService, cluster.Because(message.HierarchyStopped, r.name, x.name())
	case kept != nil && !r.served:
		rep.status, rep.reason, rep.resource = cluster.Starting, kept.why, kept.spec.Name
	case !r.served && (r.guard != guardOn || unready != nil):
		rep.status, rep.reason, rep.resource = cluster.Starting, r.up, r.recovering
	case kept != nil:
		rep.status, rep.reason, rep.resource = cluster.Degraded, kept.why, kept.spec.Name
	case unready != nil:
		rep.status, rep.reason, rep.resource = cluster.Starting, r.up, r.recovering
	case weak != nil:
		rep.status, rep.reason, rep.resource = cluster.Degraded, weak.why, weak.spec.Name
	default:
		rep.status, rep.reason, rep.resource = cluster.InService, x.becauseServing(r), r.recovering
	}
	return rep
}

// first finds the resources that say most: one that can't be confirmed to be
// stopped, one not in service, one left failed by policy, one degraded.
func (r *run) first() (stuckOne, unready, kept, weak *resource) {
	for _, res := range r.all {
		switch {
		case res.stage == stuck || res.why.Code == message.StopUnconfirmed && res.stage > stopping:
			stuckOne = either(stuckOne, res)
		case res.gone && !r.down.set:
			// Being deleted, it isn't part of the service any more.
		case res.stage == sick:
			kept = either(kept, res)
		case !res.ready():
			unready = either(unready, res)
		case res.degraded:
			weak = either(weak, res)
		}
	}
	return stuckOne, unready, kept, weak
}

func either(a, b *resource) *resource {
	if a != nil {
		return a
	}
	return b
}

func (x *Executor) becauseServing(r *run) cluster.Reason {
	switch {
	case r.said.status == cluster.InService && r.recovering == "":
		return r.said.reason
	case r.said.status == cluster.Degraded && r.recovering == "":
		return cluster.Because(message.ServesFullyAgain, r.name, x.name())
	case r.recovering != "":
		return cluster.Because(message.ResourceRecovered, r.recovering, x.name(), spell(x.now-r.recoverAt))
	}
	return cluster.Because(message.HierarchyStarted, r.name, x.name())
}
