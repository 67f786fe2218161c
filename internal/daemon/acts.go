package daemon

import (
	"context"
	"reflect"
	"slices"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/decide"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/all"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
)

// killTimeout bounds how long the guardian is waited for when a hierarchy is
// killed; afterwards the outcome is unclear and the executor asks again.
const killTimeout = 10 * time.Second

// acts carries out the executor's actions, each in a goroutine of its own and
// one at a time for each resource.
type acts struct {
	d    *Daemon
	host kit.Host
	kits kit.Catalogue

	mu    sync.Mutex
	lanes map[lane]*work
	using map[lane]*inUse
	group sync.WaitGroup
}

// lane is a resource, or a hierarchy as a whole (no resource).
type lane struct{ hierarchy, resource string }

// work is the action that a lane is busy with.
type work struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// inUse is the agent of a resource that was started or is being checked.
type inUse struct {
	spec  cluster.Resource
	agent *kit.Agent
	start uint64 // the action that started it
	end   context.CancelFunc
	ended chan struct{}
}

func newActs(d *Daemon) *acts {
	return &acts{
		d: d, kits: all.Kits(),
		host:  kit.Host{RunDir: d.cfg.RunDir, Groups: cgroup.Find(d.instance()), Log: d.log},
		lanes: make(map[lane]*work), using: make(map[lane]*inUse),
	}
}

// perform starts an action. A running one on the same resource is cancelled and
// waited for first, so that the result of the later one covers both.
func (a *acts) perform(act decide.Action) {
	key := lane{act.Hierarchy, act.Resource}
	ctx, cancel := context.WithTimeout(a.d.ctx, act.Timeout+time.Second)
	mine := &work{cancel: cancel, done: make(chan struct{})}
	a.mu.Lock()
	var before []*work
	for k, w := range a.lanes {
		// A Kill of a hierarchy ends what is under way on its resources.
		if k == key || act.Act == decide.Kill && act.Resource == "" && k.hierarchy == act.Hierarchy {
			before = append(before, w)
		}
	}
	a.lanes[key] = mine
	a.mu.Unlock()
	a.group.Go(func() {
		defer close(mine.done)
		defer cancel()
		for _, w := range before {
			w.cancel()
		}
		if act.Act == decide.Kill && act.Resource == "" {
			_ = a.d.cfg.Guard.Revoke(act.Hierarchy) // what hangs may end only by this; asked again below
		}
		for _, w := range before {
			<-w.done
		}
		if ctx.Err() != nil && act.Act != decide.Kill && act.Act != decide.Stop {
			return // a later action took over
		}
		r := a.do(ctx, act)
		r.Action = act.ID
		if r.Outcome != decide.Succeeded && r.Outcome != decide.Unsupported {
			a.d.log.Warn("action failed", "act", act.Act, "hierarchy", act.Hierarchy, "resource", act.Resource,
				"why", message.Reason(r.Reason).String())
		}
		a.d.post(core.Acted{Result: r})
	})
}

// do carries an action out and says how it ended.
func (a *acts) do(ctx context.Context, act decide.Action) decide.Result {
	switch act.Act {
	case decide.Guard:
		return outcome(ctx, a.guard(act))
	case decide.Unguard:
		return outcome(ctx, a.d.cfg.Guard.Unguard(act.Hierarchy))
	case decide.Announce:
		a.announce(act.Hierarchy)
		return decide.Result{Outcome: decide.Succeeded}
	case decide.Kill:
		return a.kill(ctx, act)
	}
	if act.Act == decide.Validate {
		return a.validate(ctx, act)
	}
	u, err := a.use(act.Hierarchy, act.Spec)
	if err != nil {
		return outcome(ctx, err)
	}
	switch act.Act {
	case decide.Start:
		err := u.agent.Start(ctx, act.How)
		if err == nil {
			a.watch(act, u)
		}
		return outcome(ctx, err)
	case decide.Stop:
		a.unwatch(u)
		return outcome(ctx, u.agent.Stop(ctx))
	case decide.Recover:
		can, err := u.agent.Recover(ctx)
		if !can {
			return decide.Result{Outcome: decide.Unsupported}
		}
		return outcome(ctx, err)
	case decide.Check, decide.DeepCheck:
		depth := kit.Light
		if act.Act == decide.DeepCheck {
			depth = kit.Deep
		}
		h := u.agent.Check(ctx, depth)
		if ctx.Err() != nil && h.Status != cluster.InService {
			return decide.Result{Outcome: decide.Unclear, Health: cluster.Unknown, Reason: h.Reason}
		}
		return decide.Result{Outcome: decide.Succeeded, Health: h.Status, Reason: h.Reason}
	}
	return decide.Result{Outcome: decide.Unsupported}
}

// validate asks a kit whether the resource could be brought in service here. The
// agent is its own, because the resource isn't this node's.
func (a *acts) validate(ctx context.Context, act decide.Action) decide.Result {
	k, err := a.kits.Find(act.Spec.Kit)
	if err != nil {
		return outcome(ctx, err)
	}
	agent, err := a.host.Open(k, act.Hierarchy, act.Spec.Name, act.Spec.Settings)
	if err != nil {
		return outcome(ctx, err)
	}
	defer agent.Close()
	return outcome(ctx, agent.Validate(ctx))
}

// outcome turns an error into a result. An error after the deadline says
// nothing about what happened.
func outcome(ctx context.Context, err error) decide.Result {
	switch {
	case err == nil:
		return decide.Result{Outcome: decide.Succeeded}
	case ctx.Err() != nil:
		return decide.Result{Outcome: decide.Unclear, Reason: kit.ReasonOf(err)}
	}
	return decide.Result{Outcome: decide.Failed, Reason: kit.ReasonOf(err)}
}

// use finds or makes the agent for exactly this specification.
func (a *acts) use(hierarchy string, spec cluster.Resource) (*inUse, error) {
	key := lane{hierarchy, spec.Name}
	a.mu.Lock()
	u := a.using[key]
	a.mu.Unlock()
	if u != nil && u.spec.Kit == spec.Kit && reflect.DeepEqual(u.spec.Settings, spec.Settings) {
		return u, nil
	}
	k, err := a.kits.Find(spec.Kit)
	if err != nil {
		return nil, err
	}
	agent, err := a.host.Open(k, hierarchy, spec.Name, spec.Settings)
	if err != nil {
		return nil, err
	}
	if u != nil {
		a.unwatch(u)
		_ = u.agent.Close() // what it held is nobody's any more
	}
	u = &inUse{spec: spec, agent: agent}
	a.mu.Lock()
	a.using[key] = u
	a.mu.Unlock()
	return u, nil
}

// watch listens to what the resource says by itself.
func (a *acts) watch(act decide.Action, u *inUse) {
	a.unwatch(u)
	ctx, end := context.WithCancel(a.d.ctx)
	ended := make(chan struct{})
	a.mu.Lock()
	u.start, u.end, u.ended = act.ID, end, ended
	a.mu.Unlock()
	a.group.Go(func() {
		defer close(ended)
		_ = u.agent.Watch(ctx, func(e kit.Event) {
			a.d.post(core.Observed{Event: decide.KitEvent{
				Hierarchy: act.Hierarchy, Resource: act.Resource, Instance: act.ID,
				Health: e.Health.Status, Reason: e.Health.Reason,
			}})
		})
	})
}

func (a *acts) unwatch(u *inUse) {
	a.mu.Lock()
	end, ended := u.end, u.ended
	u.end, u.ended = nil, nil
	a.mu.Unlock()
	if end != nil {
		end()
		<-ended
	}
}

// ofHierarchy are the agents of a hierarchy, by name.
func (a *acts) ofHierarchy(name string) []*inUse {
	a.mu.Lock()
	defer a.mu.Unlock()
	var out []*inUse
	for k, u := range a.using {
		if k.hierarchy == name {
			out = append(out, u)
		}
	}
	slices.SortFunc(out, func(x, y *inUse) int {
		if x.spec.Name < y.spec.Name {
			return -1
		}
		return 1
	})
	return out
}

func (a *acts) announce(hierarchy string) {
	for _, u := range a.ofHierarchy(hierarchy) {
		u.agent.Announce()
	}
}

// guard tells the guardian what it must be able to silence, for all resources
// of the hierarchy.
func (a *acts) guard(act decide.Action) error {
	var addrs []guard.Address
	var groups []string
	for _, spec := range act.Specs {
		u, err := a.use(act.Hierarchy, spec)
		if err != nil {
			return err
		}
		as, group, err := u.agent.Guard()
		if err != nil {
			return err
		}
		for _, g := range as {
			addrs = append(addrs, guard.Address{Addr: g.Prefix.Addr(), Device: g.Device})
		}
		if group != "" {
			groups = append(groups, group)
		}
	}
	return a.d.cfg.Guard.Guard(act.Hierarchy, act.Epoch, addrs, groups)
}

// kill ends a resource, or a whole hierarchy, by force.
func (a *acts) kill(ctx context.Context, act decide.Action) decide.Result {
	if act.Resource != "" {
		u, err := a.use(act.Hierarchy, act.Spec)
		if err != nil {
			return outcome(ctx, err)
		}
		a.unwatch(u)
		if g := u.agent.Instance().Group; g != "" {
			kctx, cancel := context.WithTimeout(ctx, killTimeout)
			defer cancel()
			if err := cgroup.At(g).Kill(kctx); err != nil && cgroup.At(g).Exists() {
				return outcome(ctx, err)
			}
		}
		return outcome(ctx, u.agent.Stop(ctx))
	}
	for _, u := range a.ofHierarchy(act.Hierarchy) {
		a.unwatch(u)
	}
	if err := a.d.cfg.Guard.Revoke(act.Hierarchy); err != nil {
		return decide.Result{Outcome: decide.Unclear, Reason: kit.ReasonOf(err)}
	}
	// The guardian kills, also what no kit here knows of; the kits confirm that
	// nothing is left.
	if err := a.killed(ctx, act.Hierarchy); err != nil {
		return decide.Result{Outcome: decide.Unclear, Reason: kit.ReasonOf(err)}
	}
	for _, u := range a.ofHierarchy(act.Hierarchy) {
		if err := u.agent.Stop(ctx); err != nil {
			return outcome(ctx, err)
		}
	}
	return decide.Result{Outcome: decide.Succeeded}
}

// killedPoll is how often the guardian is asked whether nothing is left.
const killedPoll = 20 * time.Millisecond

// killed waits until nothing of the hierarchy is left, as far as the guardian
// knows. An act of an earlier daemon may have left what only it can find.
func (a *acts) killed(ctx context.Context, hierarchy string) error {
	tick := time.NewTicker(killedPoll)
	defer tick.Stop()
	for {
		s, err := a.d.cfg.Guard.Hello()
		if err != nil {
			return err
		}
		if !slices.ContainsFunc(s.Guarded, func(g guard.Guarded) bool { return g.Hierarchy == hierarchy && g.Phase != guard.PhaseKilled }) {
			return nil
		}
		select {
		case <-ctx.Done():
			return context.Cause(ctx)
		case <-tick.C:
		}
	}
}

// adopt takes over what an earlier daemon left of a hierarchy, and returns the
// resources that it found.
func (a *acts) adopt(hierarchy string) []cluster.Resource {
	h := a.d.core.State().Hierarchy(hierarchy)
	if h == nil {
		return nil
	}
	var found []cluster.Resource
	for i := range h.Resources {
		u, err := a.use(hierarchy, h.Resources[i])
		if err != nil {
			continue // the check says so in words
		}
		if ok, err := u.agent.Adopt(a.d.ctx); ok && err == nil {
			found = append(found, h.Resources[i])
			a.watch(decide.Action{Hierarchy: hierarchy, Resource: h.Resources[i].Name}, u)
		}
	}
	return found
}

// forget ends all actions and listening, and lets go of all agents: what they
// remember is not true any more once the guardian has killed everything.
func (a *acts) forget() {
	a.mu.Lock()
	var busy []*work
	for _, w := range a.lanes {
		busy = append(busy, w)
	}
	var used []*inUse
	for _, u := range a.using {
		used = append(used, u)
	}
	a.mu.Unlock()
	for _, w := range busy {
		w.cancel()
		<-w.done
	}
	for _, u := range used {
		a.unwatch(u)
		_ = u.agent.Close() // it leaves the service as it is
	}
	a.mu.Lock()
	clear(a.using)
	a.mu.Unlock()
}

// close ends everything and leaves the services as they are.
func (a *acts) close() {
	a.forget()
	a.group.Wait()
}
