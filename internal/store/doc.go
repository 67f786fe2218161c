// Package store keeps the object of a storage witness in shared storage: on a
// block disk that all nodes see, or in a file on a share.
//
// It owns the conditional save: an object is replaced only if nobody has
// replaced it since it was loaded. What an object means, and what follows from
// it, is package core's; when something is done is the daemon's. The algorithm
// and its reasons are in docs/design/storage-witness.md, the format is in
// docs/formats.md.
//
// A store is used by one goroutine. A [Worker] is that goroutine: its Do never
// waits for the store longer than it is told to.
//
// Start reading at store.go, then register.go.
package store
