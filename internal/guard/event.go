package guard

import (
	"net/netip"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Event is something that happened. The types of this file are all there are.
type Event interface{ event() }

// Address is a service address on the device that carries it.
type Address struct {
	Addr   netip.Addr `json:"addr"`
	Device string     `json:"device"`
}

type (
	// DaemonHello: a daemon connected and wants to know the state.
	DaemonHello struct{}

	// DaemonGone: the daemon's process ended. Ran is how long it ran, which
	// tells a crash loop from an accident.
	DaemonGone struct{ Ran time.Duration }

	// Admitted: the cluster committed Admit of this generation for this session.
	Admitted struct{ Generation cluster.Generation }

	// Renew: the lease of a generation lives until Until and the gate may be
	// open until Gate, both by BOOTTIME.
	Renew struct {
		Generation  cluster.Generation
		Until, Gate time.Duration
		// StopAfter follows from the detection time, which the cluster may
		// change: how long frozen services are kept. 0: as before.
		StopAfter time.Duration
	}

	// Guard: a hierarchy is about to be brought in service here.
	Guard struct {
		Hierarchy string
		Epoch     cluster.Epoch
		Addresses []Address
		Cgroups   []string
	}

	// Unguard: a hierarchy is out of service here: its processes are gone and
	// its addresses removed.
	Unguard struct{ Hierarchy string }

	// Revoke: the right to serve is gone for good. An empty Hierarchy is the
	// eviction of the node: everything is killed and the generation gets no
	// lease again.
	Revoke struct{ Hierarchy string }

	// Reset: everything here is to be killed, and when nothing is left a new
	// session begins, as after a boot. [NoticeReset] says when it has.
	Reset struct{ Session string }

	// Unmanaged: the cluster committed that this node's services run on without
	// a daemon (On), or that it is managed again. While it is on there are no
	// deadlines.
	Unmanaged struct{ On bool }

	// Doubt: somebody saw that this machine may have stood still with its clock
	// (a host's clock, the VM generation). Deadlines can't be trusted until a
	// renewal moves them.
	Doubt struct{ Reason cluster.Reason }

	// OnLoss: what a node with services does to itself when its lease ends, as the
	// cluster has agreed.
	OnLoss struct{ How cluster.QuorumLoss }

	// Tick: it is time; see [Machine.Next].
	Tick struct{}

	// Frozen is the result of [FreezeCgroups]; nil Reason: all processes stand.
	Frozen struct {
		Hierarchy string
		Attempt   uint64
		Failed    cluster.Reason
	}

	// Thawed is the result of [ThawCgroups].
	Thawed struct {
		Hierarchy string
		Attempt   uint64
		Failed    cluster.Reason
	}

	// Killed is the result of [KillHierarchy]. Without Failed no process and no
	// address is left; with it that is unknown.
	Killed struct {
		Hierarchy string
		Attempt   uint64
		Failed    cluster.Reason
	}

	// GateState is what the edge knows about the gate after an effect on it.
	// Failed: it could not do it and what is open is unknown. Rebuilt: somebody
	// removed the gate; it is there again, and closed.
	GateState struct {
		Rebuilt bool
		Failed  cluster.Reason
	}

	// ShuttingDown: the guardian was asked to end, and its daemon has ended.
	ShuttingDown struct{}
)

func (DaemonHello) event()  {}
func (DaemonGone) event()   {}
func (Admitted) event()     {}
func (Renew) event()        {}
func (Guard) event()        {}
func (Unguard) event()      {}
func (Revoke) event()       {}
func (Reset) event()        {}
func (Unmanaged) event()    {}
func (Doubt) event()        {}
func (OnLoss) event()       {}
func (Tick) event()         {}
func (Frozen) event()       {}
func (Thawed) event()       {}
func (Killed) event()       {}
func (GateState) event()    {}
func (ShuttingDown) event() {}
