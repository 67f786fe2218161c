package ip

import (
	"bytes"
	"encoding/binary"
	"errors"
	"net"
	"net/netip"
)

const (
	etherIPv4 = 0x0800
	etherARP  = 0x0806
	etherIPv6 = 0x86dd

	etherHeader = 14
	macLength   = 6
)

var (
	broadcast = net.HardwareAddr{0xff, 0xff, 0xff, 0xff, 0xff, 0xff}
	noMAC     = make(net.HardwareAddr, macLength)
)

var errFrame = errors.New("not a frame of this kind")

// arp is an ARP packet for IPv4 on Ethernet. Source: RFC 826.
type arp struct {
	Reply                bool
	SenderMAC, TargetMAC net.HardwareAddr
	Sender, Target       netip.Addr
}

// arpLength is the length of the packet behind the Ethernet header.
const arpLength = 28

// encode makes the whole frame, padded to Ethernet's minimum without checksum.
func (a arp) encode(to net.HardwareAddr) []byte {
	b := make([]byte, 0, 60)
	b = append(b, to...)
	b = append(b, a.SenderMAC...)
	b = binary.BigEndian.AppendUint16(b, etherARP)
	b = append(b, 0, 1, etherIPv4>>8, etherIPv4&0xff, macLength, 4, 0, a.operation())
	b = append(b, a.SenderMAC...)
	b = append(b, a.Sender.AsSlice()...)
	b = append(b, a.TargetMAC...)
	b = append(b, a.Target.AsSlice()...)
	return b[:60]
}

func (a arp) operation() byte {
	if a.Reply {
		return 2
	}
	return 1
}

func decodeARP(frame []byte) (arp, error) {
	if len(frame) < etherHeader+arpLength || binary.BigEndian.Uint16(frame[12:]) != etherARP {
		return arp{}, errFrame
	}
	p := frame[etherHeader:]
	if !bytes.Equal(p[:7], []byte{0, 1, etherIPv4 >> 8, etherIPv4 & 0xff, macLength, 4, 0}) || p[7] < 1 || p[7] > 2 {
		return arp{}, errFrame
	}
	return arp{
		Reply:     p[7] == 2,
		SenderMAC: net.HardwareAddr(bytes.Clone(p[8:14])),
		Sender:    netip.AddrFrom4([4]byte(p[14:18])),
		TargetMAC: net.HardwareAddr(bytes.Clone(p[18:24])),
		Target:    netip.AddrFrom4([4]byte(p[24:28])),
	}, nil
}

// arpProbe asks who has an address without claiming one. Source: RFC 5227,
// section 2.1.1.
func arpProbe(from net.HardwareAddr, who netip.Addr) []byte {
	return arp{SenderMAC: from, Sender: netip.IPv4Unspecified(), TargetMAC: noMAC, Target: who}.encode(broadcast)
}

// arpRequest asks for a neighbour.
func arpRequest(from net.HardwareAddr, src, who netip.Addr) []byte {
	return arp{SenderMAC: from, Sender: src, TargetMAC: noMAC, Target: who}.encode(broadcast)
}

// arpAnnounce says where an address is: as a request, which RFC 5227 section 3
// prefers, and as a reply, which some switches and hosts heed alone.
func arpAnnounce(from net.HardwareAddr, addr netip.Addr) [][]byte {
	return [][]byte{
		arp{SenderMAC: from, Sender: addr, TargetMAC: noMAC, Target: addr}.encode(broadcast),
		arp{Reply: true, SenderMAC: from, Sender: addr, TargetMAC: broadcast, Target: addr}.encode(broadcast),
	}
}
