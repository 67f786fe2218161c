package why

import (
	"github.com/perdure-ha/perdure/internal/cluster"
)

// What says in a word what an episode was.
type What string

const (
	Failover      What = "failover"
	Switchover    What = "switchover"
	Handover      What = "handover" // its node was stopped on purpose
	LocalRecovery What = "local recovery"
	Restart       What = "restart" // on the same node, for instance after a reboot
	Start         What = "start"
	Stop          What = "stop"
	NotOver       What = "not over"
	Reported      What = "report" // a change of status without loss of service
)

// Story is one episode of a hierarchy.
type Story struct {
	Hierarchy string `json:"hierarchy"`
	What      What   `json:"what"`
	From      string `json:"from,omitempty"`
	To        string `json:"to,omitempty"`
	// Over reports whether it came to an end.
	Over bool `json:"over"`
	// BeganMilli and EndedMilli are wall time in milliseconds since 1970.
	BeganMilli int64 `json:"began_ms"`
	EndedMilli int64 `json:"ended_ms,omitempty"`
	// OutageMilli is the time without service; negative: not known.
	OutageMilli int64 `json:"outage_ms"`
	// SinceMilli is since when it had been in service before; 0: it wasn't.
	SinceMilli int64   `json:"before_since_ms,omitempty"`
	Lines      []Line  `json:"lines"`
	Phases     []Phase `json:"phases,omitempty"`
	// Present is how the hierarchy is now.
	Present Present `json:"present"`
	// Later reports whether a newer episode follows.
	Later bool `json:"later,omitempty"`
}

// Line is one entry of the timeline, or a moment that follows from one.
type Line struct {
	// Entry is the timeline's id; 0: the moment was computed.
	Entry     uint64         `json:"entry,omitempty"`
	WallMilli int64          `json:"wall_ms"`
	Kind      cluster.Kind   `json:"kind"`
	Node      string         `json:"node,omitempty"`
	Resource  string         `json:"resource,omitempty"`
	Reason    cluster.Reason `json:"reason"`
	By        string         `json:"by,omitempty"`
	Causes    []uint64       `json:"causes,omitempty"`
	// Seen is who observed what, RuledOut what spoke against other nodes, Took
	// what was done and how long it took.
	Seen     []Proof `json:"seen,omitempty"`
	RuledOut []Proof `json:"ruled_out,omitempty"`
	Took     []Proof `json:"took,omitempty"`
	// Key reports whether the rule behind it is worth its words.
	Key bool `json:"key,omitempty"`
}

// Proof is one observation behind a decision.
type Proof struct {
	Node     string         `json:"node"`
	Reason   cluster.Reason `json:"reason"`
	AgoMilli int64          `json:"ago_ms,omitempty"`
}

// Phase is what a part of the way cost.
type Phase struct {
	Name  string `json:"name"`
	Node  string `json:"node,omitempty"`
	Milli int64  `json:"ms"` // negative: the clocks of two nodes differ
}

// Names of phases.
const (
	PhaseSilence  = "silence"
	PhaseFence    = "fencing"
	PhaseRecover  = "local recovery"
	PhaseStop     = "stop"
	PhaseGiveUp   = "giving up"
	PhaseBackoff  = "back-off"
	PhaseDecision = "decision"
	PhaseStart    = "start"
	PhaseTry      = "failed start"
	PhaseReboot   = "restart of the node"
)

// Present is how a hierarchy is at the moment.
type Present struct {
	Status     cluster.Status `json:"status"`
	Node       string         `json:"node,omitempty"`
	Reason     cluster.Reason `json:"reason"`
	Want       cluster.Want   `json:"want"`
	SinceMilli int64          `json:"since_ms,omitempty"`
	// Failures are the nodes on which it may not start until they are cleared.
	Failures []string `json:"failures,omitempty"`
}
