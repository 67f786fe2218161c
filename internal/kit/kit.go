package kit

import (
	"context"
	"net/netip"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Kit is an agent for one kind of resource. It holds no state.
type Kit interface {
	// Name is the word in commands and in the replicated state.
	Name() string
	// About says in one line what it keeps in service.
	About() Text
	// Settings declares its own settings. One with the name of a common
	// setting replaces that, to give it another default.
	Settings() []Setting
	// New makes the agent of one resource on this node. It touches nothing on
	// the node.
	New(in Instance) (Resource, error)
}

// Resource is the agent of one resource on this node. Errors are messages of
// the catalogue. All calls end soon after their context does.
type Resource interface {
	// Start brings it in service, or returns at once if it is. how says how
	// the last owner let go; empty means that nothing is known. After an error
	// it may be partly in service until Stop.
	Start(ctx context.Context, how cluster.Release) error
	// Stop takes it out of service, also what is left of a failed start or of
	// an earlier daemon. It returns nil only if nothing is left.
	Stop(ctx context.Context) error
	// Check looks at it. Whatever could not be found out is unknown, never out
	// of service.
	Check(ctx context.Context, depth Depth) Health
	// Close lets go of what the agent itself holds. The resource stays as it
	// is, for the next daemon to adopt.
	Close() error
}

// Depth is how thorough a check is.
type Depth int

const (
	// Light takes a few milliseconds and asks the operating system alone.
	Light Depth = iota
	// Deep uses the resource the way its clients do.
	Deep
)

func (d Depth) String() string {
	if d == Deep {
		return "deep"
	}
	return "light"
}

// The optional parts of a kit, found by assertion.
type (
	// SettingsChecker is a [Kit] that checks settings against each other.
	SettingsChecker interface {
		CheckSettings(v Values) error
	}
	// Prober is a [Kit] whose resources only look at those they depend on: when
	// one fails, what it looks at is restarted.
	Prober interface {
		Probes() bool
	}
	// Family is a [Kit] that stands for many, whose names begin with its own
	// and a colon: those that are installed on this node.
	Family interface {
		// Members lists them for people. Their settings may be missing.
		Members() []Kit
		// Member is one of them, complete.
		Member(name string) (Kit, error)
	}
	// Claimer is a [Kit] whose resources claim things that no other resource
	// of the cluster may have, such as "address 10.0.0.5".
	Claimer interface {
		Claims(v Values) []string
	}
)

// The optional parts of a resource, found by assertion.
type (
	// Validator finds out whether it could be brought in service on this node:
	// the device is there, the file is executable.
	Validator interface {
		Validate(ctx context.Context) error
	}
	// Recoverer repairs it in place, more gently than Stop and Start.
	Recoverer interface {
		Recover(ctx context.Context) error
	}
	// Watcher reports what happens to it without being asked. Watch returns
	// when the context ends. What happened before the first Watch is kept for
	// it.
	Watcher interface {
		Watch(ctx context.Context, report func(Event)) error
	}
	// Announcer tells the network again where it is. It doesn't block.
	Announcer interface {
		Announce()
	}
	// Guarded names what the guardian must be able to silence before Start is
	// called.
	Guarded interface {
		// Addresses are for the address gate. An error says why they can't be
		// guarded here, and then nothing is started.
		Addresses() ([]GuardedAddress, error)
		// Cgroup is the directory of the group that is frozen and killed; empty
		// if there is none.
		Cgroup() string
	}
	// Standby proves readiness on a node where it isn't in service. Out of
	// service and no reason means ready.
	Standby interface {
		Ready(ctx context.Context) Health
	}
	// Adopter takes over what an earlier daemon left in service, and reports
	// whether there was anything.
	Adopter interface {
		Adopt(ctx context.Context) (bool, error)
	}
)

// GuardedAddress is an address that may answer only while the lease lives.
type GuardedAddress struct {
	Prefix netip.Prefix // the address with the length of its network
	Device string       // where it may be; empty: anywhere
}
