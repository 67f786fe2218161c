package decide

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Act is what the executor wants to be done. Whoever runs actions runs at most
// one on a resource, and one of Guard, Unguard and Kill on a hierarchy: a later
// one ends an earlier (which is cancelled and waited for), so that its result
// covers both. A Kill of a hierarchy ends those on its resources.
type Act string

const (
	Start   Act = "start"
	Stop    Act = "stop"
	Recover Act = "recover" // in place; Unsupported if the kit can't
	// Check and DeepCheck change nothing. The answer is Result.Health.
	Check     Act = "check"
	DeepCheck Act = "deep check"
	// Kill ends what is left by force, without asking. Without a Resource it is
	// for the whole hierarchy: success means that nothing of it is left, no
	// process and no address.
	Kill Act = "kill"
	// Announce tells the network again where the hierarchy's addresses are.
	Announce Act = "announce"
	// Guard makes the guardian ready to silence, freeze and kill the hierarchy
	// at the end of the lease. It may be asked for again. Unguard ends it.
	Guard   Act = "guard"
	Unguard Act = "unguard"
	// Validate finds out whether a resource that doesn't run here could, and
	// changes nothing.
	Validate Act = "validate"
)

// Action is to be carried out beside the loop. Its result comes back by
// [Executor.Done].
type Action struct {
	// ID is unique while this executor lives. That of a Start is what a
	// [KitEvent] names as its instance.
	ID        uint64
	Act       Act
	Hierarchy string
	// Resource is empty for Guard, Unguard, Announce and a Kill of everything.
	Resource string
	// Spec is the resource as it is to be started, or as it was started: its
	// settings may have changed since.
	Spec cluster.Resource
	// Specs, of a Guard, are all resources of the hierarchy: what runs as it was
	// started, what doesn't as it is to be started.
	Specs      []cluster.Resource
	Epoch      cluster.Epoch
	Generation cluster.Generation
	// Timeout is when the runner gives up and answers Unknown.
	Timeout time.Duration
	// How says, for a Start, how the last owner let go; it is empty if nobody
	// had it before. A kit may skip its search for others when it is not.
	How    cluster.Release
	Reason cluster.Reason
}

// Outcome of an action.
type Outcome uint8

const (
	// Unclear: no answer in time. It says nothing about what happened.
	Unclear Outcome = iota
	Succeeded
	Failed
	// Unsupported: the kit has no such action, and nothing was done.
	Unsupported
)

// Result is how an action ended.
type Result struct {
	Action  uint64
	Outcome Outcome
	// Health is what a check found: InService, Degraded, Failed, OutOfService
	// (surely nothing of it is left) or Unknown. Other actions leave it empty.
	Health cluster.Status
	Reason cluster.Reason
}

// KitEvent is something that a kit noticed by itself: a process ended, an
// address vanished. It is always about a resource in service on this node.
type KitEvent struct {
	Hierarchy string
	Resource  string
	// Instance is the ID of the Start that made what the event is about, so
	// that late news of an earlier one do no harm; 0: not known.
	Instance uint64
	Health   cluster.Status
	Reason   cluster.Reason
}

// Running is a hierarchy that a restarted daemon found guarded.
type Running struct {
	Hierarchy string
	Epoch     cluster.Epoch
	// Resources are those known to have been started, as they were started;
	// nil if that isn't known. What isn't named is checked all the same.
	Resources []cluster.Resource
}
