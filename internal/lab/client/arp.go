package client

import (
	"encoding/binary"
	"fmt"
	"net"
	"net/netip"
)

// ARP over Ethernet for IPv4. Source: RFC 826.
const (
	etherTypeARP = 0x0806
	arpLength    = 14 + 28

	arpRequest = 1
	arpReply   = 2
)

// ARPRequest builds the frame that asks who has target. It may go to one
// node's hardware address alone, so that only that node can answer.
func ARPRequest(to, from net.HardwareAddr, sender, target netip.Addr) []byte {
	frame := make([]byte, arpLength)
	copy(frame[0:6], to)
	copy(frame[6:12], from)
	binary.BigEndian.PutUint16(frame[12:], etherTypeARP)
	binary.BigEndian.PutUint16(frame[14:], 1)      // Ethernet
	binary.BigEndian.PutUint16(frame[16:], 0x0800) // IPv4
	frame[18], frame[19] = 6, 4
	binary.BigEndian.PutUint16(frame[20:], arpRequest)
	copy(frame[22:28], from)
	copy(frame[28:32], sender.AsSlice())
	copy(frame[38:42], target.AsSlice())
	return frame
}

// Claim is what an ARP frame says: this hardware address has this address.
type Claim struct {
	Addr netip.Addr
	MAC  net.HardwareAddr
	// Announced reports whether nobody asked (a gratuitous ARP).
	Announced bool
}

// ParseARP reads a frame. Requests by others are no claims, except
// announcements, in which sender and target are the same address.
func ParseARP(frame []byte) (claim Claim, ok bool, err error) {
	if len(frame) < arpLength {
		return Claim{}, false, fmt.Errorf("ARP frame of %d bytes, need %d", len(frame), arpLength)
	}
	if binary.BigEndian.Uint16(frame[12:]) != etherTypeARP ||
		binary.BigEndian.Uint16(frame[14:]) != 1 || binary.BigEndian.Uint16(frame[16:]) != 0x0800 ||
		frame[18] != 6 || frame[19] != 4 {
		return Claim{}, false, fmt.Errorf("frame is no ARP of Ethernet and IPv4")
	}
	sender, target := netip.AddrFrom4([4]byte(frame[28:32])), netip.AddrFrom4([4]byte(frame[38:42]))
	claim = Claim{Addr: sender, MAC: net.HardwareAddr(append([]byte(nil), frame[22:28]...)), Announced: sender == target}
	return claim, claim.Announced || binary.BigEndian.Uint16(frame[20:]) == arpReply, nil
}
