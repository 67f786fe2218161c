package guard

import (
	"net/netip"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Effect is something to be done. Effects are done in the order of the slice;
// those on the gate at once, those on processes beside the loop, in order for
// one hierarchy.
type Effect interface{ effect() }

type (
	// ProtectGate puts addresses behind the gate, closed.
	ProtectGate struct{ Addresses []Address }

	// UnprotectGate takes addresses from behind the gate.
	UnprotectGate struct{ Addresses []netip.Addr }

	// OpenGate opens exactly these addresses until Until (BOOTTIME), or without
	// an end if Forever. All others are closed.
	OpenGate struct {
		Addresses []netip.Addr
		Until     time.Duration
		Forever   bool
	}

	// CloseGate closes every address.
	CloseGate struct{}

	// FreezeCgroups stops all processes of a hierarchy where they stand.
	FreezeCgroups struct {
		Hierarchy string
		Attempt   uint64
		Cgroups   []string
	}

	// ThawCgroups lets them go on.
	ThawCgroups struct {
		Hierarchy string
		Attempt   uint64
		Cgroups   []string
	}

	// KillHierarchy kills all processes of a hierarchy, frozen or not, waits
	// until none is left, and removes its addresses from their devices.
	KillHierarchy struct {
		Hierarchy string
		Attempt   uint64
		Cgroups   []string
		Addresses []Address
	}

	// ArmWatchdog opens the watchdog device: from now on the machine resets when
	// it isn't fed.
	ArmWatchdog struct{}
	// FeedWatchdog keeps it from resetting for one more time-out.
	FeedWatchdog struct{}
	// DisarmWatchdog closes it with the magic character.
	DisarmWatchdog struct{}

	// HaltMachine resets the machine, or switches it off, at once and without a
	// sync.
	HaltMachine struct{ PowerOff bool }

	// StartDaemon starts the daemon's process.
	StartDaemon struct{}

	// TellDaemon is a notice to the daemon, if there is one.
	TellDaemon struct{ Notice Notice }

	// Refuse answers the event that was a request, and says that nothing was
	// done for it.
	Refuse struct{ Reason cluster.Reason }

	// HandOver writes the state for the next guardian of this boot: the services
	// run on without one.
	HandOver struct{ State State }

	// Exit ends the guardian. Clean reports whether nothing is left behind that
	// a next guardian must kill.
	Exit struct{ Clean bool }
)

func (ProtectGate) effect()    {}
func (UnprotectGate) effect()  {}
func (OpenGate) effect()       {}
func (CloseGate) effect()      {}
func (FreezeCgroups) effect()  {}
func (ThawCgroups) effect()    {}
func (KillHierarchy) effect()  {}
func (ArmWatchdog) effect()    {}
func (FeedWatchdog) effect()   {}
func (DisarmWatchdog) effect() {}
func (HaltMachine) effect()    {}
func (StartDaemon) effect()    {}
func (TellDaemon) effect()     {}
func (Refuse) effect()         {}
func (HandOver) effect()       {}
func (Exit) effect()           {}

// NoticeKind says what a notice is about.
type NoticeKind string

const (
	// NoticeDoubt: the node may have been silent to its clients, or stood
	// still. The daemon announces the addresses again and checks.
	NoticeDoubt NoticeKind = "doubt"
	// NoticeGateClosed: the gate's deadline passed; services are being frozen.
	NoticeGateClosed NoticeKind = "gate closed"
	// NoticeFrozen: all processes of the hierarchy stand.
	NoticeFrozen NoticeKind = "frozen"
	// NoticeKilling: the hierarchy is being killed, for the reason.
	NoticeKilling NoticeKind = "killing"
	// NoticeKilled: nothing of the hierarchy is left on this node.
	NoticeKilled NoticeKind = "killed"
	// NoticeReset: nothing is left on this node and a new session has begun.
	NoticeReset NoticeKind = "reset"
	// NoticeWatchdog: the watchdog was armed; without the guardian the machine
	// now resets.
	NoticeWatchdog NoticeKind = "watchdog"
	// NoticeTrouble: an act failed and is tried again, or somebody interfered.
	NoticeTrouble NoticeKind = "trouble"
)

// Notice tells the daemon what the guardian did by itself.
type Notice struct {
	Kind      NoticeKind     `json:"kind"`
	Hierarchy string         `json:"hierarchy,omitempty"` // empty: all
	Reason    cluster.Reason `json:"reason,omitzero"`
	// Session is the new one, of [NoticeReset].
	Session string `json:"session,omitempty"`
}
