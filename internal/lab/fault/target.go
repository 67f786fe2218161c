package fault

import (
	"context"
	"errors"
)

// ErrUnsupported says that a lab has no means for a fault.
var ErrUnsupported = errors.New("this lab can't do that")

// A lab implements as many of these as it has means for. All acts have taken
// effect when the call returns.

// Selective is a lab that can do less than its methods say: it depends on the
// kind of its machines.
type Selective interface {
	Can(Kind) bool
}

// Power switches nodes.
type Power interface {
	PowerOff(ctx context.Context, node string) error
	PowerOn(ctx context.Context, node string) error
}

// Freezer stops and continues a node's userland.
type Freezer interface {
	Freeze(ctx context.Context, node string) error
	Thaw(ctx context.Context, node string) error
}

// Network loses frames.
type Network interface {
	// Block loses the frames from one node to another; network "" means all.
	Block(ctx context.Context, from, to, network string) error
	// BlockAll loses all frames from and to a node.
	BlockAll(ctx context.Context, node, network string) error
	// Heal ends all of it.
	Heal(ctx context.Context) error
}

// Links takes carriers away and gives them back.
type Links interface {
	SetLink(ctx context.Context, node, network string, up bool) error
}

// Processes reaches the processes of resources.
type Processes interface {
	// KillResource ends all processes of a resource, or only the main one.
	KillResource(ctx context.Context, node, resource string, mainOnly bool) error
	// HangResource stops all of them, or continues them.
	HangResource(ctx context.Context, node, resource string, hang bool) error
	// HangWorkers stops all but the main one.
	HangWorkers(ctx context.Context, node, resource string) error
	// FailStart makes starts fail, or ends that.
	FailStart(ctx context.Context, node, resource string, fail bool) error
}

// Daemons reaches perdure itself.
type Daemons interface {
	KillDaemon(ctx context.Context, node string) error
	KillGuardian(ctx context.Context, node string) error
	StopDaemon(ctx context.Context, node string) error
	// KeepStop stops perdure and leaves the services running.
	KeepStop(ctx context.Context, node string) error
	StartDaemon(ctx context.Context, node string) error
}

// Guardians stops and continues guardians.
type Guardians interface {
	HangGuardian(ctx context.Context, node string, hang bool) error
}

// State reaches perdure's durable state. The node must be off or perdure
// stopped.
type State interface {
	CorruptState(ctx context.Context, node string) error
	LoseState(ctx context.Context, node string) error
	SaveState(ctx context.Context, node string) error
	RevertState(ctx context.Context, node string) error
}

// Switcher asks for a switchover.
type Switcher interface {
	Switchover(ctx context.Context, hierarchy, node string) error
}

// Members changes who belongs to the cluster.
type Members interface {
	// JoinAnew removes a node without state and lets it join again.
	JoinAnew(ctx context.Context, node string) error
}

// Hosts switches the hypervisors of nodes.
type Hosts interface {
	PowerOffHost(ctx context.Context, node string) error
	PowerOnHost(ctx context.Context, node string) error
}

// Kernels reaches a node's kernel.
type Kernels interface {
	Panic(ctx context.Context, node string) error
	NMI(ctx context.Context, node string) error
}

// Machines stops and moves whole machines.
type Machines interface {
	// Pause stops a machine while its clock goes on, Suspend stops its clock too.
	Pause(ctx context.Context, node string) error
	Suspend(ctx context.Context, node string) error
	Continue(ctx context.Context, node string) error
	Snapshot(ctx context.Context, node string) error
	Revert(ctx context.Context, node string) error
	// Migrate moves a machine to another host, with its disks if all is set.
	Migrate(ctx context.Context, node string, all bool) error
	MoveDisk(ctx context.Context, node, disk string) error
}

// Ports switches ports of switches; the node goes on to see a carrier.
type Ports interface {
	SetPort(ctx context.Context, node, network string, up bool) error
}

// Switches takes power from whole switches and gives it back.
type Switches interface {
	SetSwitch(ctx context.Context, network string, up bool) error
}

// Impairer makes what a node sends worse until Heal; network "" means all.
type Impairer interface {
	Loss(ctx context.Context, node, network string, percent int) error
	Delay(ctx context.Context, node, network string, millis int) error
}

// Disks breaks disks and mends them.
type Disks interface {
	BreakDisk(ctx context.Context, node, disk string, how Kind) error
	MendDisk(ctx context.Context, node, disk string) error
}
