package demo

import (
	"context"

	"github.com/perdure-ha/perdure/internal/lab/client"
)

// Stage is a cluster with its witnesses of truth. Means for faults are found
// by assertion, see package fault.
type Stage interface {
	// Nodes are the nodes' names; with a witness that is the last.
	Nodes() []string
	// Client is the one outside, and Prober asks at every node's door.
	Client() *client.Client
	Prober() *client.Prober
	// Refresh forgets what earlier failures left in the way of the service.
	Refresh(ctx context.Context) error
	// Ready waits until every node that is on is a member, nothing is pending
	// or failed and the service answers. It says what is wanting meanwhile.
	Ready(ctx context.Context, wanting func(error)) error
	// Starts counts how often the server was started, on all nodes together.
	Starts() (int, error)
	// Why is the cluster's own account of what it did.
	Why(ctx context.Context) (string, error)
	// Enter tells a person how to get onto the nodes and at the logs.
	Enter() []string
	// Close ends everything and leaves nothing behind, except what was to be
	// kept.
	Close() error
	// Kept is where the nodes' files are after Close, or empty.
	Kept() string
}
