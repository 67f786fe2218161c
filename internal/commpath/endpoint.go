package commpath

import (
	"errors"
	"fmt"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Endpoint is one cluster's comm paths at a [Hub].
type Endpoint struct {
	hub       *Hub
	clusterID string
	hash      [8]byte
	cfg       EndpointConfig
	drops     drops

	// life is held for reading while a handler runs, so that Close can wait.
	life   sync.RWMutex
	closed bool

	// peers are those of the configuration; replaced as a whole.
	peers   atomic.Pointer[map[cluster.NodeID]*peer]
	links   atomic.Pointer[map[cluster.NodeID]*link]
	silence atomic.Int64

	onCall atomic.Pointer[CallHandler]
	onJoin atomic.Pointer[JoinHandler]
	// one element for each call, and each joiner, being served
	calls, joining chan struct{}
	joins          limiter
	// protocols are the lowest and the highest spoken.
	protocols [2]int

	connMu    sync.Mutex
	conns     map[*conn]cluster.NodeID // nil once closed; 0: not known whose
	connsDone sync.WaitGroup
	// refused are the builds whose protocol was refused, to say each once.
	refused map[string]bool

	// mu guards the configuration.
	mu      sync.Mutex
	session session
	known   map[cluster.NodeID]*peer // all that ever were
	tags    map[uint32]string        // networks by tag, all that ever were
	own     []ownPath
	listed  []Peer

	beaten atomic.Int64 // when the watcher was last woken for a heartbeat (Mono)
	wake   chan struct{}
	stop   chan struct{}
	done   sync.WaitGroup
}

// ownPath is one of this node's paths with its socket.
type ownPath struct {
	Path
	slot *slot
}

// Endpoint begins to serve a cluster. Its session, by which peers tell it from
// earlier lives of this node, begins here.
func (h *Hub) Endpoint(cfg EndpointConfig) (*Endpoint, error) {
	if cfg.ClusterID == "" || cfg.Self == 0 || cfg.Key == nil || cfg.Handler == nil {
		return nil, errors.New("a comm path endpoint needs cluster id, node id, key and handler")
	}
	ep := &Endpoint{
		hub: h, clusterID: cfg.ClusterID, hash: clusterHash(cfg.ClusterID), cfg: cfg,
		session: newSession(time.Now()),
		known:   make(map[cluster.NodeID]*peer), tags: make(map[uint32]string),
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
		calls: make(chan struct{}, mostCalls), joining: make(chan struct{}, mostJoins),
		protocols: cfg.protocols,
		conns:     make(map[*conn]cluster.NodeID), refused: make(map[string]bool),
	}
	if ep.protocols == [2]int{} {
		ep.protocols = [2]int{protocolMin, protocolMax}
	}
	ep.peers.Store(&map[cluster.NodeID]*peer{})
	ep.links.Store(&map[cluster.NodeID]*link{})
	if cfg.Silence <= 0 {
		cfg.Silence = cluster.DetectionBalanced
	}
	ep.silence.Store(int64(cfg.Silence))
	if err := h.register(ep); err != nil {
		return nil, err
	}
	if err := ep.SetPaths(cfg.Paths); err != nil {
		h.unregister(ep)
		return nil, err
	}
	ep.done.Go(ep.watch)
	return ep, nil
}

// Close ends the endpoint. When it returns, the handlers are not called any
// more. It must not be called from a handler, and waits for those that run.
func (ep *Endpoint) Close() error {
	ep.life.Lock()
	was := ep.closed
	ep.closed = true
	ep.life.Unlock()
	if was {
		return nil
	}
	close(ep.stop)
	ep.done.Wait()
	ep.hub.unregister(ep)
	ep.mu.Lock()
	own, links := ep.own, *ep.links.Load()
	ep.own = nil
	ep.peers.Store(&map[cluster.NodeID]*peer{})
	ep.links.Store(&map[cluster.NodeID]*link{})
	ep.mu.Unlock()
	stopLinks(links)
	ep.closeConns()
	for _, o := range own {
		ep.hub.release(o.slot)
	}
	return nil
}

// SetTiming says how long a path may be silent before it is down.
func (ep *Endpoint) SetTiming(silence time.Duration) {
	ep.silence.Store(int64(silence))
	ep.stir()
}

// NewSession begins a new session, as a restart would: what was sent before,
// and is still on its way or was recorded, is not delivered any more. A node
// does this when it was frozen, and must when its memory may have gone back
// (the VM was restored from a snapshot): packet numbers are nonces, and none
// may be used twice with one key.
func (ep *Endpoint) NewSession() error {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	s := newSession(time.Now())
	for _, p := range ep.known {
		if err := p.renew(s); err != nil {
			return err
		}
	}
	ep.session = s
	return nil
}

// SendHeartbeat sends one packet of at most [MaxHeartbeat] bytes on one path. It
// never waits: not for room in the socket, not for anything else. Send to all
// peers and paths at all times, also to silent ones: the answer to their first
// packet is what proves them alive.
func (ep *Endpoint) SendHeartbeat(to cluster.NodeID, network string, payload []byte) error {
	if len(payload) > MaxHeartbeat {
		return fmt.Errorf("heartbeat of %d bytes to node %v: %w", len(payload), to, ErrTooLarge)
	}
	p := (*ep.peers.Load())[to]
	if p == nil {
		return fmt.Errorf("heartbeat to node %v: %w", to, ErrUnknownPeer)
	}
	now := ep.hub.clock().Mono
	ep.beat(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	pa := p.find(network)
	if pa == nil {
		return fmt.Errorf("heartbeat to node %v on %s: %w", to, network, errPathGone)
	}
	return p.send(pa, payload, now)
}

// SendHeartbeats sends the payload on every path that joins us with a node. It
// fails only if no path took it.
func (ep *Endpoint) SendHeartbeats(to cluster.NodeID, payload []byte) error {
	if len(payload) > MaxHeartbeat {
		return fmt.Errorf("heartbeat of %d bytes to node %v: %w", len(payload), to, ErrTooLarge)
	}
	p := (*ep.peers.Load())[to]
	if p == nil {
		return fmt.Errorf("heartbeat to node %v: %w", to, ErrUnknownPeer)
	}
	now := ep.hub.clock().Mono
	ep.beat(now)
	p.mu.Lock()
	defer p.mu.Unlock()
	failed := errPathGone
	for _, pa := range p.paths {
		if pa.slot == nil {
			continue
		}
		if err := p.send(pa, payload, now); err == nil {
			failed = nil
		} else if failed == errPathGone {
			failed = err
		}
	}
	if failed != nil {
		return fmt.Errorf("heartbeat to node %v: %w", to, failed)
	}
	return nil
}

// receive takes a packet of this cluster.
func (ep *Endpoint) receive(s *slot, h *header, packet []byte, from netip.AddrPort, now cluster.Instant) {
	if h.receiver != ep.cfg.Self {
		ep.drops.add(dropReceiver, from)
		return
	}
	p := (*ep.peers.Load())[h.sender]
	if p == nil {
		ep.drops.add(dropSender, from)
		return
	}
	payload, a := p.receive(s, h, packet, now.Mono, time.Duration(ep.silence.Load()))
	if a.drop != 0 {
		ep.drops.add(a.drop, from)
		if a.twin {
			ep.tell(TwinSeen{Peer: p.id, From: from})
		}
		return
	}
	if a.stir {
		ep.stir()
	}
	ep.life.RLock()
	defer ep.life.RUnlock()
	if ep.closed {
		return
	}
	if a.adopted {
		ep.cfg.Handler.HandleEvent(SessionBegan{Peer: p.id})
	}
	ep.cfg.Handler.HandleHeartbeat(p.id, a.network, payload, now)
}

// tell gives an event to the handler.
func (ep *Endpoint) tell(e Event) {
	ep.life.RLock()
	defer ep.life.RUnlock()
	if !ep.closed {
		ep.cfg.Handler.HandleEvent(e)
	}
}

func (ep *Endpoint) isClosed() bool {
	ep.life.RLock()
	defer ep.life.RUnlock()
	return ep.closed
}

// stir makes the watcher look at the paths now.
func (ep *Endpoint) stir() {
	select {
	case ep.wake <- struct{}{}:
	default:
	}
}
