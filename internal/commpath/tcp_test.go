package commpath

import (
	"errors"
	"fmt"
	"strings"
	"testing"
	"time"
)

func TestMessages(t *testing.T) {
	d := newDuo(t, nil, "lan")
	d.introduce(t)
	const count = 500
	for i := range count {
		if err := d.eps[0].Send(2, fmt.Appendf(nil, "message %d", i)); err != nil {
			t.Fatal(err)
		}
	}
	large := make([]byte, largeMessage)
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
	d := newDuo(t, func(cfg *EndpointConfig) { cfg.Build, cfg.protocols = "9.0\x1b[2J", [2]int{3, 4} }, "lan")
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
