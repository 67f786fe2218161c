package service

import "context"

// State is what the operating system's manager says of a service.
type State struct {
	// Loaded is whether it exists here and can be started: loaded, not-found,
	// masked, error, bad-setting.
	Loaded string
	// Active is active, reloading, inactive, failed, activating, deactivating
	// or maintenance; Sub is finer and for people.
	Active, Sub string
	// Result says why it failed: exit-code, signal, timeout, oom-kill, …
	Result string
	// Enabled reports whether it would start by itself at boot.
	Enabled bool
	// Group is its control group, as the manager names it; empty: none now.
	Group string
}

// manager is the operating system's own manager of services.
type manager interface {
	// Look asks for the state.
	Look(ctx context.Context, unit string) (State, error)
	// Start starts it and returns when the manager is done, with how it ended:
	// done, failed, timeout, canceled, dependency, skipped.
	Start(ctx context.Context, unit string) (string, error)
	// Stop stops it, with how that ended.
	Stop(ctx context.Context, unit string) (string, error)
	// Kill ends all its processes.
	Kill(ctx context.Context, unit string) error
	// Manual makes it start by order alone, and reports whether that was a
	// change.
	Manual(ctx context.Context, unit string) (bool, error)
	// Hold keeps the manager from restarting it by itself until the next boot.
	Hold(ctx context.Context, unit string) error
	// Forget makes a failed one inactive.
	Forget(ctx context.Context, unit string) error
	// Watch calls back at each change until the context ends. It returns at
	// once, with nil, where the system doesn't tell.
	Watch(ctx context.Context, unit string, changed func()) error
}
