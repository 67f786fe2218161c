package commpath

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"strings"
	"sync"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
)

// duo is two nodes of one cluster on loopback, with certificates.
type duo struct {
	ca    *pki.Authority
	hubs  [2]*Hub
	eps   [2]*Endpoint
	recs  [2]*recorder
	paths [2][]Path
	udp   cuts
	tcp   stalls
}

const duoSilence = 300 * time.Millisecond

func credentials(t testing.TB, ca *pki.Authority, id cluster.NodeID) *pki.Credentials {
	t.Helper()
	leaf, err := ca.Issue(pki.Identity{Cluster: ca.Cluster, Node: id, Name: "node-" + id.String()}, time.Now())
	if err != nil {
		t.Fatal(err)
	}
	c, err := pki.NewCredentials(pki.CredentialsConfig{CA: ca.Cert, Leaf: leaf})
	if err != nil {
		t.Fatal(err)
	}
	return c
}

func authority(t testing.TB) *pki.Authority {
	t.Helper()
	ca, err := pki.NewAuthority("blue", time.Now())
	if err != nil {
		t.Fatal(err)
	}
	return ca
}

// newDuo makes the nodes 1 and 2 with the networks, the first with the best
// priority. change may alter the second node's configuration.
func newDuo(t testing.TB, change func(*EndpointConfig), networks ...string) *duo {
	t.Helper()
	d := &duo{ca: authority(t)}
	var all []string
	for i := range 2 * len(networks) {
		all = append(all, fmt.Sprintf("127.0.0.%d", i+1))
	}
	port := freePort(t, all...)
	for i := range d.eps {
		for n, name := range networks {
			d.paths[i] = append(d.paths[i], Path{Network: name, Priority: n, Address: addrPort(all[2*n+i], port)})
		}
		d.recs[i] = newRecorder()
		d.hubs[i] = listen(t, ListenConfig{WrapPacketConn: d.udp.wrap, wrapConn: d.tcp.wrap})
		id := cluster.NodeID(i + 1)
		cfg := EndpointConfig{
			ClusterID: "blue", Self: id, Key: nodeKey(id), TLS: credentials(t, d.ca, id), Build: "1.0",
			Paths: d.paths[i], Silence: duoSilence, Handler: d.recs[i],
		}
		if i == 1 && change != nil {
			change(&cfg)
		}
		d.eps[i] = endpoint(t, d.hubs[i], cfg)
	}
	return d
}

// introduce makes them peers and waits until the paths are up.
func (d *duo) introduce(t testing.TB) {
	t.Helper()
	for i, ep := range d.eps {
		other := cluster.NodeID(2 - i)
		if err := ep.SetPeers([]Peer{{ID: other, HeartbeatKey: publicKey(nodeKey(other)), Paths: d.paths[1-i]}}); err != nil {
			t.Fatal(err)
		}
	}
	beat(t, duoSilence/20, d.eps[0], d.eps[1])
	for _, p := range d.paths[0] {
		waitFor(t, "paths to be up", func() bool {
			return pathState(d.eps[0], 2, p.Network) == StateUp && pathState(d.eps[1], 1, p.Network) == StateUp
		})
	}
}

func (d *duo) connected(i int) (string, bool) {
	all := d.eps[i].Connections()
	if len(all) != 1 {
		return "", false
	}
	return all[0].Network, all[0].Connected
}

func (r *recorder) got(payload string) func() bool {
	return func() bool { return slices.ContainsFunc(r.msgs, func(h heard) bool { return h.payload == payload }) }
}

// stalls makes TCP connections of a local address stand still: what is written
// goes nowhere and nothing is said of it, as when a cable is pulled.
type stalls struct {
	mu sync.Mutex
	at map[netip.Addr]bool
}

func (s *stalls) set(a netip.Addr, stalled bool) {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.at == nil {
		s.at = make(map[netip.Addr]bool)
	}
	s.at[a] = stalled
}

func (s *stalls) wrap(c net.Conn) net.Conn { return &stallConn{c, s} }

type stallConn struct {
	net.Conn
	s *stalls
}

func (c *stallConn) Write(b []byte) (int, error) {
	a := c.LocalAddr().(*net.TCPAddr).AddrPort().Addr().Unmap()
	c.s.mu.Lock()
	stalled := c.s.at[a]
	c.s.mu.Unlock()
	if stalled {
		return len(b), nil
	}
	return c.Conn.Write(b)
}

func TestMessages(t *testing.T) {
	d := newDuo(t, nil, "lan")
	d.introduce(t)
	const count = 500
	for i := range count {
		if err := d.eps[0].Send(2, fmt.Appendf(nil, "message %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	large := make([]byte, MaxMessage)
	for i := range large {
		large[i] = byte(i * i >> 8)
	}
	if err := d.eps[0].Send(2, large); err != nil {
		t.Fatal(err)
	}
	if err := d.eps[1].Send(1, []byte("back")); err != nil {
		t.Fatal(err)
	}
	d.recs[1].await(t, "all messages", func() bool { return len(d.recs[1].msgs) == count+1 })
	d.recs[0].await(t, "the answer", d.recs[0].got("back"))
	for i, m := range d.recs[1].msgs[:count] {
		if want := fmt.Sprintf("message %d", i); m.payload != want || m.from != 1 {
			t.Fatalf("got %q from %v, want %q", m.payload, m.from, want)
		}
	}
	if d.recs[1].msgs[count].payload != string(large) {
		t.Error("the large message was damaged")
	}
	for _, tt := range []struct {
		err, want error
	}{
		{d.eps[0].Send(2, make([]byte, MaxMessage+1)), ErrTooLarge},
		{d.eps[0].Send(7, nil), ErrUnknownPeer},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("%v, want %v", tt.err, tt.want)
		}
	}
	if s := d.eps[0].Connections()[0]; !s.Connected || s.Network != "lan" || s.Sent != count+1 || s.Build != "1.0" || s.Protocol != protocolMax {
		t.Errorf("%+v", s)
	}
}

// TestPathFailover: messages move to another path when theirs dies, whether the
// heartbeats notice or TCP itself, and go back when it is well again.
func TestPathFailover(t *testing.T) {
	d := newDuo(t, nil, "lan", "san")
	d.introduce(t)
	on := func(network string) func() bool {
		return func() bool { n, ok := d.connected(0); return ok && n == network }
	}
	waitFor(t, "the connection on the first path", on("lan"))
	deliver := func(text string) {
		t.Helper()
		if err := d.eps[0].Send(2, []byte(text)); err != nil {
			t.Fatal(err)
		}
		d.recs[1].await(t, text, d.recs[1].got(text))
	}
	deliver("before")
	cable := func(pulled bool) {
		for i := range d.paths {
			d.udp.set(d.paths[i][0].Address, pulled)
			d.tcp.set(d.paths[i][0].Address.Addr(), pulled)
		}
	}
	cable(true)
	start := time.Now()
	waitFor(t, "the connection to move", on("san"))
	// One silence is the target and what an idle machine shows; the limit is for
	// a busy one.
	took := time.Since(start)
	t.Logf("the connection moved in %v, silence is %v", took, duoSilence)
	if took > 5*duoSilence {
		t.Error("the connection moved too late")
	}
	deliver("on the second path")
	cable(false)
	waitFor(t, "the connection to move back", on("lan"))
	deliver("back again")

	// TCP alone stands still.
	for i := range d.paths {
		d.tcp.set(d.paths[i][0].Address.Addr(), true)
	}
	waitFor(t, "the connection to move while heartbeats go on", on("san"))
	deliver("past a firewall")
}

func TestQueueFull(t *testing.T) {
	d := newDuo(t, nil, "lan")
	if err := d.eps[0].SetPeers([]Peer{{ID: 2, HeartbeatKey: publicKey(nodeKey(2)), Paths: d.paths[1]}}); err != nil {
		t.Fatal(err)
	}
	d.eps[0].SetTiming(time.Minute) // nothing becomes stale
	// Node 2 doesn't know node 1, so nothing goes out.
	for range queueMessages {
		if err := d.eps[0].Send(2, []byte("x")); err != nil {
			t.Fatal(err)
		}
	}
	if err := d.eps[0].Send(2, []byte("x")); !errors.Is(err, ErrQueueFull) {
		t.Errorf("got %v", err)
	}
	s := d.eps[0].Connections()[0]
	if s.Connected || s.Waiting != queueMessages || s.WaitingBytes != queueMessages || s.Refused != 1 {
		t.Errorf("%+v", s)
	}
	d.recs[0].await(t, "the reason", func() bool {
		return hasEvent(d.recs[0], func(e ConnectionChanged) bool {
			return !e.Connected && strings.Contains(e.Err.Error(), "isn't in the configuration of cluster blue")
		})
	})
}

func TestQueue(t *testing.T) {
	q := newQueue()
	big := make([]byte, MaxMessage)
	for i := range 4 {
		if err := q.push(big, time.Duration(i), 0); err != nil {
			t.Fatal(err)
		}
	}
	if err := q.push([]byte("x"), 5, 0); err != ErrQueueFull {
		t.Errorf("bytes are not bounded: %v", err)
	}
	if err := q.push([]byte("x"), 5, 2); err != nil {
		t.Errorf("stale messages gave no room: %v", err)
	}
	for range 2 {
		if b, ok := q.pop(2); !ok || len(b) != MaxMessage {
			t.Error("order")
		}
	}
	if b, ok := q.pop(2); !ok || string(b) != "x" {
		t.Error("order")
	}
	if _, ok := q.pop(2); ok || !q.empty() || q.bytes != 0 || q.stale != 2 || q.refused != 1 {
		t.Errorf("%+v", q)
	}
	for i := range 100 { // around the ring
		if err := q.push([]byte{byte(i)}, 9, 0); err != nil {
			t.Fatal(err)
		}
		if i%3 == 0 {
			q.pop(0)
		}
	}
	want := byte(34)
	for b, ok := q.pop(0); ok; b, ok = q.pop(0) {
		if b[0] != want {
			t.Fatalf("got %d, want %d", b[0], want)
		}
		want++
	}
}

// TestVersions: nodes that are too far apart say so in words, on both sides.
func TestVersions(t *testing.T) {
	d := newDuo(t, func(cfg *EndpointConfig) { cfg.Build = "9.0\x1b[2J" }, "lan")
	d.eps[1].protocols = [2]int{3, 4}
	d.introduce(t)
	d.recs[0].await(t, "the reason at the older node", func() bool {
		return hasEvent(d.recs[0], func(e VersionMismatch) bool {
			return e.Peer == 2 && e.Min == 3 && e.Max == 4 && e.Build == "9.0?[2J" && e.OurMax == protocolMax
		})
	})
	d.recs[1].await(t, "the reason at the newer node", func() bool {
		return hasEvent(d.recs[1], func(e VersionMismatch) bool { return e.Peer == 1 && e.Build == "1.0" })
	})
	_, err := d.eps[0].Call(t.Context(), 2, nil)
	if v, ok := errors.AsType[*VersionError](err); !ok || v.Peer != 2 {
		t.Errorf("call: %v", err)
	}
}

func TestCall(t *testing.T) {
	d := newDuo(t, nil, "lan", "san")
	d.introduce(t)
	if _, err := d.eps[0].Call(t.Context(), 2, nil); err == nil {
		t.Error("answered without a handler")
	}
	release, stopped := make(chan struct{}), make(chan struct{})
	d.eps[1].SetCallHandler(func(ctx context.Context, from cluster.NodeID, request []byte) ([]byte, error) {
		switch string(request) {
		case "fail":
			return nil, message.New(message.PathSilent, 7)
		case "slow":
			<-release
		case "forever":
			<-ctx.Done()
			close(stopped)
			return nil, ctx.Err()
		case "large":
			return make([]byte, MaxMessage+1), nil
		}
		return fmt.Appendf(nil, "%v: %s", from, request), nil
	})
	answer, err := d.eps[0].Call(t.Context(), 2, []byte("hello"))
	if err != nil || string(answer) != "n1: hello" {
		t.Fatalf("%q, %v", answer, err)
	}
	_, err = d.eps[0].Call(t.Context(), 2, []byte("fail"))
	if m, ok := message.From(err); !ok || m.Code() != message.PathSilent || m.Localize(message.English).Text != "no answer from node 7 on any comm path" {
		t.Errorf("the error lost its message: %v", err)
	}
	if _, err = d.eps[0].Call(t.Context(), 2, []byte("large")); err == nil || errors.Is(err, ErrUnanswered) {
		t.Errorf("large answer: %v", err)
	}
	if _, err = d.eps[0].Call(t.Context(), 9, nil); !errors.Is(err, ErrUnknownPeer) {
		t.Errorf("unknown: %v", err)
	}

	// Longer than a node may be silent.
	time.AfterFunc(1200*time.Millisecond, func() { close(release) })
	if answer, err = d.eps[0].Call(t.Context(), 2, []byte("slow")); err != nil || string(answer) != "n1: slow" {
		t.Errorf("slow: %q, %v", answer, err)
	}
	ctx, cancel := context.WithTimeout(t.Context(), 100*time.Millisecond)
	defer cancel()
	if _, err = d.eps[0].Call(ctx, 2, []byte("forever")); !errors.Is(err, ErrUnanswered) || !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("forever: %v", err)
	}
	select {
	case <-stopped:
	case <-time.After(5 * time.Second):
		t.Error("the handler wasn't told that the caller gave up")
	}

	// One path's TCP is dead: the call takes the other.
	d.tcp.set(d.paths[0][0].Address.Addr(), true)
	if answer, err = d.eps[0].Call(t.Context(), 2, []byte("again")); err != nil || string(answer) != "n1: again" {
		t.Errorf("other path: %q, %v", answer, err)
	}
}

func joinTarget(d *duo, addresses ...string) JoinTarget {
	return JoinTarget{ClusterID: "blue", Addresses: addresses, TLS: pki.PinConfig("blue", pki.Pin(d.ca.Cert), nil), Build: "1.0"}
}

func code(err error) string {
	if m, ok := message.From(err); ok {
		return m.Code()
	}
	return ""
}

func TestJoin(t *testing.T) {
	d := newDuo(t, nil, "lan")
	at := d.paths[0][0].Address.String()
	nobody := netip.AddrPortFrom(d.paths[0][0].Address.Addr(), freePort(t, "127.0.0.1")).String()

	_, err := JoinCall(t.Context(), joinTarget(d, at), nil)
	if code(err) != message.JoinNotHere {
		t.Errorf("without a handler: %v", err)
	}
	d.eps[0].SetJoinHandler(func(_ context.Context, request []byte, from netip.AddrPort) ([]byte, error) {
		if string(request) == "wrong token" {
			return nil, message.New(message.TokenDamaged)
		}
		return append([]byte("welcome "), request...), nil
	})
	answer, err := JoinCall(t.Context(), joinTarget(d, nobody, at), []byte("web-3"))
	if err != nil || string(answer) != "welcome web-3" {
		t.Errorf("%q, %v", answer, err)
	}
	if _, err = JoinCall(t.Context(), joinTarget(d, at, nobody), []byte("wrong token")); code(err) != message.TokenDamaged {
		t.Errorf("refused: %v", err)
	}
	if _, err = JoinCall(t.Context(), joinTarget(d, nobody, "127.0.0.1:1"), nil); code(err) != message.JoinUnreachable || !strings.Contains(err.Error(), "refused") {
		t.Errorf("unreachable: %v", err)
	}
	other := authority(t)
	wrong := joinTarget(d, nobody, at)
	wrong.TLS = pki.PinConfig("blue", pki.Pin(other.Cert), nil)
	if _, err = JoinCall(t.Context(), wrong, nil); code(err) != message.PinMismatch {
		t.Errorf("wrong pin: %v", err)
	}
	red := joinTarget(d, at)
	red.ClusterID = "red"
	if _, err = JoinCall(t.Context(), red, nil); code(err) != message.JoinNoCluster {
		t.Errorf("other cluster: %v", err)
	}
	if _, err = JoinCall(t.Context(), joinTarget(d, at), make([]byte, MaxJoin+1)); !errors.Is(err, ErrTooLarge) {
		t.Errorf("too large: %v", err)
	}
	for i := 0; ; i++ {
		if _, err = JoinCall(t.Context(), joinTarget(d, at), []byte("guess")); err != nil {
			break
		}
		if i > 2*joinBurst {
			t.Fatal("guessing isn't limited")
		}
	}
	if code(err) != message.JoinTooOften {
		t.Errorf("too often: %v", err)
	}
}

// TestJoinVersion: a joiner of another release is told.
func TestJoinVersion(t *testing.T) {
	d := newDuo(t, nil, "lan")
	d.eps[0].protocols = [2]int{7, 8}
	_, err := JoinCall(t.Context(), joinTarget(d, d.paths[0][0].Address.String()), nil)
	if _, ok := errors.AsType[*VersionError](err); !ok || code(err) != message.ProtocolMismatch {
		t.Errorf("got %v", err)
	}
}

// TestStrangersByTCP: who isn't a peer gets nothing, whatever it shows.
func TestStrangersByTCP(t *testing.T) {
	d := newDuo(t, nil, "lan")
	d.introduce(t)
	at := d.paths[1][0].Address.String()
	outsider := authority(t)
	for _, tt := range []struct {
		name  string
		proto string
		cfg   *tls.Config
	}{
		{"no certificate", protoMessages, pki.PinConfig("blue", pki.Pin(d.ca.Cert), nil)},
		{"another CA's certificate", protoMessages, credentials(t, outsider, 1).PeerConfig()},
		{"a node that was removed", protoMessages, credentials(t, d.ca, 9).PeerConfig()},
		{"a removed node's call", protoCall, credentials(t, d.ca, 9).PeerConfig()},
		{"another program", "h2", pki.PinConfig("blue", pki.Pin(d.ca.Cert), nil)},
	} {
		t.Run(tt.name, func(t *testing.T) {
			cfg := tt.cfg
			cfg.NextProtos, cfg.ServerName = []string{tt.proto}, serverName(clusterHash("blue"))
			if strings.HasPrefix(tt.name, "another CA") {
				cfg.VerifyConnection = nil // so that it gets to show its own
			}
			raw, err := tls.DialWithDialer(&net.Dialer{Timeout: 5 * time.Second}, "tcp", at, cfg)
			if err != nil {
				return
			}
			defer raw.Close()
			c := newConn(raw, time.Second)
			h := hello{Min: 1, Max: 1, Cluster: "blue", Node: 1}
			if err := c.greet(h, 5*time.Second); err != nil {
				return
			}
			c.write(frameMessage, []byte("intruder"), true)
			if ft, _, err := c.read(5*time.Second, maxHello); err == nil {
				t.Errorf("got a frame of type %d", ft)
			}
		})
	}
	if err := d.eps[0].Send(2, []byte("friend")); err != nil {
		t.Fatal(err)
	}
	d.recs[1].await(t, "the friend", d.recs[1].got("friend"))
	if d.recs[1].got("intruder")() {
		t.Error("a stranger's message was delivered")
	}
}

// TestRemovedPeer: a node that leaves the configuration is cut off at once.
func TestRemovedPeer(t *testing.T) {
	d := newDuo(t, nil, "lan")
	d.introduce(t)
	waitFor(t, "connections", func() bool {
		_, a := d.connected(0)
		_, b := d.connected(1)
		return a && b
	})
	if err := d.eps[1].SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	waitFor(t, "the connection to be cut", func() bool { _, ok := d.connected(0); return !ok })
	if err := d.eps[0].Send(2, []byte("late")); err != nil {
		t.Fatal(err)
	}
	if len(d.eps[1].Connections()) != 0 {
		t.Error("still connected to a removed node")
	}
	if err := d.eps[1].Send(1, nil); !errors.Is(err, ErrUnknownPeer) {
		t.Errorf("got %v", err)
	}
}

// TestWrongNode: the address of node 2 is answered by node 3.
func TestWrongNode(t *testing.T) {
	d := newDuo(t, func(cfg *EndpointConfig) { cfg.Self = 3 }, "lan")
	d.eps[1].cfg.TLS = credentials(t, d.ca, 3)
	if err := d.eps[0].SetPeers([]Peer{{ID: 2, HeartbeatKey: publicKey(nodeKey(2)), Paths: d.paths[1]}}); err != nil {
		t.Fatal(err)
	}
	d.recs[0].await(t, "the reason", func() bool {
		return hasEvent(d.recs[0], func(e ConnectionChanged) bool {
			return !e.Connected && strings.Contains(e.Err.Error(), "node n3 answers there")
		})
	})
}

// TestSilentCallers: strangers who connect and say nothing are bounded, and keep
// no peer out.
func TestSilentCallers(t *testing.T) {
	d := newDuo(t, nil, "lan")
	at := d.paths[1][0].Address.String()
	stranger := net.Dialer{LocalAddr: &net.TCPAddr{IP: net.IPv4(127, 0, 0, 99)}, Timeout: 5 * time.Second}
	for range mostFromOneHost + 1 {
		c, err := stranger.Dial("tcp", at)
		if err != nil {
			t.Fatal(err)
		}
		defer c.Close()
	}
	waitFor(t, "one too many to be turned away", func() bool { return d.hubs[1].Drops()["handshake"] > 0 })
	d.introduce(t)
	waitFor(t, "the peer to be let in", func() bool { _, ok := d.connected(0); return ok })
}
