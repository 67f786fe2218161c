package commpath

import (
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// rebind is how long to wait before an address that isn't there is tried again.
const rebind = 500 * time.Millisecond

// slot is one local address with its UDP socket and TCP listener, for as long
// as it is wanted. Addresses come late (DHCP, a cable, duplicate address
// detection) and go, so binding is tried until it works.
type slot struct {
	hub  *Hub
	addr netip.AddrPort
	refs int // guarded by hub.mu

	udp atomic.Pointer[PacketConn]
	mu  sync.Mutex
	tcp net.Listener // guarded by mu; nil while not bound

	stop chan struct{}
	done sync.WaitGroup
	once sync.Once
}

func newSlot(h *Hub, a netip.AddrPort) *slot {
	s := &slot{hub: h, addr: a, stop: make(chan struct{})}
	// The first try is made here, so that what can be bound is bound when the
	// caller goes on.
	udp := s.openUDP()
	s.done.Go(func() { s.keepUDP(udp) })
	l, err := s.openTCP()
	s.done.Go(func() { s.keepTCP(l, err) })
	return s
}

// bound reports whether heartbeats can be sent and received at the address.
func (s *slot) bound() bool { return s.udp.Load() != nil }

func (s *slot) send(packet []byte, to netip.AddrPort) error {
	c := s.udp.Load()
	if c == nil {
		return errNoSocket
	}
	return (*c).WriteTo(packet, to)
}

func (s *slot) close() {
	s.once.Do(func() { close(s.stop) })
	if c := s.udp.Load(); c != nil {
		(*c).Close()
	}
	s.mu.Lock()
	if s.tcp != nil {
		s.tcp.Close()
	}
	s.mu.Unlock()
	s.done.Wait()
}

func (s *slot) stopping() bool {
	select {
	case <-s.stop:
		return true
	default:
		return false
	}
}

// wait pauses between two tries and reports whether to go on.
func (s *slot) wait() bool {
	t := time.NewTimer(rebind)
	defer t.Stop()
	select {
	case <-s.stop:
		return false
	case <-t.C:
		return true
	}
}

func (s *slot) openUDP() error {
	c, err := listenUDP(s.addr)
	if err != nil {
		return err
	}
	if s.hub.wrap != nil {
		c = s.hub.wrap(c)
	}
	s.udp.Store(&c)
	if s.stopping() { // close may have looked before the store
		c.Close()
	}
	return nil
}

// keepUDP keeps the socket open and reads it. err is how the first try ended.
func (s *slot) keepUDP(err error) {
	tell := s.teller("UDP")
	for {
		tell(err)
		if err == nil {
			err = s.readUDP()
		}
		if !s.wait() {
			return
		}
		if !s.bound() {
			err = s.openUDP()
		}
	}
}

// teller returns a function that reports a change: from working to failing and
// back, or from one failure to another.
func (s *slot) teller(proto string) func(error) {
	last := "never tried"
	return func(err error) {
		now := ""
		if err != nil {
			now = err.Error()
		}
		if now != last && !s.stopping() {
			s.hub.listening(s, proto, err)
		}
		last = now
	}
}

// readUDP reads until the socket is closed or fails for good.
func (s *slot) readUDP() error {
	c := *s.udp.Load()
	buf := make([]byte, 2048) // more than MaxPacket, so that longer ones are told apart
	failures := 0
	for {
		n, from, err := c.ReadFrom(buf)
		if err == nil {
			failures = 0
			s.hub.receive(s, buf[:n], from, s.hub.clock())
			continue
		}
		if failures++; failures >= 16 || s.stopping() {
			s.udp.Store(nil)
			c.Close()
			return err
		}
	}
}
