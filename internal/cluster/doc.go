// Package cluster is the vocabulary that every other package shares: node
// identities, time, the replicated cluster state and the commands that change
// it.
//
// It owns the state document and [State.Apply], the only function that changes
// it. It leaves agreement on the order of commands to core, and the choice of
// commands to decide and arbiter. The package is pure: no I/O, no clock, no
// chance, no goroutine. Values are not safe for concurrent use; give other
// goroutines a [State.Clone].
//
// Start reading at state.go (the document), then command.go (what changes it).
package cluster
