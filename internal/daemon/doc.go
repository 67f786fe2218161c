// Package daemon is the one loop that joins a core with the world: disk, comm
// paths, guardian, kits and API.
//
// The loop owns the core; everything else runs beside it and talks to it by
// events. Nothing in the loop waits: the disk has a goroutine, every action of a
// kit has one, and packets are sent without blocking. So a heartbeat is late
// only if the whole process is.
//
// It owns the files of a node's identity (identity.go) and leaves the decisions
// to core and the means to the edge packages.
//
// Start reading at daemon.go ([Run]), then loop.go.
package daemon
