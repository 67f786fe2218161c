package sockets

import (
	"encoding/binary"
	"errors"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"
)

// States of the kernel's include/net/tcp_states.h in which nothing is sent by
// itself. A busy server has thousands of connections that wait for late packets.
const (
	waiting   = 6
	listening = 10
)

func end(addr netip.Addr) error {
	var failed error
	// A server that listens on IPv6 has its IPv4 connections there too.
	for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
		if addr.Is6() && family == unix.AF_INET {
			continue
		}
		all, err := netlink.SocketDiagTCP(family)
		for try := 0; try < 5 && errors.Is(err, netlink.ErrDumpInterrupted); try++ {
			all, err = netlink.SocketDiagTCP(family)
		}
		if err != nil {
			return fmt.Errorf("list the connections of %v: %w", addr, err)
		}
		for _, s := range all {
			local, ok := netip.AddrFromSlice(s.ID.Source)
			if !ok || local.Unmap() != addr || s.State == listening || s.State == waiting {
				continue
			}
			if err := destroy(family, s.ID); err != nil {
				failed = errors.Join(failed, fmt.Errorf("end a connection of %v: %w", addr, err))
			}
		}
	}
	return failed
}

// destroy ends one connection. One that has ended by itself meanwhile is fine,
// and so is a kernel that can't (CONFIG_INET_DIAG_DESTROY).
func destroy(family uint8, id netlink.SocketID) error {
	req := nl.NewNetlinkRequest(nl.SOCK_DESTROY, unix.NLM_F_ACK)
	req.AddData(request{family, id})
	_, err := req.Execute(unix.NETLINK_INET_DIAG, 0)
	if errors.Is(err, unix.ENOENT) || errors.Is(err, unix.EOPNOTSUPP) {
		return nil
	}
	return err
}

// request is struct inet_diag_req_v2 of the kernel's linux/inet_diag.h.
type request struct {
	family uint8
	id     netlink.SocketID
}

const requestLength = 8 + 48

func (request) Len() int { return requestLength }

func (r request) Serialize() []byte {
	b := make([]byte, 0, requestLength)
	b = append(b, r.family, unix.IPPROTO_TCP, 0, 0)
	b = binary.NativeEndian.AppendUint32(b, 0) // states: the id says which
	b = binary.BigEndian.AppendUint16(b, r.id.SourcePort)
	b = binary.BigEndian.AppendUint16(b, r.id.DestinationPort)
	for _, ip := range []net.IP{r.id.Source, r.id.Destination} {
		if r.family == unix.AF_INET {
			ip = ip.To4() // netlink gives it as mapped
		}
		var field [16]byte
		copy(field[:], ip)
		b = append(b, field[:]...)
	}
	b = binary.NativeEndian.AppendUint32(b, r.id.Interface)
	b = binary.NativeEndian.AppendUint32(b, r.id.Cookie[0])
	return binary.NativeEndian.AppendUint32(b, r.id.Cookie[1])
}
