// Package arbiter decides who may serve: it counts leases for their holder,
// acknowledges and promises for a voter, and gathers promises for the leader
// who evicts.
//
// It owns what a heartbeat's acknowledgement means, and leaves its transport,
// the agreement on commands (core) and what is served (decide) to others. The
// rules and their proof are in docs/design/leases.md and model/lease.pml.
//
// The package is pure: clocks are arguments, nothing is started, nothing is
// written. Values are not safe for concurrent use: the one loop that owns them
// issues both acknowledgements and promises, so that none can overtake another.
//
// Start reading at voter.go (what a vote promises), then holder.go (what the
// promises are worth) and evictor.go.
package arbiter
