package ip

import (
	"bytes"
	"encoding/binary"
	"net"
	"net/netip"
)

const (
	nextICMPv6 = 58
	solicit    = 135
	advertise  = 136

	optSourceMAC = 1
	optTargetMAC = 2

	flagOverride = 0x20

	ipv6Header = 40
	ndpLength  = 24 // type to the end of the target address
)

var allNodes = netip.MustParseAddr("ff02::1")

// ndp is a neighbour solicitation or advertisement with at most one link-layer
// address. Source: RFC 4861, sections 4.3 and 4.4.
type ndp struct {
	Type     byte
	Flags    byte // of an advertisement
	FromMAC  net.HardwareAddr
	From, To netip.Addr
	Target   netip.Addr
	MAC      net.HardwareAddr // the option; nil: none
}

// encode makes the whole frame.
func (n ndp) encode(to net.HardwareAddr) []byte {
	body := make([]byte, 0, ndpLength+8)
	body = append(body, n.Type, 0, 0, 0, n.Flags, 0, 0, 0)
	body = append(body, n.Target.AsSlice()...)
	if n.MAC != nil {
		kind := byte(optSourceMAC)
		if n.Type == advertise {
			kind = optTargetMAC
		}
		body = append(append(body, kind, 1), n.MAC...)
	}
	binary.BigEndian.PutUint16(body[2:], checksum(n.From, n.To, body))

	b := make([]byte, 0, etherHeader+ipv6Header+len(body))
	b = append(b, to...)
	b = append(b, n.FromMAC...)
	b = binary.BigEndian.AppendUint16(b, etherIPv6)
	b = append(b, 0x60, 0, 0, 0)
	b = binary.BigEndian.AppendUint16(b, uint16(len(body)))
	b = append(b, nextICMPv6, 255) // a router would lower the hop limit: proof of a neighbour
	b = append(b, n.From.AsSlice()...)
	b = append(b, n.To.AsSlice()...)
	return append(b, body...)
}

// decodeNDP reads a frame and refuses what RFC 4861 section 7.1 tells to
// discard, of which the hop limit and the checksum matter most.
func decodeNDP(frame []byte) (ndp, error) {
	if len(frame) < etherHeader+ipv6Header+ndpLength || binary.BigEndian.Uint16(frame[12:]) != etherIPv6 {
		return ndp{}, errFrame
	}
	p := frame[etherHeader:]
	length := int(binary.BigEndian.Uint16(p[4:]))
	if p[0]>>4 != 6 || p[6] != nextICMPv6 || p[7] != 255 || length < ndpLength || length > len(p)-ipv6Header {
		return ndp{}, errFrame
	}
	body := p[ipv6Header : ipv6Header+length]
	n := ndp{
		Type:    body[0],
		Flags:   body[4],
		FromMAC: net.HardwareAddr(bytes.Clone(frame[6:12])),
		From:    netip.AddrFrom16([16]byte(p[8:24])),
		To:      netip.AddrFrom16([16]byte(p[24:40])),
		Target:  netip.AddrFrom16([16]byte(body[8:24])),
	}
	if (n.Type != solicit && n.Type != advertise) || body[1] != 0 || n.Target.IsMulticast() || checksum(n.From, n.To, body) != 0 {
		return ndp{}, errFrame
	}
	for opts := body[ndpLength:]; len(opts) >= 8; {
		size := int(opts[1]) * 8
		if size == 0 || size > len(opts) {
			return ndp{}, errFrame
		}
		if opts[0] == optSourceMAC || opts[0] == optTargetMAC {
			n.MAC = net.HardwareAddr(bytes.Clone(opts[2:8]))
		}
		opts = opts[size:]
	}
	return n, nil
}

// checksum is the one of ICMPv6 over the pseudo-header and the body; 0 over a
// body that carries a right one. Source: RFC 4443, section 2.3.
func checksum(from, to netip.Addr, body []byte) uint16 {
	sum := uint32(len(body)) + nextICMPv6
	for _, part := range [][]byte{from.AsSlice(), to.AsSlice(), body} {
		for i, b := range part {
			if i%2 == 0 {
				sum += uint32(b) << 8
			} else {
				sum += uint32(b)
			}
		}
	}
	for sum>>16 != 0 {
		sum = sum&0xffff + sum>>16
	}
	return ^uint16(sum)
}

// solicitedNode is the group that the holder of an address listens to, and its
// MAC address. Source: RFC 4291, section 2.7.1; RFC 2464, section 7.
func solicitedNode(a netip.Addr) (netip.Addr, net.HardwareAddr) {
	low := a.As16()
	group := [16]byte{0xff, 0x02, 11: 1, 12: 0xff}
	copy(group[13:], low[13:])
	return netip.AddrFrom16(group), multicastMAC(netip.AddrFrom16(group))
}

func multicastMAC(group netip.Addr) net.HardwareAddr {
	b := group.As16()
	return net.HardwareAddr{0x33, 0x33, b[12], b[13], b[14], b[15]}
}

// ndpProbe asks who has an address without claiming one. Source: RFC 4862,
// section 5.4.2.
func ndpProbe(from net.HardwareAddr, who netip.Addr) []byte {
	group, mac := solicitedNode(who)
	return ndp{Type: solicit, FromMAC: from, From: netip.IPv6Unspecified(), To: group, Target: who}.encode(mac)
}

// ndpRequest asks for a neighbour.
func ndpRequest(from net.HardwareAddr, src, who netip.Addr) []byte {
	group, mac := solicitedNode(who)
	return ndp{Type: solicit, FromMAC: from, From: src, To: group, Target: who, MAC: from}.encode(mac)
}

// ndpAnnounce says to all nodes where an address is, overriding what they
// know. Source: RFC 4861, section 7.2.6.
func ndpAnnounce(from net.HardwareAddr, addr netip.Addr, router bool) [][]byte {
	flags := byte(flagOverride)
	if router {
		flags |= 0x80
	}
	return [][]byte{ndp{Type: advertise, Flags: flags, FromMAC: from, From: addr, To: allNodes, Target: addr, MAC: from}.
		encode(multicastMAC(allNodes))}
}
