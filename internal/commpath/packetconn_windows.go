package commpath

import (
	"errors"
	"net"
	"net/netip"
	"sync"
	"time"

	"golang.org/x/sys/windows"
)

// sendPatience is how long a full socket may hold a send. Windows has no
// non-blocking send for the sockets of package net; in practice the system
// takes a UDP packet at once or fails.
const sendPatience = 2 * time.Millisecond

type udpConn struct {
	*net.UDPConn
	local netip.AddrPort
	mu    sync.Mutex
}

func listenUDP(a netip.AddrPort) (PacketConn, error) {
	c, err := net.ListenUDP(udpNetwork(a), net.UDPAddrFromAddrPort(a))
	if err != nil {
		return nil, err
	}
	return &udpConn{UDPConn: c, local: a}, nil
}

func (u *udpConn) LocalAddr() netip.AddrPort { return u.local }

// ReadFrom hides two answers of Windows that are no failure of the socket: a
// packet longer than the buffer, and a peer that isn't listening.
func (u *udpConn) ReadFrom(b []byte) (int, netip.AddrPort, error) {
	for {
		n, from, err := u.ReadFromUDPAddrPort(b)
		switch {
		case errors.Is(err, windows.WSAEMSGSIZE):
			return len(b), from, nil
		case errors.Is(err, windows.WSAECONNRESET), errors.Is(err, windows.WSAENETRESET):
			continue
		}
		return n, from, err
	}
}

func (u *udpConn) WriteTo(b []byte, to netip.AddrPort) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.SetWriteDeadline(time.Now().Add(sendPatience)); err != nil {
		return err
	}
	// A zone in the peer's address is its own word for its interface.
	if zone := u.local.Addr().Zone(); zone != "" {
		to = netip.AddrPortFrom(to.Addr().WithZone(zone), to.Port())
	}
	_, err := u.WriteToUDPAddrPort(b, to)
	return err
}
