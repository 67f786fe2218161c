package commpath

import (
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/platform/quiet"
)

// udpConn sends without waiting. Package net would park the goroutine when the
// socket's buffer is full, which happens when a link stalls: exactly when the
// heartbeats on the other links must not wait.
type udpConn struct {
	*net.UDPConn
	raw   syscall.RawConn
	local netip.AddrPort
	zone  uint32 // of a link-local address, else 0

	in  incoming // the reader's alone
	mu  sync.Mutex
	out outgoing // guarded by mu
	// Made once: a closure for each packet would be allocated.
	receive, send func(fd uintptr) bool
}

type incoming struct {
	b    []byte
	n    int
	from netip.AddrPort
	err  error
}

type outgoing struct {
	b   []byte
	to  netip.AddrPort
	err error
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
	u.receive = func(fd uintptr) bool {
		u.in.n, u.in.from, u.in.err = quiet.ReceiveFrom(fd, u.in.b)
		return u.in.err != unix.EAGAIN
	}
	u.send = func(fd uintptr) bool {
		u.out.err = quiet.SendTo(fd, u.out.b, u.out.to, u.zone)
		return true
	}
	return u, nil
}

func (u *udpConn) LocalAddr() netip.AddrPort { return u.local }

func (u *udpConn) ReadFrom(b []byte) (int, netip.AddrPort, error) {
	u.in.b = b
	err := u.raw.Read(u.receive)
	u.in.b = nil
	if err == nil && u.in.err != nil {
		err = fmt.Errorf("receive at %v: %w", u.local, u.in.err)
	}
	if err != nil {
		return 0, netip.AddrPort{}, err
	}
	return u.in.n, u.in.from, nil
}

// WriteTo ignores a zone in the destination, which is the peer's own word for its
// interface and means nothing here: ours is the one the socket is bound to.
func (u *udpConn) WriteTo(b []byte, to netip.AddrPort) error {
	if to.Addr().Is4() != u.local.Addr().Is4() {
		return fmt.Errorf("send from %v to %v: one is IPv4, the other IPv6", u.local, to)
	}
	u.mu.Lock()
	defer u.mu.Unlock()
	u.out.b, u.out.to = b, to
	err := u.raw.Write(u.send)
	u.out.b = nil
	if err != nil {
		return err
	}
	if u.out.err != nil {
		return fmt.Errorf("send from %v to %v: %w", u.local, to, u.out.err)
	}
	return nil
}
