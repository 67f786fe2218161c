// Package guardian is the small process at the top of a node. It starts the
// daemon and starts it again, and it holds what must work without the daemon:
// the lease's deadlines, the address gate, freezing and killing of services, and
// the watchdog.
//
// It owns the process and the protocol between guardian and daemon. What to do
// and when is decided by package guard; how an address falls silent is package
// fence; who gets a lease is arbiter.
//
// [Run] is the guardian's side, [Dial] and [Client] the daemon's. A Client may be
// used by several goroutines. Inside the guardian one goroutine owns everything;
// acts on processes run beside it, one after another for each hierarchy.
//
// Start reading at server.go (the loop), then run.go (the process) and wire.go.
// Why and against what: docs/design/guardian.md.
package guardian
