// Package server is the process that serves volumes, apart from the daemon so
// that the daemon may crash, restart or be upgraded while applications write.
//
// It joins backing devices, metadata and frontends, and checks the lease by
// itself: what is asked or answered after the deadline waits for a renewal and is
// refused when none comes. Which volumes there are and who may serve them is
// decided by the cluster; the daemon says it over the control socket.
//
// A [Server] may be used by many goroutines. Start reading at server.go, then
// local.go and gate.go. Why: docs/design/datapath.md.
package server
