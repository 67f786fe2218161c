// Package cli is the command line: perdure NOUN VERB.
//
// It owns the reading of arguments, the layout of what people see, and the
// watching of operations that take a while. It speaks to the daemon through the
// API's client alone; what runs as a process of its own (guardian, daemon,
// witness, demo) and what works before there is a daemon (init, join) are
// functions that the binary fills in, see [Runners].
//
// Main is called once per process. Messages come from the catalogue, labels
// from package wording, help from the declarations of the commands.
//
// Start reading at main.go, then commands.go and status.go.
package cli
