// Package volume is one copy of a replicated volume as a state machine: as
// source it decides when a write is done and what each target still lacks, as
// target it decides what may be written, and by whom.
//
// It owns roles, handshake, write path, activity log, marks (blocks that
// another copy may lack), resync, undo log, and when the cluster must be asked.
// It leaves to package cluster who is in the in-sync set, to the edge disks,
// links and the bytes themselves: a request is an id here.
//
// A [Machine] belongs to one goroutine. Start reading at machine.go, then
// write.go and target.go; docs/design/volumes.md says why it is safe.
package volume
