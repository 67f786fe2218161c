package cluster

import "slices"

// QuorumLoss is what a node with services does to itself when its lease ended,
// because it lost the quorum or its daemon stands.
type QuorumLoss string

const (
	// LossOutOfService: services are frozen, then killed. The default.
	LossOutOfService QuorumLoss = "out-of-service"
	// LossReboot: the machine is reset at once, without a sync.
	LossReboot QuorumLoss = "reboot"
	// LossPowerOff: the machine is switched off at once, without a sync.
	LossPowerOff QuorumLoss = "power-off"
)

// Shutdown is what becomes of a node's services when it is shut down and whoever
// asks says nothing else.
type Shutdown string

const (
	// ShutdownMove: they move to other nodes. The default.
	ShutdownMove Shutdown = "move"
	// ShutdownStay: they stop, wait for the node's return and start there again.
	ShutdownStay Shutdown = "stay"
)

// FailurePolicy is what the failures of a resource, or on a node, lead to. The
// zero value is the default.
type FailurePolicy struct {
	// NotifyOnly: they are reported and nothing is done.
	NotifyOnly bool `json:"notify_only,omitempty"`
	// FailoverBlocked: local recovery is tried, on and on, and no failover.
	FailoverBlocked bool `json:"failover_blocked,omitempty"`
	// Targets are the nodes to which they may lead; empty: no restriction.
	Targets []NodeID `json:"targets,omitempty"`
}

// FailureChange changes what is set of a [FailurePolicy] and leaves the rest.
type FailureChange struct {
	NotifyOnly      *bool     `json:"notify_only,omitempty"`
	FailoverBlocked *bool     `json:"failover_blocked,omitempty"`
	Targets         *[]NodeID `json:"targets,omitempty"`
}

func (c *FailureChange) to(p *FailurePolicy) {
	set(&p.NotifyOnly, c.NotifyOnly)
	set(&p.FailoverBlocked, c.FailoverBlocked)
	if c.Targets != nil {
		p.Targets = listed(*c.Targets)
	}
}

// listed copies a list. An empty one is nil, so that it reads from a snapshot as
// it was.
func listed(ids []NodeID) []NodeID {
	if len(ids) == 0 {
		return nil
	}
	return slices.Clone(ids)
}

func (p *FailurePolicy) forgetNode(id NodeID) { p.Targets = without(p.Targets, id) }

func (p *FailurePolicy) replaceNode(was, id NodeID) { replaceIn(p.Targets, was, id) }

// without drops a node that is gone, unless it is the last of the list: an empty
// list would lift the restriction.
func without(ids []NodeID, id NodeID) []NodeID {
	if len(ids) == 1 {
		return ids
	}
	return slices.DeleteFunc(slices.Clone(ids), func(n NodeID) bool { return n == id })
}

func replaceIn(ids []NodeID, was, id NodeID) {
	if i := slices.Index(ids, was); i >= 0 {
		ids[i] = id
	}
}

// Failover is a hierarchy without an owner that nobody asked to stop.
type Failover struct {
	From NodeID `json:"from"`
	// Entry is the timeline entry that took it from there. An answer names it.
	Entry uint64 `json:"entry"`
	// Lost: the node was lost. Otherwise Resource (if known) failed on it, or
	// Keeps.
	Lost     bool   `json:"lost,omitempty"`
	Resource string `json:"resource,omitempty"`
	// Keeps: the node was shut down and has it again when it is back.
	Keeps bool `json:"keeps,omitempty"`
	// Answer of a person, or of the default after the time-out.
	Answer Answer `json:"answer,omitempty"`
}

// Answer to the question whether a failover goes on.
type Answer string

const (
	AnswerProceed Answer = "proceed"
	AnswerBlock   Answer = "block"
)

// ConfirmSecondsDefault is how long a person is waited for (s) if the policy
// doesn't say; then the default of the policy holds.
const ConfirmSecondsDefault = 600

// MovesPerHourDefault bounds the failovers of a hierarchy because of failures
// within an hour, if its policy doesn't say.
const MovesPerHourDefault = 10

// movesMax bounds what is remembered of them.
const movesMax = 100

// fallsMax is how many falls within an hour put a node into quarantine.
const fallsMax = 3

// Extension is a node that is being looked at before a hierarchy is extended to
// it.
type Extension struct {
	Node NodeID `json:"node"`
	// At is its place in the order, from 0; negative: the last.
	At    int    `json:"at"`
	Entry uint64 `json:"entry"` // that asked for it
}
