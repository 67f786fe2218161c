// Package kit is the contract between the cluster and what it keeps running: a
// kit knows how one kind of thing is brought in service, taken out of service
// and checked on this node.
//
// It owns the interfaces that kits implement, the declaration and parsing of
// settings (command line, console form, docs and validation come from one
// declaration), the settings that every resource has, and the running of
// commands. It leaves to package decide what follows from a result, to the
// daemon when something is called, and to the guardian what happens at the end
// of a lease.
//
// A [Resource] is called by one goroutine at a time, except that Watch,
// Announce and Check may run beside each other and beside Start or Stop.
// Everything else in the package may be called concurrently.
//
// Start reading at kit.go, then setting.go and command.go. The kits are listed
// in kit/all; docs/design/kits.md says how to write one.
package kit
