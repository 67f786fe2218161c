package kit

import (
	"context"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Agent is a resource with its time-outs: every call ends in bounded time if
// the kit keeps its contract. Optional parts are found by assertion on
// Resource.
type Agent struct {
	Resource
	in     Instance
	common cluster.Common
}

// Instance is what the kit was told.
func (a *Agent) Instance() Instance { return a.in }

// Common is the resource's common settings, complete.
func (a *Agent) Common() cluster.Common { return a.common }

// Start brings the resource in service within start.timeout.
func (a *Agent) Start(ctx context.Context, how cluster.Release) error {
	ctx, cancel := context.WithTimeout(ctx, a.common.StartTimeout)
	defer cancel()
	return a.Resource.Start(ctx, how)
}

// Stop takes the resource out of service within stop.timeout.
func (a *Agent) Stop(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, a.common.StopTimeout)
	defer cancel()
	return a.Resource.Stop(ctx)
}

// Check looks at the resource within check.timeout or deep.timeout.
func (a *Agent) Check(ctx context.Context, depth Depth) Health {
	ctx, cancel := context.WithTimeout(ctx, a.checkTimeout(depth))
	defer cancel()
	return a.Resource.Check(ctx, depth)
}

// Recover repairs the resource in place within start.timeout. The first result
// reports whether the kit can; if not, Stop and Start are the way.
func (a *Agent) Recover(ctx context.Context) (bool, error) {
	r, ok := a.Resource.(Recoverer)
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.common.StartTimeout)
	defer cancel()
	return true, r.Recover(ctx)
}

// Validate asks whether the resource could be brought in service on this node.
func (a *Agent) Validate(ctx context.Context) error {
	r, ok := a.Resource.(Validator)
	if !ok {
		return nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.common.CheckTimeout)
	defer cancel()
	return r.Validate(ctx)
}

// Ready proves readiness while the resource is out of service here.
func (a *Agent) Ready(ctx context.Context) Health {
	r, ok := a.Resource.(Standby)
	if !ok {
		return Health{Status: cluster.OutOfService}
	}
	ctx, cancel := context.WithTimeout(ctx, a.common.CheckTimeout)
	defer cancel()
	return r.Ready(ctx)
}

// Adopt takes over what an earlier daemon left in service, and reports whether
// there was anything.
func (a *Agent) Adopt(ctx context.Context) (bool, error) {
	r, ok := a.Resource.(Adopter)
	if !ok {
		return false, nil
	}
	ctx, cancel := context.WithTimeout(ctx, a.common.CheckTimeout)
	defer cancel()
	return r.Adopt(ctx)
}

// Announce tells the network again where the resource is, if that means
// anything to it.
func (a *Agent) Announce() {
	if r, ok := a.Resource.(Announcer); ok {
		r.Announce()
	}
}

// Guard is what the guardian must be able to silence; nothing if the resource
// has nothing of the kind.
func (a *Agent) Guard() ([]GuardedAddress, string, error) {
	r, ok := a.Resource.(Guarded)
	if !ok {
		return nil, "", nil
	}
	addrs, err := r.Addresses()
	return addrs, r.Cgroup(), err
}

// Watch reports what happens to the resource until the context ends. It
// returns at once if the kit can't.
func (a *Agent) Watch(ctx context.Context, report func(Event)) error {
	if r, ok := a.Resource.(Watcher); ok {
		return r.Watch(ctx, report)
	}
	return nil
}

func (a *Agent) checkTimeout(depth Depth) time.Duration {
	if depth == Deep {
		return a.common.DeepTimeout
	}
	return a.common.CheckTimeout
}
