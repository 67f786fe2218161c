// Package core is the whole decision of one node: raft, leases, eviction, the
// planner and the executor joined into one step function.
//
// It takes events (a heartbeat came, the disk is done, time passed) and returns
// effects (write this, then send that, act so). It owns the order: what an
// effect promises is durable before it is spoken. It leaves disks, networks,
// kits and clocks to daemon, and to lab/sim, which runs many cores in one
// thread under virtual time.
//
// The package is pure. A Core is not safe for concurrent use.
//
// Start reading at core.go ([Core.Step]), then raft.go (agreement), lead.go
// (what the leader does besides), beat.go (leases).
package core
