package commpath

import "net/netip"

// PacketConn is a UDP socket as the hub uses it. One goroutine reads, several
// write.
type PacketConn interface {
	// ReadFrom waits for a packet. n is len(b) or less; a longer packet is cut
	// off.
	ReadFrom(b []byte) (n int, from netip.AddrPort, err error)
	// WriteTo sends a packet at once or fails: it never waits for room. It
	// doesn't keep b.
	WriteTo(b []byte, to netip.AddrPort) error
	LocalAddr() netip.AddrPort
	Close() error
}

// udpNetwork is the name of an address's UDP for package net: one family only,
// so that an IPv6 socket doesn't take IPv4 packets.
func udpNetwork(a netip.AddrPort) string {
	if a.Addr().Is4() {
		return "udp4"
	}
	return "udp6"
}

func tcpNetwork(a netip.AddrPort) string {
	if a.Addr().Is4() {
		return "tcp4"
	}
	return "tcp6"
}
