package demo

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/fault"
)

// Stage is a cluster with its witnesses of truth. Means for faults are found
// by assertion, see package fault.
type Stage interface {
	// Nodes are the nodes' names; with a witness that is the last.
	Nodes() []string
	// Client is the one outside, and Prober asks at every node's door.
	Client() *client.Client
	Prober() *client.Prober
	// Has says what the stage has beside means for faults.
	Has() Equipment
	// Refresh forgets what earlier failures left in the way of the service.
	Refresh(ctx context.Context) error
	// Ready waits until every node that is on is a member, nothing is pending
	// or failed and the service answers. It says what is wanting meanwhile.
	Ready(ctx context.Context, wanting func(error)) error
	// Starts counts how often the server was started, on all nodes together.
	Starts() (int, error)
	// Why is the cluster's own account of what it did.
	Why(ctx context.Context) (string, error)
	// Enter makes a script for each node, in their order, that runs perdure
	// there; without arguments a shell.
	Enter() ([]string, error)
	// Close ends everything and leaves nothing behind, except what was to be
	// kept.
	Close() error
	// Kept is where the nodes' files are after Close, or empty.
	Kept() string
}

// Equipment is what some scenarios need.
type Equipment struct {
	// Workers: the server has processes beside its main one.
	Workers bool
	// Gate: an address gate in the kernel silences nodes that don't run.
	Gate bool
	// Watchdog: each machine has one that resets it.
	Watchdog bool
	// Slack is added to every outage that is allowed at all: what the stage's
	// machines need longer for the same start.
	Slack time.Duration
	// Boot is added for each node that is switched on on the way: what its machine
	// needs to boot.
	Boot time.Duration
}

// playable reports whether a stage has all that a scenario needs.
func playable(stage Stage, s Scenario) bool { return hindrance(stage, s) == Text{} }

// hindrance says what a stage lacks for a scenario; empty: nothing.
func hindrance(stage Stage, s Scenario) Text {
	has := stage.Has()
	switch {
	case s.Workers && !has.Workers:
		return words["no-workers"]
	case s.Gate && !has.Gate:
		return words["no-gate"]
	case s.Watchdog && !has.Watchdog:
		return words["no-watchdog"]
	}
	for _, step := range s.Steps {
		f, err := fault.Parse(step.Do)
		if err == nil && !fault.Can(stage, f) {
			lacks := words["no-means"]
			return Text{fmt.Sprintf(lacks.EN, f.Kind), fmt.Sprintf(lacks.JA, f.Kind)}
		}
	}
	return Text{}
}
