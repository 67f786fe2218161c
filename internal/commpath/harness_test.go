package commpath

import (
	"crypto/ecdh"
	"crypto/sha256"
	"fmt"
	"io"
	"net/netip"
	"slices"
	"sync"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// heard is a heartbeat as a handler got it.
type heard struct {
	from    cluster.NodeID
	network string
	payload string
	at      cluster.Instant
}

// recorder is a handler that keeps everything.
type recorder struct {
	mu     sync.Mutex
	beats  []heard
	msgs   []heard
	events []Event
	ring   chan struct{} // rung at each change
}

func newRecorder() *recorder { return &recorder{ring: make(chan struct{}, 1)} }

func (r *recorder) note(f func()) {
	r.mu.Lock()
	f()
	r.mu.Unlock()
	select {
	case r.ring <- struct{}{}:
	default:
	}
}

func (r *recorder) HandleHeartbeat(from cluster.NodeID, network string, payload []byte, at cluster.Instant) {
	r.note(func() { r.beats = append(r.beats, heard{from, network, string(payload), at}) })
}

func (r *recorder) HandleMessage(from cluster.NodeID, payload []byte) {
	r.note(func() { r.msgs = append(r.msgs, heard{from: from, payload: string(payload)}) })
}

func (r *recorder) HandleEvent(e Event) { r.note(func() { r.events = append(r.events, e) }) }

// take returns the heartbeats so far and forgets them.
func (r *recorder) take() []heard {
	r.mu.Lock()
	defer r.mu.Unlock()
	b := r.beats
	r.beats = nil
	return b
}

// await waits until the condition holds of what was recorded.
func (r *recorder) await(t testing.TB, what string, cond func() bool) {
	t.Helper()
	deadline := time.NewTimer(10 * time.Second)
	defer deadline.Stop()
	for {
		r.mu.Lock()
		ok := cond()
		r.mu.Unlock()
		if ok {
			return
		}
		select {
		case <-r.ring:
		case <-deadline.C:
			r.mu.Lock()
			defer r.mu.Unlock()
			t.Fatalf("waited in vain for %s; %d heartbeats, %d messages, events %+v", what, len(r.beats), len(r.msgs), r.events)
		}
	}
}

func hasEvent[E Event](r *recorder, fits func(E) bool) bool {
	return slices.ContainsFunc(r.events, func(e Event) bool {
		x, ok := e.(E)
		return ok && fits(x)
	})
}

// wire is a socket in memory: what is written is kept for the test to deliver.
type wire struct {
	local netip.AddrPort
	sent  [][]byte
}

func (w *wire) ReadFrom([]byte) (int, netip.AddrPort, error) { return 0, netip.AddrPort{}, io.EOF }
func (w *wire) LocalAddr() netip.AddrPort                    { return w.local }
func (w *wire) Close() error                                 { return nil }
func (w *wire) WriteTo(b []byte, _ netip.AddrPort) error {
	w.sent = append(w.sent, slices.Clone(b))
	return nil
}

// handClock is turned by hand.
type handClock struct{ now atomic.Int64 }

func (c *handClock) read() cluster.Instant {
	d := time.Duration(c.now.Load())
	return cluster.Instant{Mono: d, Boot: d}
}

func (c *handClock) advance(d time.Duration) { c.now.Add(int64(d)) }

// station is a node without sockets, goroutines and time.
type station struct {
	id    cluster.NodeID
	hub   *Hub
	ep    *Endpoint
	rec   *recorder
	wires map[string]*wire
}

func staticKey(seed string) *ecdh.PrivateKey {
	sum := sha256.Sum256([]byte(seed))
	k, err := ecdh.X25519().NewPrivateKey(sum[:])
	if err != nil {
		panic(err)
	}
	return k
}

func publicKey(k *ecdh.PrivateKey) [32]byte { return [32]byte(k.PublicKey().Bytes()) }

func nodeKey(id cluster.NodeID) *ecdh.PrivateKey { return staticKey(fmt.Sprint("node ", id)) }

func stationAddr(id cluster.NodeID, network string) netip.AddrPort {
	return netip.AddrPortFrom(netip.AddrFrom4([4]byte{192, 0, 2, byte(id)}), uint16(7000+int(network[0])))
}

// newStation makes a node of the cluster "blue" with the networks, and nodes 1
// to 3 as its peers.
func newStation(t testing.TB, id cluster.NodeID, clock *handClock, networks ...string) *station {
	s := &station{id: id, rec: newRecorder(), wires: make(map[string]*wire)}
	s.hub = &Hub{clock: clock.read, slots: make(map[netip.AddrPort]*slot), stop: make(chan struct{})}
	s.hub.endpoints.Store(&map[[8]byte]*Endpoint{})
	s.ep = &Endpoint{
		hub: s.hub, clusterID: "blue", hash: clusterHash("blue"),
		cfg:     EndpointConfig{Self: id, Key: nodeKey(id), Handler: s.rec},
		session: newSession(time.Now()),
		known:   make(map[cluster.NodeID]*peer), tags: make(map[uint32]string),
		wake: make(chan struct{}, 1), stop: make(chan struct{}),
	}
	s.ep.peers.Store(&map[cluster.NodeID]*peer{})
	s.ep.links.Store(&map[cluster.NodeID]*link{})
	s.ep.silence.Store(int64(time.Second))
	if err := s.hub.register(s.ep); err != nil {
		t.Fatal(err)
	}
	var own []Path
	for _, n := range networks {
		a := stationAddr(id, n)
		w := &wire{local: a}
		s.wires[n] = w
		sl := &slot{hub: s.hub, addr: a, stop: make(chan struct{})}
		c := PacketConn(w)
		sl.udp.Store(&c)
		s.hub.slots[a] = sl
		own = append(own, Path{Network: n, Address: a})
	}
	if err := s.ep.SetPaths(own); err != nil {
		t.Fatal(err)
	}
	var peers []Peer
	for other := cluster.NodeID(1); other <= 3; other++ {
		if other == id {
			continue
		}
		p := Peer{ID: other, HeartbeatKey: publicKey(nodeKey(other))}
		for _, n := range networks {
			p.Paths = append(p.Paths, Path{Network: n, Address: stationAddr(other, n)})
		}
		peers = append(peers, p)
	}
	if err := s.ep.SetPeers(peers); err != nil {
		t.Fatal(err)
	}
	return s
}

// send makes a heartbeat and returns its packet.
func (s *station) send(t testing.TB, to cluster.NodeID, network, payload string) []byte {
	t.Helper()
	if err := s.ep.SendHeartbeat(to, network, []byte(payload)); err != nil {
		t.Fatal(err)
	}
	w := s.wires[network]
	packet := w.sent[len(w.sent)-1]
	w.sent = w.sent[:len(w.sent)-1]
	return packet
}

// get gives a copy of a packet to the station.
func (s *station) get(packet []byte, network string) {
	s.hub.receive(s.hub.slots[stationAddr(s.id, network)], slices.Clone(packet), netip.AddrPort{}, s.hub.clock())
}

// meet lets two stations prove themselves to each other.
func meet(t testing.TB, a, b *station, network string) {
	t.Helper()
	for range 2 {
		b.get(a.send(t, b.id, network, ""), network)
		a.get(b.send(t, a.id, network, ""), network)
	}
	if len(a.rec.take()) == 0 || len(b.rec.take()) == 0 {
		t.Fatal("the two don't hear each other")
	}
}

func stationID(i int) cluster.NodeID { return cluster.NodeID(i + 1) }
