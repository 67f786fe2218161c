// Package guard decides for the guardian process: until when the address gate
// is open, when services are frozen, killed and thawed, when the watchdog is
// fed, and when the daemon is started again.
//
// It owns the deadlines of one node. It leaves the agreement that gives a lease
// to arbiter, and every act (nftables, cgroups, watchdog device, processes) to
// guardian and fence.
//
// The package is pure: time is an argument, and a result comes back as an
// event. A [Machine] is not safe for concurrent use.
//
// Start reading at event.go and effect.go (what goes in and out), then lease.go
// (the deadlines).
package guard
