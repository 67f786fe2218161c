package client

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// Neighbour discovery over Ethernet for IPv6. Source: RFC 4861, sections 4.3 and
// 4.4.
const (
	etherTypeIPv6 = 0x86dd
	icmpv6        = 58
	ndBody        = 24 // type to the end of the target address
	ndLength      = 14 + 40 + ndBody

	ndSolicit   = 135
	ndAdvertise = 136
	ndSourceMAC = 1    // option
	ndSolicited = 0x40 // flag of an advertisement that answers a question
)

// NDRequest builds the frame that asks who has target. It goes to one node's
// hardware address alone, so that only that node can answer.
func NDRequest(to, from net.HardwareAddr, sender, target netip.Addr) []byte {
	body := append([]byte{ndSolicit, 0, 0, 0, 0, 0, 0, 0}, target.AsSlice()...)
	body = append(append(body, ndSourceMAC, 1), from...)
	binary.BigEndian.PutUint16(body[2:], icmpSum(sender, target, body))
	frame := append(append([]byte(nil), to...), from...)
	frame = binary.BigEndian.AppendUint16(frame, etherTypeIPv6)
	frame = append(frame, 0x60, 0, 0, 0)
	frame = binary.BigEndian.AppendUint16(frame, uint16(len(body)))
	frame = append(frame, icmpv6, 255)
	frame = append(append(frame, sender.AsSlice()...), target.AsSlice()...)
	return append(frame, body...)
}

// ParseND reads a frame. Only advertisements are claims.
func ParseND(frame []byte) (claim Claim, ok bool, err error) {
	if len(frame) < ndLength || binary.BigEndian.Uint16(frame[12:]) != etherTypeIPv6 || frame[20] != icmpv6 {
		return Claim{}, false, fmt.Errorf("frame of %d bytes is no neighbour discovery", len(frame))
	}
	body := frame[14+40:]
	if body[0] != ndAdvertise {
		return Claim{}, false, nil
	}
	return Claim{
		Addr: netip.AddrFrom16([16]byte(body[8:24])), MAC: net.HardwareAddr(append([]byte(nil), frame[6:12]...)),
		Announced: body[4]&ndSolicited == 0,
	}, true, nil
}

// icmpSum is the checksum over the pseudo-header and a body without one. Source:
// RFC 4443, section 2.3.
func icmpSum(from, to netip.Addr, body []byte) uint16 {
	sum := uint32(len(body)) + icmpv6
	for _, part := range [][]byte{from.AsSlice(), to.AsSlice(), body} {
		for i := 0; i+1 < len(part); i += 2 {
			sum += uint32(part[i])<<8 | uint32(part[i+1])
		}
	}
	for sum > 0xffff {
		sum = sum>>16 + sum&0xffff
	}
	return ^uint16(sum)
}
