package commpath

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// udpConn sends by sendto(2) with MSG_DONTWAIT. Package net would park the
// goroutine when the socket's buffer is full, which happens when a link stalls:
// exactly when the heartbeats on the other links must not wait.
type udpConn struct {
	*net.UDPConn
	raw   syscall.RawConn
	local netip.AddrPort
	zone  uint32 // of a link-local address, else 0

	mu   sync.Mutex
	b    []byte
	sa4  unix.SockaddrInet4
	sa6  unix.SockaddrInet6
	to   unix.Sockaddr
	err  error
	once func(fd uintptr) bool // made once: a closure for each packet would be allocated
}

func listenUDP(a netip.AddrPort) (PacketConn, error) {
	// No SO_REUSEADDR: with UDP it would let a second daemon on this address
	// take the packets in silence.
	c, err := net.ListenUDP(udpNetwork(a), net.UDPAddrFromAddrPort(a))
	if err != nil {
		return nil, err
	}
	raw, err := c.SyscallConn()
	if err != nil {
		c.Close()
		return nil, err
	}
	u := &udpConn{UDPConn: c, raw: raw, local: a}
	if zone := a.Addr().Zone(); zone != "" {
		ifi, err := net.InterfaceByName(zone)
		if err != nil {
			c.Close()
			return nil, err
		}
		u.zone = uint32(ifi.Index)
	}
	u.once = func(fd uintptr) bool {
		u.err = unix.Sendto(int(fd), u.b, unix.MSG_DONTWAIT|unix.MSG_NOSIGNAL, u.to)
		return true
	}
	return u, nil
}

func (u *udpConn) LocalAddr() netip.AddrPort { return u.local }

func (u *udpConn) ReadFrom(b []byte) (int, netip.AddrPort, error) {
	return u.ReadFromUDPAddrPort(b)
}

func (u *udpConn) WriteTo(b []byte, to netip.AddrPort) error {
	u.mu.Lock()
	defer u.mu.Unlock()
	if err := u.address(to); err != nil {
		return err
	}
	u.b = b
	err := u.raw.Write(u.once)
	u.b = nil
	if err != nil {
		return err
	}
	if u.err != nil {
		return fmt.Errorf("send from %v to %v: %w", u.local, to, u.err)
	}
	return nil
}

// address sets the destination. A zone in it is the peer's own word for its
// interface and means nothing here: ours is the one the socket is bound to.
func (u *udpConn) address(to netip.AddrPort) error {
	if to.Addr().Is4() != u.local.Addr().Is4() {
		return fmt.Errorf("send from %v to %v: one is IPv4, the other IPv6", u.local, to)
	}
	if u.local.Addr().Is4() {
		u.sa4 = unix.SockaddrInet4{Port: int(to.Port()), Addr: to.Addr().As4()}
		u.to = &u.sa4
		return nil
	}
	u.sa6.Port, u.sa6.Addr, u.sa6.ZoneId = int(to.Port()), to.Addr().As16(), u.zone
	u.to = &u.sa6
	return nil
}
