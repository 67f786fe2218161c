package api

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Report is a cluster assessed. Durations are nanoseconds.
type Report struct {
	// Safe reports whether any single failure would be survived.
	Safe bool `json:"safe"`
	// Findings are what speaks against it and what else is worth knowing,
	// worst first.
	Findings []Finding `json:"findings"`

	Cluster string         `json:"cluster"`
	Name    string         `json:"name"`
	Self    cluster.NodeID `json:"self"`
	Leader  cluster.NodeID `json:"leader,omitempty"`
	Quorum  QuorumReport   `json:"quorum"`
	// Detection is how long until a failure is certain, and what follows.
	Detection   DetectionReport   `json:"detection"`
	Nodes       []NodeReport      `json:"nodes"`
	Hierarchies []HierarchyReport `json:"hierarchies"`
	Networks    []NetworkReport   `json:"networks"`
	Applied     uint64            `json:"applied"`
}

// Severity orders findings.
type Severity string

const (
	// SeverityDown: something that should be served isn't, or can't be.
	SeverityDown Severity = "down"
	// SeverityUnsafe: one more failure stops service.
	SeverityUnsafe Severity = "unsafe"
	// SeverityWarning: something is broken or weaker than it was meant to be.
	SeverityWarning Severity = "warning"
	// SeverityInfo: worth knowing.
	SeverityInfo Severity = "info"
)

// Finding is one thing about a cluster that people should know.
type Finding struct {
	Severity Severity       `json:"severity"`
	Reason   cluster.Reason `json:"reason"`
	// Fix is the one command that helps, if there is one.
	Fix  string `json:"fix,omitempty"`
	Text Words  `json:"text"`
}

// QuorumReport is the votes.
type QuorumReport struct {
	Voters    int `json:"voters"`
	Answering int `json:"answering"`
	Majority  int `json:"majority"`
	// Spare is how many more voters may fail; negative: there is no quorum.
	Spare int  `json:"spare"`
	Held  bool `json:"held"`
}

// DetectionReport shows the times that follow from the detection time.
type DetectionReport struct {
	Detection time.Duration `json:"detection"`
	Profile   string        `json:"profile,omitempty"`
	Heartbeat time.Duration `json:"heartbeat"`
	// Gate is when a node that is cut off silences itself.
	Gate time.Duration `json:"gate"`
	// Eviction is when others may take over: detection and margin.
	Eviction   time.Duration `json:"eviction"`
	WorstRTT   time.Duration `json:"worst_rtt"`
	Arithmetic string        `json:"arithmetic"`
}

// NodeReport is one node.
type NodeReport struct {
	ID       cluster.NodeID   `json:"id"`
	Name     string           `json:"name"`
	Role     cluster.Role     `json:"role"`
	Presence cluster.Presence `json:"presence"`
	Voter    bool             `json:"voter"`
	Leader   bool             `json:"leader"`
	Self     bool             `json:"self"`
	// Heard reports whether it is heard now, and Ago since when (negative:
	// never).
	Heard       bool          `json:"heard"`
	Ago         time.Duration `json:"ago"`
	Maintenance bool          `json:"maintenance,omitempty"`
	Drain       bool          `json:"drain,omitempty"`
	Quarantine  bool          `json:"quarantine,omitempty"`
	Software    string        `json:"software,omitempty"`
	// Hierarchies are those that it owns.
	Hierarchies []string `json:"hierarchies,omitempty"`
}

// HierarchyReport is one hierarchy.
type HierarchyReport struct {
	Name   string         `json:"name"`
	Status cluster.Status `json:"status"`
	Want   cluster.Want   `json:"want"`
	Node   string         `json:"node,omitempty"`
	Reason cluster.Reason `json:"reason"`
	// Nodes is its order, Standbys those of it that could take over now.
	Nodes    []string       `json:"nodes"`
	Standbys []string       `json:"standbys"`
	MovingTo string         `json:"moving_to,omitempty"`
	Class    cluster.Class  `json:"class"`
	Policy   cluster.Policy `json:"policy"`
	// Outage is what a power loss of its node would cost: detection, margin,
	// fencing and start. StartTook is how long the last start took, from
	// decision to service; 0: never measured. Endless reports whether a
	// takeover would wait for a person or a fencing device.
	Outage    time.Duration `json:"outage"`
	StartTook time.Duration `json:"start_took,omitempty"`
	Fencing   time.Duration `json:"fencing,omitempty"`
	Endless   bool          `json:"endless,omitempty"`
	Failures  []string      `json:"failures,omitempty"`
	// Since is wall time in milliseconds of the last change; 0: forgotten.
	SinceMilli int64              `json:"since_ms,omitempty"`
	Resources  []cluster.Resource `json:"resources"`
}

// NetworkReport sums up this node's comm paths on one network.
type NetworkReport struct {
	Network string        `json:"network"`
	Up      int           `json:"up"`
	Paths   int           `json:"paths"`
	RTT     time.Duration `json:"rtt"`
	Worst   time.Duration `json:"worst_rtt"`
	Lost    uint64        `json:"lost"`
}
