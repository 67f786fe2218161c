package commpath

import (
	"encoding/binary"
	"errors"
	"math/rand/v2"
	"slices"
	"strings"
	"testing"
	"time"
)

func pairOf(t testing.TB, networks ...string) (a, b *station, clock *handClock) {
	clock = new(handClock)
	clock.advance(time.Minute)
	return newStation(t, 1, clock, networks...), newStation(t, 2, clock, networks...), clock
}

func expect(t *testing.T, s *station, payloads ...string) {
	t.Helper()
	var got []string
	for _, h := range s.rec.take() {
		got = append(got, h.payload)
	}
	if !slices.Equal(got, payloads) {
		t.Fatalf("node %v got %q, want %q", s.id, got, payloads)
	}
}

func expectDrop(t *testing.T, s *station, d Drops, want dropReason) {
	t.Helper()
	now := s.ep.Drops()
	for r, n := range s.hub.Drops() {
		now[r] += n
	}
	for r, n := range now {
		if n != d[r] && r != want.String() {
			t.Fatalf("dropped for %s, want %s", r, want)
		}
	}
	if now[want.String()] != d[want.String()]+1 {
		t.Fatalf("drops %v, before %v, want one more of %s", now, d, want)
	}
	expect(t, s)
}

func dropsOf(s *station) Drops {
	d := s.ep.Drops()
	for r, n := range s.hub.Drops() {
		d[r] += n
	}
	return d
}

// TestFirstContact: nothing is delivered before the sender has proved that it
// hears this very session of the receiver.
func TestFirstContact(t *testing.T) {
	a, b, clock := pairOf(t, "lan")
	one := a.send(t, 2, "lan", "one")
	b.get(one, "lan")
	expect(t, b)
	a.get(b.send(t, 1, "lan", "two"), "lan")
	expect(t, a, "two")
	clock.advance(time.Millisecond)
	b.get(a.send(t, 2, "lan", "three"), "lan")
	if got := b.rec.take(); len(got) != 1 || got[0] != (heard{1, "lan", "three", clock.read()}) {
		t.Fatalf("got %+v", got)
	}
	d := dropsOf(b)
	b.get(one, "lan")
	expectDrop(t, b, d, dropUnconfirmed)
	b.get(one, "lan")
	d[dropUnconfirmed.String()]++
	expectDrop(t, b, d, dropReplay)
}

func TestReplayRefused(t *testing.T) {
	a, b, _ := pairOf(t, "lan")
	meet(t, a, b, "lan")
	var packets [][]byte
	for range 3 * windowSize {
		packets = append(packets, a.send(t, 2, "lan", "x"))
	}
	for _, p := range packets {
		b.get(p, "lan")
	}
	if n := len(b.rec.take()); n != len(packets) {
		t.Fatalf("%d of %d arrived", n, len(packets))
	}
	for _, p := range packets {
		d := dropsOf(b)
		b.get(p, "lan")
		expectDrop(t, b, d, dropReplay)
	}
}

func TestReorder(t *testing.T) {
	a, b, _ := pairOf(t, "lan")
	meet(t, a, b, "lan")
	var packets [][]byte
	for range windowSize {
		packets = append(packets, a.send(t, 2, "lan", "x"))
	}
	rand.Shuffle(len(packets), func(i, j int) { packets[i], packets[j] = packets[j], packets[i] })
	for _, p := range packets {
		b.get(p, "lan")
		b.get(p, "lan")
	}
	if n := len(b.rec.take()); n != len(packets) {
		t.Fatalf("%d of %d arrived", n, len(packets))
	}
	if s := b.ep.Stats()[0]; s.Lost != 0 {
		t.Errorf("%d counted as lost", s.Lost)
	}
}

// TestDamage flips each bit of a packet in turn.
func TestDamage(t *testing.T) {
	a, b, _ := pairOf(t, "lan")
	meet(t, a, b, "lan")
	good := a.send(t, 2, "lan", "payload")
	for i := range len(good) * 8 {
		bad := slices.Clone(good)
		bad[i/8] ^= 1 << (i % 8)
		b.get(bad, "lan")
		expect(t, b)
	}
	for n := range len(good) {
		b.get(good[:n], "lan")
		expect(t, b)
	}
	b.get(append(slices.Clone(good), 0), "lan")
	expect(t, b)
	b.get(good, "lan")
	expect(t, b, "payload")
}

func TestStrangers(t *testing.T) {
	a, b, clock := pairOf(t, "lan", "san")
	meet(t, a, b, "lan")
	good := a.send(t, 2, "lan", "x")
	change := func(f func(p []byte)) []byte {
		p := slices.Clone(good)
		f(p)
		return p
	}
	impostor := newStation(t, 1, clock, "lan")
	impostor.ep.cfg.Key = staticKey("another")
	for _, p := range *impostor.ep.peers.Load() {
		p.pair = pair{clusterID: "blue"}
		p.out = nil
		if err := p.setKey(impostor.ep.cfg.Key, publicKey(nodeKey(2)), impostor.ep.session); err != nil {
			t.Fatal(err)
		}
	}
	third := newStation(t, 3, clock, "lan")
	for _, tt := range []struct {
		name    string
		packet  []byte
		network string
		why     dropReason
	}{
		{"empty", nil, "lan", dropGarbage},
		{"other program", []byte(strings.Repeat("GET / HTTP/1.1\r\n", 20)), "lan", dropGarbage},
		{"oversized", make([]byte, MaxPacket+1), "lan", dropOversized},
		{"oversized copy", append(slices.Clone(good), make([]byte, MaxPacket)...), "lan", dropOversized},
		{"other release", change(func(p []byte) { p[4]++ }), "lan", dropVersion},
		{"other cluster", change(func(p []byte) { p[8]++ }), "lan", dropCluster},
		{"other receiver", third.send(t, 1, "lan", "x"), "lan", dropReceiver},
		{"itself", b.send(t, 1, "lan", "x"), "lan", dropReceiver},
		{"unknown sender", change(func(p []byte) { binary.BigEndian.PutUint64(p[16:], 99) }), "lan", dropSender},
		{"unknown network", change(func(p []byte) { p[48]++ }), "lan", dropPath},
		{"wrong socket", good, "san", dropPath},
		{"moved to another network", change(func(p []byte) { binary.BigEndian.PutUint32(p[48:], networkTag("san")) }), "san", dropAuth},
		{"wrong key", impostor.send(t, 2, "lan", "x"), "lan", dropAuth},
		{"another's packet", change(func(p []byte) { binary.BigEndian.PutUint64(p[16:], 3) }), "lan", dropAuth},
		{"number 0", change(func(p []byte) { clear(p[52:60]) }), "lan", dropGarbage},
	} {
		t.Run(tt.name, func(t *testing.T) {
			d := dropsOf(b)
			b.get(tt.packet, tt.network)
			expectDrop(t, b, d, tt.why)
		})
	}
	b.get(good, "lan")
	expect(t, b, "x")
}

func TestSendRefused(t *testing.T) {
	a, _, _ := pairOf(t, "lan")
	for _, tt := range []struct {
		err  error
		want error
	}{
		{a.ep.SendHeartbeat(2, "lan", make([]byte, MaxHeartbeat)), nil},
		{a.ep.SendHeartbeat(2, "lan", make([]byte, MaxHeartbeat+1)), ErrTooLarge},
		{a.ep.SendHeartbeats(2, make([]byte, MaxHeartbeat+1)), ErrTooLarge},
		{a.ep.SendHeartbeat(9, "lan", nil), ErrUnknownPeer},
		{a.ep.SendHeartbeats(9, nil), ErrUnknownPeer},
		{a.ep.SendHeartbeat(2, "wan", nil), errPathGone},
		{a.ep.SendHeartbeats(2, nil), nil},
	} {
		if !errors.Is(tt.err, tt.want) {
			t.Errorf("got %v, want %v", tt.err, tt.want)
		}
	}
	if n := len(a.wires["lan"].sent[0]); n != MaxPacket {
		t.Errorf("the largest packet has %d bytes, want %d", n, MaxPacket)
	}
}

// TestRestart: a node that starts again is heard again, wherever its wall clock
// is, and what it sent before is not.
func TestRestart(t *testing.T) {
	for _, wall := range []time.Duration{-50 * 365 * 24 * time.Hour, 0, 10 * 365 * 24 * time.Hour} {
		a, b, clock := pairOf(t, "lan")
		meet(t, a, b, "lan")
		late := a.send(t, 2, "lan", "late")

		again := newStation(t, 1, clock, "lan")
		again.ep.session = newSession(time.Now().Add(wall))
		if err := again.ep.known[2].renew(again.ep.session); err != nil {
			t.Fatal(err)
		}
		b.get(again.send(t, 2, "lan", "first"), "lan")
		expect(t, b) // not proved to be alive: it may be a recording
		again.get(b.send(t, 1, "lan", "hello"), "lan")
		expect(t, again, "hello") // b probes the new session
		b.get(again.send(t, 2, "lan", "second"), "lan")
		expect(t, b, "second")
		if !hasEvent(b.rec, func(e SessionBegan) bool { return e.Peer == 1 }) {
			t.Error("the new session was not reported")
		}
		b.get(late, "lan")
		expect(t, b)
		again.get(b.send(t, 1, "lan", "hello"), "lan")
		expect(t, again, "hello")
	}
}

// TestOldRecording: to a receiver that was just started, an old recording looks
// like a first contact. It must never be delivered, and must not keep the node
// itself from being heard.
func TestOldRecording(t *testing.T) {
	a, b, clock := pairOf(t, "lan")
	meet(t, a, b, "lan")
	var tape [][]byte
	for range 10 {
		tape = append(tape, a.send(t, 2, "lan", "old"))
		b.get(tape[len(tape)-1], "lan")
		a.get(b.send(t, 1, "lan", ""), "lan")
	}
	b2 := newStation(t, 2, clock, "lan")
	a2 := newStation(t, 1, clock, "lan")
	for _, p := range tape {
		b2.get(p, "lan")
		expect(t, b2)
		b2.get(a2.send(t, 2, "lan", "new"), "lan")
		a2.get(b2.send(t, 1, "lan", "new"), "lan")
		for _, h := range append(a2.rec.take(), b2.rec.take()...) {
			if h.payload != "new" {
				t.Fatalf("delivered %q", h.payload)
			}
		}
	}
	meet(t, a2, b2, "lan")
}

// TestTwin: a cloned VM. The one that was heard last is listened to, the other
// is reported.
func TestTwin(t *testing.T) {
	a, b, clock := pairOf(t, "lan")
	meet(t, a, b, "lan")
	clone := newStation(t, 1, clock, "lan")
	clone.get(b.send(t, 1, "lan", ""), "lan")
	b.get(clone.send(t, 2, "lan", "clone"), "lan")
	expect(t, b, "clone")
	if hasEvent(b.rec, func(TwinSeen) bool { return true }) {
		t.Fatal("reported before the original spoke")
	}
	for range 3 {
		clock.advance(100 * time.Millisecond)
		a.get(b.send(t, 1, "lan", ""), "lan")
		b.get(a.send(t, 2, "lan", "original"), "lan")
		expect(t, b)
	}
	n := 0
	for _, e := range b.rec.events {
		if _, ok := e.(TwinSeen); ok {
			n++
		}
	}
	if n != 1 {
		t.Errorf("reported %d times", n)
	}
}

// TestNewSession: after it, nothing from before is delivered, and no number is
// used twice.
func TestNewSession(t *testing.T) {
	a, b, _ := pairOf(t, "lan")
	meet(t, a, b, "lan")
	before := b.send(t, 1, "lan", "before")
	seq := a.ep.known[2].seq
	if err := a.ep.NewSession(); err != nil {
		t.Fatal(err)
	}
	a.get(before, "lan")
	expect(t, a)
	b.get(a.send(t, 2, "lan", "after"), "lan")
	expect(t, b, "after") // it echoes what b sent in its session
	a.get(b.send(t, 1, "lan", "answer"), "lan")
	expect(t, a, "answer")
	if a.ep.known[2].seq <= seq {
		t.Error("packet numbers went back")
	}
}

// TestNewSessionsAtOnce: two nodes that begin anew at the same moment, each
// believing in the other's session before.
func TestNewSessionsAtOnce(t *testing.T) {
	a, b, _ := pairOf(t, "lan")
	meet(t, a, b, "lan")
	if err := errors.Join(a.ep.NewSession(), b.ep.NewSession()); err != nil {
		t.Fatal(err)
	}
	b.get(a.send(t, 2, "lan", "1"), "lan")
	expect(t, b)
	a.get(b.send(t, 1, "lan", "2"), "lan")
	expect(t, a, "2")
	b.get(a.send(t, 2, "lan", "3"), "lan")
	expect(t, b, "3")
}

// TestPeersRemoved: a node out of the configuration is not heard; back in it,
// its old packets still aren't.
func TestPeersRemoved(t *testing.T) {
	a, b, _ := pairOf(t, "lan")
	meet(t, a, b, "lan")
	old := a.send(t, 2, "lan", "old")
	b.get(old, "lan")
	expect(t, b, "old")
	listed := b.ep.listed
	if err := b.ep.SetPeers(nil); err != nil {
		t.Fatal(err)
	}
	d := dropsOf(b)
	b.get(a.send(t, 2, "lan", "x"), "lan")
	expectDrop(t, b, d, dropSender)
	if err := b.ep.SetPeers(listed); err != nil {
		t.Fatal(err)
	}
	d = dropsOf(b)
	b.get(old, "lan")
	expectDrop(t, b, d, dropReplay)
	b.get(a.send(t, 2, "lan", "new"), "lan")
	expect(t, b, "new")
}

func TestSetPeersFaults(t *testing.T) {
	a, b, _ := pairOf(t, "lan")
	good := a.ep.listed[0]
	lowOrder := good
	lowOrder.ID, lowOrder.HeartbeatKey = 5, [32]byte{}
	self := good
	self.ID = 1
	if err := a.ep.SetPeers([]Peer{lowOrder, self, good, good}); err == nil {
		t.Error("no word about bad peers")
	}
	meet(t, a, b, "lan")
}
