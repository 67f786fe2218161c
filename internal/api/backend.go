package api

import (
	"context"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Backend is the daemon as the API sees it. All methods may be called
// concurrently.
type Backend interface {
	// State is the replicated state as applied here. It must not be changed.
	State() *cluster.State
	// Local is what this node knows by itself.
	Local() Local
	// Propose carries a command to the leader and waits until it is applied
	// here or refused. An error means that the outcome is unknown, or that
	// nothing was tried; it is a *message.Error.
	Propose(ctx context.Context, c cluster.Command) (cluster.Result, error)
	// Changed returns a channel that is closed at the next change of State or
	// Local.
	Changed() <-chan struct{}
	// CreateToken makes a one-time join token for a role, as the text that a
	// person carries to the new node.
	CreateToken(ctx context.Context, role cluster.Role, valid time.Duration) (string, error)
	// MakeStore makes the store of a storage witness that is about to be added.
	// It refuses a place with anything else on it. stable is the location's name
	// that stays.
	MakeStore(ctx context.Context, kind cluster.StoreKind, location string) (id, stable string, err error)
	// Stop ends the daemon. It returns when the stop is committed and about to
	// happen; progress is in Local.
	Stop(ctx context.Context, how StopMode) error
	// TestHook calls a hook on this node and waits for its end.
	TestHook(ctx context.Context, name string) (HookRun, error)
}

// StopMode says what becomes of the services of this node.
type StopMode string

const (
	// StopMove moves them to other nodes first, and leaves the cluster cleanly.
	// What no other node can take is stopped.
	StopMove StopMode = "move"
	// StopStop takes them out of service first; they don't start elsewhere.
	StopStop StopMode = "stop"
	// StopKeep commits that this node is unmanaged and leaves them running.
	StopKeep StopMode = "keep"
	// StopStay stops them; they start here again when the node is back, and
	// nowhere else by themselves.
	StopStay StopMode = "stay"
)

// Local is one node's own view.
type Local struct {
	Self cluster.NodeID `json:"self"`
	// Software is the version of this daemon.
	Software string         `json:"software"`
	Leader   cluster.NodeID `json:"leader,omitempty"` // 0: none known
	Term     uint64         `json:"term"`
	// Quorum reports whether a majority of the voters is heard.
	Quorum bool `json:"quorum"`
	// Lease says until when this node may serve; zero without one.
	LeaseAlive bool          `json:"lease_alive"`
	LeaseLeft  time.Duration `json:"lease_left"`
	// Nodes is how long ago each other node was heard; negative: never.
	Nodes []NodeHeard `json:"nodes,omitempty"`
	Paths []PathState `json:"paths,omitempty"`
	// Guarded says what enforces the end of the lease on this node.
	Guarded GuardState `json:"guard"`
	// Alarms are standing ones, most severe first.
	Alarms []cluster.Reason `json:"alarms,omitempty"`
	// Stopping is what a stop under way waits for.
	Stopping string `json:"stopping,omitempty"`
	// WorstRTT is the longest recent round trip to any peer, on the quickest of
	// its comm paths.
	WorstRTT time.Duration `json:"worst_rtt"`
	// Vitals is what was measured of this machine last.
	Vitals *Vitals `json:"vitals,omitempty"`
	// Hooks are the hooks as this node knows them.
	Hooks []HookState `json:"hooks,omitempty"`
}

// NodeHeard is how long ago a node was heard.
type NodeHeard struct {
	Node cluster.NodeID `json:"node"`
	Ago  time.Duration  `json:"ago"`
}

// PathState is one comm path to one peer.
type PathState struct {
	Peer     cluster.NodeID `json:"peer"`
	Network  string         `json:"network"`
	Local    string         `json:"local"`
	Remote   string         `json:"remote"`
	State    string         `json:"state"` // up, degraded, down
	Sent     uint64         `json:"sent"`
	Received uint64         `json:"received"`
	Lost     uint64         `json:"lost"`
	RTT      time.Duration  `json:"rtt"`
	Worst    time.Duration  `json:"worst_rtt"`
	Heard    time.Duration  `json:"heard_ago"`
}

// GuardState is what enforces the end of the lease.
type GuardState struct {
	Gate     string `json:"gate"`     // "nftables", or why there is none
	Watchdog string `json:"watchdog"` // "armed 15s", "off until the first hierarchy starts", or why there is none
	Session  string `json:"session"`
}

// StopAsSet is what the node's shutdown strategy says.
func StopAsSet(st *cluster.State, id cluster.NodeID) StopMode {
	if n := st.Node(id); n != nil && n.Shutdown == cluster.ShutdownStay {
		return StopStay
	}
	return StopMove
}
