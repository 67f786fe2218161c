package commpath

import (
	"errors"
	"fmt"
	"maps"
	"net/netip"
	"slices"
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

	wake chan struct{}
	stop chan struct{}
	done sync.WaitGroup
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
		protocols: [2]int{protocolMin, protocolMax},
		conns:     make(map[*conn]cluster.NodeID), refused: make(map[string]bool),
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

// SetPaths sets this node's own comm paths and binds their addresses. Nothing
// changes when it fails.
func (ep *Endpoint) SetPaths(paths []Path) error {
	paths, err := cleanPaths(paths)
	if err != nil {
		return err
	}
	old, err := ep.replaceOwn(paths)
	// A socket is let go only when nothing uses it any more. This waits for its
	// goroutine, which may be waiting for us: not under the lock.
	for _, o := range old {
		ep.hub.release(o.slot)
	}
	return err
}

func (ep *Endpoint) replaceOwn(paths []Path) (old []ownPath, err error) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.isClosed() {
		return nil, ErrClosed
	}
	if err := ep.name(paths); err != nil {
		return nil, err
	}
	old, ep.own = ep.own, nil
	for _, p := range paths {
		ep.own = append(ep.own, ownPath{Path: p, slot: ep.hub.acquire(p.Address)})
	}
	return old, ep.pairUp()
}

// SetPeers sets the other nodes of the cluster. What is wrong with a peer or
// one of its paths leaves out that one, and is returned when the rest was done.
func (ep *Endpoint) SetPeers(peers []Peer) error {
	gone, err := ep.replacePeers(peers)
	stopLinks(gone) // waits for a handler that may run: not under the lock
	ep.dropStrangers()
	return err
}

func stopLinks(links map[cluster.NodeID]*link) {
	for _, l := range links {
		l.cancel()
	}
	for _, l := range links {
		l.stop()
	}
}

func (ep *Endpoint) replacePeers(peers []Peer) (gone map[cluster.NodeID]*link, err error) {
	ep.mu.Lock()
	defer ep.mu.Unlock()
	if ep.isClosed() {
		return nil, ErrClosed
	}
	var faults []error
	next := make(map[cluster.NodeID]*peer, len(peers))
	listed := make([]Peer, 0, len(peers))
	for _, l := range peers {
		if next[l.ID] != nil {
			faults = append(faults, fmt.Errorf("node %v is listed twice", l.ID))
			continue
		}
		p, err := ep.admit(&l)
		if err != nil {
			faults = append(faults, fmt.Errorf("comm paths to node %v: %w", l.ID, err))
			continue
		}
		next[l.ID] = p
		listed = append(listed, l)
	}
	maps.Copy(ep.known, next)
	ep.listed = listed
	faults = append(faults, ep.pairUp())
	ep.peers.Store(&next)
	ep.stir()
	return ep.relink(next), errors.Join(faults...)
}

// relink makes links for new peers and returns those of peers that are gone.
func (ep *Endpoint) relink(peers map[cluster.NodeID]*peer) (gone map[cluster.NodeID]*link) {
	gone = maps.Clone(*ep.links.Load())
	next := make(map[cluster.NodeID]*link, len(peers))
	for id, p := range peers {
		l := gone[id]
		delete(gone, id)
		if l == nil && ep.cfg.TLS != nil {
			l = newLink(ep, p)
		}
		if l != nil {
			next[id] = l
		}
	}
	ep.links.Store(&next)
	return gone
}

// admit checks a peer of the configuration and finds or makes what we know of it.
func (ep *Endpoint) admit(l *Peer) (*peer, error) {
	if l.ID == 0 || l.ID == ep.cfg.Self {
		return nil, errors.New("it can't be a peer of this node")
	}
	paths, err := cleanPaths(l.Paths)
	if err != nil {
		return nil, err
	}
	if err := ep.name(paths); err != nil {
		return nil, err
	}
	l.Paths = paths
	p := ep.known[l.ID]
	if p == nil {
		p = newPeer(ep.cfg.Self, l.ID, ep.clusterID)
	}
	return p, p.setKey(ep.cfg.Key, l.HeartbeatKey, ep.session)
}

// name checks that networks can be told apart by their tags, for good.
func (ep *Endpoint) name(paths []Path) error {
	for _, p := range paths {
		tag := networkTag(p.Network)
		if other, taken := ep.tags[tag]; taken && other != p.Network {
			return fmt.Errorf("networks %q and %q can't be told apart in packets: rename one", other, p.Network)
		}
		ep.tags[tag] = p.Network
	}
	return nil
}

// pairUp joins own paths and those of each peer by network.
func (ep *Endpoint) pairUp() error {
	var faults []error
	now := ep.hub.clock().Mono
	for _, l := range ep.listed {
		var shared []sharedPath
		for _, theirs := range l.Paths {
			i := slices.IndexFunc(ep.own, func(o ownPath) bool { return o.Network == theirs.Network })
			if i < 0 {
				continue
			}
			ours := ep.own[i]
			if ours.Address.Addr().Is4() != theirs.Address.Addr().Is4() {
				faults = append(faults, fmt.Errorf("network %q: our address %v and node %v's %v are of different families",
					ours.Network, ours.Address.Addr(), l.ID, theirs.Address.Addr()))
				continue
			}
			shared = append(shared, sharedPath{
				network: ours.Network, slot: ours.slot, remote: theirs.Address, priority: max(ours.Priority, theirs.Priority),
			})
		}
		ep.known[l.ID].configure(shared, now)
	}
	for id, p := range ep.known {
		if !slices.ContainsFunc(ep.listed, func(l Peer) bool { return l.ID == id }) {
			p.configure(nil, now)
		}
	}
	return errors.Join(faults...)
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

func cleanPaths(paths []Path) ([]Path, error) {
	clean := slices.Clone(paths)
	for i := range clean {
		p := &clean[i]
		if p.Network == "" || len(p.Network) > 64 {
			return nil, fmt.Errorf("network name %q: want 1 to 64 bytes", p.Network)
		}
		a, err := cleanAddress(p.Address)
		if err != nil {
			return nil, fmt.Errorf("network %s: %w", p.Network, err)
		}
		p.Address = a
		for _, q := range clean[:i] {
			if q.Network == p.Network {
				return nil, fmt.Errorf("network %s is listed twice", p.Network)
			}
			if q.Address == p.Address {
				return nil, fmt.Errorf("networks %s and %s have the same address %v", q.Network, p.Network, a)
			}
		}
	}
	return clean, nil
}
