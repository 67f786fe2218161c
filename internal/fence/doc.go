// Package fence keeps a node silent when it has no right to serve: the address
// gate and the watchdog.
//
// The [Gate] lets service addresses answer only until a time that the kernel
// itself enforces. On Linux it is nftables: sets whose elements time out, so
// that nothing has to run in userland for an address to fall silent, ARP and
// neighbour discovery included. The [Watchdog] resets a machine whose guardian
// no longer works.
//
// The package acts; when to open, close and feed is decided by guard. A Gate
// and a Watchdog are used by one goroutine.
//
// Start reading at gate.go, then gate_linux.go. Why the rules are as they are:
// docs/design/guardian.md.
package fence
