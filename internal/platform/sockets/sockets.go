// Package sockets ends the connections of an address that leaves this machine.
//
// A program that was killed, or that ended, may leave data in its connections,
// and the kernel goes on sending it again. With IPv4 it can't once the address
// is gone from the machine; with IPv6 it does, from an address that may be in
// service elsewhere by then, as seen when a frozen machine was thawed: an
// answer to a request from before the freeze came out after the address was
// given up.
//
// It may be used concurrently.
package sockets

import "net/netip"

// End ends all TCP connections that have addr as their local address; what
// listens, or only waits for late packets, stays. Connections end with a reset, as far as that leaves the
// machine. Where the system can't do it, it does nothing.
func End(addr netip.Addr) error { return end(addr) }
