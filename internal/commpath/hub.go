package commpath

import (
	"errors"
	"fmt"
	"log/slog"
	"maps"
	"net"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

var (
	// ErrClosed is returned by what was closed.
	ErrClosed = errors.New("comm paths are closed")
	// ErrUnknownPeer is returned for a node that isn't among the peers.
	ErrUnknownPeer = errors.New("not a peer")
	// ErrTooLarge is returned for a payload above the limit.
	ErrTooLarge = errors.New("payload is too large")

	errPathGone = errors.New("no such comm path to the node")
	errNoSocket = errors.New("the local address isn't bound")
)

// Hub owns the sockets. Several endpoints, one for each cluster, share them: a
// witness serves many clusters at one port.
type Hub struct {
	log   *slog.Logger
	clock func() cluster.Instant
	wrap  func(PacketConn) PacketConn
	drops drops

	// endpoints is replaced as a whole, so that readers need no lock.
	endpoints atomic.Pointer[map[[8]byte]*Endpoint]

	// wrapConn is put around TCP connections by tests.
	wrapConn func(net.Conn) net.Conn
	// turnedAway counts TCP connections refused because there were too many.
	turnedAway atomic.Uint64

	mu      sync.Mutex
	slots   map[netip.AddrPort]*slot
	shaking map[net.Conn]netip.Addr // handshakes under way
	closed  bool

	stop chan struct{}
	done sync.WaitGroup
}

// Listen makes a hub and binds the addresses. One that can't be bound is tried
// again until it can.
func Listen(cfg ListenConfig) (*Hub, error) {
	h := &Hub{
		log: cfg.Log, clock: cfg.Clock, wrap: cfg.WrapPacketConn, wrapConn: cfg.wrapConn,
		slots: make(map[netip.AddrPort]*slot), shaking: make(map[net.Conn]netip.Addr),
		stop: make(chan struct{}),
	}
	if h.log == nil {
		h.log = slog.New(slog.DiscardHandler)
	}
	if h.clock == nil {
		start := time.Now()
		h.clock = func() cluster.Instant {
			d := time.Since(start)
			return cluster.Instant{Mono: d, Boot: d}
		}
	}
	h.endpoints.Store(&map[[8]byte]*Endpoint{})
	for _, a := range cfg.Addresses {
		a, err := cleanAddress(a)
		if err != nil {
			h.Close()
			return nil, err
		}
		h.acquire(a)
	}
	h.done.Go(h.reportDrops)
	return h, nil
}

// Close closes the endpoints and the sockets. When it returns, the handlers
// are not called any more. It must not be called from a handler.
func (h *Hub) Close() error {
	h.mu.Lock()
	if h.closed {
		h.mu.Unlock()
		return nil
	}
	h.closed = true
	for c := range h.shaking {
		c.Close()
	}
	h.mu.Unlock()
	for _, ep := range *h.endpoints.Load() {
		ep.Close()
	}
	close(h.stop)
	h.mu.Lock()
	slots := maps.Clone(h.slots)
	h.mu.Unlock()
	for _, s := range slots {
		s.close()
	}
	h.done.Wait()
	return nil
}

// Drops counts the packets that reached no endpoint, and as "handshake" the TCP
// connections turned away because there were too many.
func (h *Hub) Drops() Drops {
	d := h.drops.read()
	if n := h.turnedAway.Load(); n > 0 {
		d["handshake"] = n
	}
	return d
}

func (h *Hub) register(ep *Endpoint) error {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.closed {
		return ErrClosed
	}
	old := *h.endpoints.Load()
	if other, taken := old[ep.hash]; taken {
		return fmt.Errorf("cluster %s has an endpoint here already: %s", ep.clusterID, other.clusterID)
	}
	next := maps.Clone(old)
	next[ep.hash] = ep
	h.endpoints.Store(&next)
	return nil
}

func (h *Hub) unregister(ep *Endpoint) {
	h.mu.Lock()
	defer h.mu.Unlock()
	next := maps.Clone(*h.endpoints.Load())
	delete(next, ep.hash)
	h.endpoints.Store(&next)
}

// acquire returns the slot of an address, bound if that is possible now. Each
// call needs one release.
func (h *Hub) acquire(a netip.AddrPort) *slot {
	h.mu.Lock()
	defer h.mu.Unlock()
	s := h.slots[a]
	if s == nil {
		s = newSlot(h, a)
		h.slots[a] = s
	}
	s.refs++
	return s
}

func (h *Hub) release(s *slot) {
	h.mu.Lock()
	s.refs--
	last := s.refs == 0
	if last {
		delete(h.slots, s.addr)
	}
	h.mu.Unlock()
	if last {
		s.close()
	}
}

// receive is given every UDP packet. It runs on the socket's goroutine.
func (h *Hub) receive(s *slot, packet []byte, from netip.AddrPort, now cluster.Instant) {
	var hd header
	if why, ok := hd.parse(packet); !ok {
		h.drops.add(why, from)
		return
	}
	ep := (*h.endpoints.Load())[hd.cluster]
	if ep == nil {
		h.drops.add(dropCluster, from)
		return
	}
	ep.receive(s, &hd, packet, from, now)
}

// listening tells the endpoints that use an address whether it is bound.
func (h *Hub) listening(s *slot, proto string, err error) {
	for _, ep := range *h.endpoints.Load() {
		ep.addressChanged(s, proto, err)
	}
}

func (h *Hub) reportDrops() {
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case <-h.stop:
			return
		case <-tick.C:
		}
		now := h.clock().Mono
		h.drops.report(h.log, now)
		for _, ep := range *h.endpoints.Load() {
			ep.drops.report(h.log, now, slog.String("cluster", ep.clusterID))
		}
	}
}

// cleanAddress is the one spelling of an address that can be bound.
func cleanAddress(a netip.AddrPort) (netip.AddrPort, error) {
	a = netip.AddrPortFrom(a.Addr().Unmap(), a.Port())
	switch {
	case !a.IsValid() || a.Port() == 0:
		return a, fmt.Errorf("comm path address %v: want ADDRESS:PORT", a)
	case a.Addr().IsUnspecified() || a.Addr().IsMulticast():
		return a, fmt.Errorf("comm path address %v: want the address of one network, so that the networks stay apart", a)
	}
	return a, nil
}
