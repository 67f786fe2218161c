package commpath

import (
	"errors"
	"fmt"
	"net"
	"net/netip"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// freePort finds a number that is free for UDP and TCP on all addresses.
func freePort(t testing.TB, addrs ...string) uint16 {
	t.Helper()
	for range 50 {
		l, err := net.Listen("tcp", addrs[0]+":0")
		if err != nil {
			t.Fatal(err)
		}
		port := l.Addr().(*net.TCPAddr).Port
		l.Close()
		free := true
		for _, a := range addrs {
			where := fmt.Sprintf("%s:%d", a, port)
			u, uerr := net.ListenPacket("udp", where)
			c, cerr := net.Listen("tcp", where)
			if uerr == nil {
				u.Close()
			}
			if cerr == nil {
				c.Close()
			}
			free = free && uerr == nil && cerr == nil
		}
		if free {
			return uint16(port)
		}
	}
	t.Fatal("no free port")
	return 0
}

func addrPort(a string, port uint16) netip.AddrPort {
	return netip.AddrPortFrom(netip.MustParseAddr(a), port)
}

// waitFor polls until cond holds.
func waitFor(t testing.TB, what string, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(10 * time.Second); !cond(); <-tick.C {
		if time.Now().After(end) {
			t.Fatalf("waited in vain for %s", what)
		}
	}
}

func listen(t testing.TB, cfg ListenConfig) *Hub {
	t.Helper()
	h, err := Listen(cfg)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { h.Close() })
	return h
}

func endpoint(t testing.TB, h *Hub, cfg EndpointConfig) *Endpoint {
	t.Helper()
	ep, err := h.Endpoint(cfg)
	if err != nil {
		t.Fatal(err)
	}
	return ep
}

// loopbackPair is two nodes of the cluster "blue" at 127.0.0.1 and 127.0.0.2.
func loopbackPair(t testing.TB, x, y Handler) (one, two *Endpoint) {
	port := freePort(t, "127.0.0.1", "127.0.0.2")
	a := []Path{{Network: "lan", Address: addrPort("127.0.0.1", port)}}
	b := []Path{{Network: "lan", Address: addrPort("127.0.0.2", port)}}
	one = endpoint(t, listen(t, ListenConfig{}), EndpointConfig{ClusterID: "blue", Self: 1, Key: nodeKey(1), Paths: a, Handler: x})
	two = endpoint(t, listen(t, ListenConfig{}), EndpointConfig{ClusterID: "blue", Self: 2, Key: nodeKey(2), Paths: b, Handler: y})
	if err := errors.Join(
		one.SetPeers([]Peer{{ID: 2, HeartbeatKey: publicKey(nodeKey(2)), Paths: b}}),
		two.SetPeers([]Peer{{ID: 1, HeartbeatKey: publicKey(nodeKey(1)), Paths: a}}),
	); err != nil {
		t.Fatal(err)
	}
	return one, two
}

// beat sends heartbeats from all endpoints to all peers until the test ends.
func beat(t testing.TB, every time.Duration, eps ...*Endpoint) {
	stop := make(chan struct{})
	var done sync.WaitGroup
	done.Go(func() {
		tick := time.NewTicker(every)
		defer tick.Stop()
		for {
			select {
			case <-stop:
				return
			case <-tick.C:
			}
			for _, ep := range eps {
				for id := range *ep.peers.Load() {
					ep.SendHeartbeats(id, []byte("beat")) // what is cut fails
				}
			}
		}
	})
	t.Cleanup(func() { close(stop); done.Wait() })
}

// cutter is a socket that loses what a test wants lost.
type cutter struct {
	PacketConn
	lose func(local, to netip.AddrPort) bool
}

func (c *cutter) WriteTo(b []byte, to netip.AddrPort) error {
	if c.lose(c.LocalAddr(), to) {
		return nil
	}
	return c.PacketConn.WriteTo(b, to)
}

// cuts says which packets are lost; its zero value loses none.
type cuts struct {
	mu  sync.Mutex
	cut map[netip.AddrPort]bool // by the sender's address
}

func (c *cuts) set(a netip.AddrPort, cut bool) {
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.cut == nil {
		c.cut = make(map[netip.AddrPort]bool)
	}
	c.cut[a] = cut
}

func (c *cuts) wrap(p PacketConn) PacketConn {
	return &cutter{p, func(local, _ netip.AddrPort) bool {
		c.mu.Lock()
		defer c.mu.Unlock()
		return c.cut[local]
	}}
}

func pathState(ep *Endpoint, peer cluster.NodeID, network string) State {
	for _, s := range ep.Stats() {
		if s.Peer == peer && s.Network == network {
			return s.State
		}
	}
	return StateUnknown
}

// TestTwoNetworks runs over real sockets, IPv4 and IPv6: one network is cut and
// comes back, the other isn't touched, and a cut in one direction is seen as
// such.
func TestTwoNetworks(t *testing.T) {
	v6 := "::1"
	if c, err := net.ListenPacket("udp6", "[::1]:0"); err != nil {
		t.Logf("no IPv6 here (%v): the second network is IPv4 as well", err)
		v6 = ""
	} else {
		c.Close()
	}
	port := freePort(t, "127.0.0.1", "127.0.0.2")
	a := []Path{{Network: "lan", Address: addrPort("127.0.0.1", port)}, {Network: "san", Address: addrPort("127.0.0.3", port)}}
	b := []Path{{Network: "lan", Address: addrPort("127.0.0.2", port)}, {Network: "san", Address: addrPort("127.0.0.4", port)}}
	if v6 != "" {
		// One address, two ports.
		a[1].Address, b[1].Address = addrPort(v6, freePort(t, "[::1]")), addrPort(v6, freePort(t, "[::1]"))
	}
	var faults cuts
	const silence = 200 * time.Millisecond
	x, y := newRecorder(), newRecorder()
	h1, h2 := listen(t, ListenConfig{WrapPacketConn: faults.wrap}), listen(t, ListenConfig{WrapPacketConn: faults.wrap})
	one := endpoint(t, h1, EndpointConfig{ClusterID: "blue", Self: 1, Key: nodeKey(1), Paths: a, Handler: x, Silence: silence})
	two := endpoint(t, h2, EndpointConfig{ClusterID: "blue", Self: 2, Key: nodeKey(2), Paths: b, Handler: y, Silence: silence})
	if err := errors.Join(
		one.SetPeers([]Peer{{ID: 2, HeartbeatKey: publicKey(nodeKey(2)), Paths: b}}),
		two.SetPeers([]Peer{{ID: 1, HeartbeatKey: publicKey(nodeKey(1)), Paths: a}}),
	); err != nil {
		t.Fatal(err)
	}
	beat(t, silence/20, one, two)
	up := func(ep *Endpoint, peer cluster.NodeID, network string) func() bool {
		return func() bool { return pathState(ep, peer, network) == StateUp }
	}
	waitFor(t, "both paths up at 1", func() bool { return up(one, 2, "lan")() && up(one, 2, "san")() })
	waitFor(t, "both paths up at 2", func() bool { return up(two, 1, "lan")() && up(two, 1, "san")() })

	faults.set(b[0].Address, true) // from 2 to 1 only
	x.await(t, "the cut path to be down at 1", func() bool {
		return hasEvent(x, func(e PathChanged) bool { return e.Network == "lan" && e.To == StateDown && e.Why == WhySilent })
	})
	y.await(t, "the cut path to be unheard at 2", func() bool {
		return hasEvent(y, func(e PathChanged) bool { return e.Network == "lan" && e.To == StateDegraded && e.Why == WhyUnheard })
	})
	if !up(one, 2, "san")() || !up(two, 1, "san")() {
		t.Error("the other network was touched")
	}
	faults.set(b[0].Address, false)
	waitFor(t, "the path to be up again", func() bool { return up(one, 2, "lan")() && up(two, 1, "lan")() })
	for _, s := range one.Stats() {
		if s.RTT.Samples == 0 || s.RTT.P50 <= 0 || s.RTT.P50 > time.Second || s.Received == 0 || s.Sent == 0 {
			t.Errorf("%+v", s)
		}
		if s.Network == "lan" && s.Lost == 0 {
			t.Errorf("the cut left no loss: %+v", s)
		}
	}
}

// TestAddressComesLate: an address that can't be bound is tried again.
func TestAddressComesLate(t *testing.T) {
	port := freePort(t, "127.0.0.1")
	a := addrPort("127.0.0.1", port)
	busy, err := net.ListenUDP("udp4", net.UDPAddrFromAddrPort(a))
	if err != nil {
		t.Fatal(err)
	}
	x := newRecorder()
	ep := endpoint(t, listen(t, ListenConfig{}), EndpointConfig{
		ClusterID: "blue", Self: 1, Key: nodeKey(1), Handler: x, Silence: 100 * time.Millisecond,
		Paths: []Path{{Network: "lan", Address: a}},
	})
	if err := ep.SetPeers([]Peer{{ID: 2, HeartbeatKey: publicKey(nodeKey(2)), Paths: []Path{{Network: "lan", Address: addrPort("127.0.0.2", port)}}}}); err != nil {
		t.Fatal(err)
	}
	if err := ep.SendHeartbeat(2, "lan", nil); !errors.Is(err, errNoSocket) {
		t.Errorf("sent without a socket: %v", err)
	}
	x.await(t, "the report", func() bool {
		return hasEvent(x, func(e AddressChanged) bool { return e.Address == a && e.Err != nil }) &&
			hasEvent(x, func(e PathChanged) bool { return e.To == StateDown && e.Why == WhyNoLocal })
	})
	busy.Close()
	x.await(t, "the address", func() bool {
		return hasEvent(x, func(e AddressChanged) bool { return e.Address == a && e.Proto == "UDP" && e.Err == nil })
	})
	if err := ep.SendHeartbeat(2, "lan", nil); err != nil && !errors.Is(err, syscall.ECONNREFUSED) {
		t.Error(err)
	}
}

// TestManyClusters: one hub serves two clusters at one address, and a node may
// have the same number in both.
func TestManyClusters(t *testing.T) {
	port := freePort(t, "127.0.0.1", "127.0.0.2")
	a, b := addrPort("127.0.0.1", port), addrPort("127.0.0.2", port)
	witness, other := listen(t, ListenConfig{Addresses: []netip.AddrPort{a}}), listen(t, ListenConfig{})
	var recs []*recorder
	var eps []*Endpoint
	for _, id := range []string{"blue", "red"} {
		for _, n := range []struct {
			hub  *Hub
			self cluster.NodeID
			own  netip.AddrPort
			peer netip.AddrPort
		}{{witness, 1, a, b}, {other, 2, b, a}} {
			r := newRecorder()
			ep := endpoint(t, n.hub, EndpointConfig{
				ClusterID: id, Self: n.self, Key: staticKey(fmt.Sprint(id, n.self)), Handler: r,
				Paths: []Path{{Network: "lan", Address: n.own}},
			})
			if err := ep.SetPeers([]Peer{{
				ID: 3 - n.self, HeartbeatKey: publicKey(staticKey(fmt.Sprint(id, 3-n.self))),
				Paths: []Path{{Network: "lan", Address: n.peer}},
			}}); err != nil {
				t.Fatal(err)
			}
			recs, eps = append(recs, r), append(eps, ep)
		}
	}
	if _, err := witness.Endpoint(EndpointConfig{ClusterID: "blue", Self: 9, Key: nodeKey(9), Handler: newRecorder()}); err == nil {
		t.Error("one cluster twice at one hub")
	}
	beat(t, 10*time.Millisecond, eps...)
	for i, r := range recs {
		r.await(t, fmt.Sprintf("a heartbeat at endpoint %d", i), func() bool { return len(r.beats) > 0 })
	}
	if err := eps[0].Close(); err != nil {
		t.Fatal(err)
	}
	seen := len(recs[0].take())
	waitFor(t, "a packet for the closed cluster to be dropped", func() bool { return witness.Drops()["cluster"] > 0 })
	if n := len(recs[0].take()); n > 0 || seen == 0 {
		t.Errorf("%d heartbeats after Close", n)
	}
	recs[2].take()
	recs[2].await(t, "the other cluster to go on", func() bool { return len(recs[2].beats) > 0 })
}
