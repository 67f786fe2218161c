package commpath

import (
	"encoding/binary"
	"fmt"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// TestSessionsModel lets an adversary who records everything work on two nodes
// that are restarted with wall clocks set anywhere. What a node delivers must
// have been made after its own session began, must not be older than what it
// delivered before, and comes once. When the adversary stops, both hear each
// other.
func TestSessionsModel(t *testing.T) {
	rapid.Check(t, func(r *rapid.T) {
		m := &sessionModel{t: t, r: r, clock: new(handClock)}
		m.clock.advance(time.Minute)
		for i := range m.lives {
			m.restart(i)
		}
		steps := rapid.IntRange(1, 120).Draw(r, "steps")
		for range steps {
			m.step++
			who := rapid.IntRange(0, 1).Draw(r, "who")
			switch rapid.IntRange(0, 9).Draw(r, "act") {
			case 0:
				m.restart(who)
			case 1:
				if err := m.lives[who].ep.NewSession(); err != nil {
					r.Fatal(err)
				}
				m.begun[who] = m.step
				m.delivered[who] = map[string]bool{}
			case 2, 3, 4, 5:
				m.send(who, rapid.Bool().Draw(r, "arrives"))
			case 6, 7, 8:
				m.replay()
			case 9:
				m.clock.advance(time.Duration(rapid.IntRange(0, 1500).Draw(r, "ms")) * time.Millisecond)
			}
		}
		m.clock.advance(2 * time.Second)
		for range 4 {
			m.step++
			m.send(0, true)
			m.send(1, true)
		}
		for i := range m.lives {
			m.step++
			m.send(i, true)
			if m.newest[1-i] != m.step {
				r.Fatalf("node %d doesn't hear node %d", 2-i, i+1)
			}
		}
	})
}

type sessionModel struct {
	t     *testing.T
	r     *rapid.T
	clock *handClock
	step  int

	lives     [2]*station
	begun     [2]int // when the node's session began
	incarnate [2]int
	newest    [2]int // when the newest delivered packet was made
	from      [2]int // the sender's life that was delivered last
	delivered [2]map[string]bool
	tape      []recording
}

type recording struct {
	to     int
	packet []byte
}

func (m *sessionModel) restart(i int) {
	s := newStation(m.t, stationID(i), m.clock, "lan")
	wall := time.Duration(rapid.IntRange(-1000, 1000).Draw(m.r, "clock")) * time.Hour
	s.ep.session = newSession(time.Now().Add(wall))
	for _, p := range s.ep.known {
		if err := p.renew(s.ep.session); err != nil {
			m.r.Fatal(err)
		}
	}
	m.lives[i], m.begun[i] = s, m.step
	m.incarnate[i]++
	m.newest[i], m.from[i], m.delivered[i] = 0, 0, map[string]bool{}
}

func (m *sessionModel) send(i int, arrives bool) {
	payload := fmt.Sprintf("%d %d %d", m.step, m.incarnate[i], len(m.tape))
	p := m.lives[i].send(m.t, stationID(1-i), "lan", payload)
	m.tape = append(m.tape, recording{1 - i, p})
	if arrives {
		m.deliver(m.tape[len(m.tape)-1])
	}
}

func (m *sessionModel) replay() {
	if len(m.tape) > 0 {
		m.deliver(m.tape[rapid.IntRange(0, len(m.tape)-1).Draw(m.r, "old")])
	}
}

func (m *sessionModel) deliver(rec recording) {
	m.lives[rec.to].get(rec.packet, "lan")
	for _, h := range m.lives[rec.to].rec.take() {
		var made, life, n int
		if _, err := fmt.Sscan(h.payload, &made, &life, &n); err != nil {
			m.r.Fatal(err)
		}
		switch {
		case made < m.begun[rec.to]:
			m.r.Fatalf("delivered at %d: made at %d, before the session began at %d", m.step, made, m.begun[rec.to])
		case life < m.from[rec.to]:
			m.r.Fatalf("delivered a packet of life %d after one of life %d", life, m.from[rec.to])
		case m.delivered[rec.to][h.payload]:
			m.r.Fatalf("delivered %q twice", h.payload)
		}
		m.delivered[rec.to][h.payload] = true
		m.from[rec.to] = life
		m.newest[rec.to] = max(m.newest[rec.to], made)
	}
}

func TestHeaderVector(t *testing.T) {
	h := header{
		cluster: [8]byte{1, 2, 3, 4, 5, 6, 7, 8}, sender: 0x11, receiver: 0x22,
		session: session{0xaa, 15: 0xbb}, network: 0xcafe, seq: 0x33, pathSeq: 0x44,
	}
	b := make([]byte, headerSize+bodySize+tagSize)
	h.put(b)
	const want = "50444842010000000102030405060708" + "0000000000000011" + "0000000000000022" +
		"aa0000000000000000000000000000bb" + "0000cafe" + "0000000000000033" + "0000000000000044"
	if got := fmt.Sprintf("%x", b[:headerSize]); got != want {
		t.Errorf("header\n%s, want\n%s", got, want)
	}
	var again header
	if why, ok := again.parse(b); !ok || again != h {
		t.Errorf("%+v (%v), want %+v", again, why, h)
	}
	if clusterHash("blue") == clusterHash("red") || networkTag("a") == networkTag("b") {
		t.Error("hashes don't tell apart")
	}
}

func FuzzHeader(f *testing.F) {
	f.Add([]byte("PDHB"))
	f.Add(make([]byte, MaxPacket))
	f.Fuzz(func(t *testing.T, b []byte) {
		var h header
		if _, ok := h.parse(b); !ok {
			return
		}
		again := make([]byte, headerSize)
		h.put(again)
		if string(again) != string(b[:headerSize]) {
			t.Fatalf("%x is also %x", b[:headerSize], again)
		}
	})
}

// FuzzOpen gives any bytes to a node that is in contact, as they are and behind
// a good header. Nothing of it may be delivered.
func FuzzOpen(f *testing.F) {
	a, b, _ := pairOf(f, "lan")
	meet(f, a, b, "lan")
	good := a.send(f, 2, "lan", "hello")
	f.Add(good[:len(good)-1])
	f.Add(good[headerSize:])
	f.Fuzz(func(t *testing.T, raw []byte) {
		if string(raw) == string(good) {
			return
		}
		b.get(raw, "lan")
		b.get(append(good[:headerSize:headerSize], raw...), "lan")
		for _, h := range b.rec.take() {
			if string(raw) != string(good[headerSize:]) {
				t.Fatalf("delivered %+v", h)
			}
		}
	})
}

// FuzzBody: any authentic body is read without harm, and taken for what it is.
func FuzzBody(f *testing.F) {
	f.Add(make([]byte, bodySize))
	f.Fuzz(func(t *testing.T, raw []byte) {
		if len(raw) < bodySize {
			return
		}
		var c body
		c.parse(raw)
		again := make([]byte, bodySize)
		c.put(again)
		if string(again) != string(raw[:bodySize]) {
			t.Fatalf("%x is also %x", raw[:bodySize], again)
		}
		var pa path
		for range 10 {
			pa.out.next(time.Second)
		}
		p := &peer{ours: c.echoSession}
		p.confirm(&pa, &c, 2*time.Second)
		if n := binary.BigEndian.Uint64(raw[24:]); pa.out.echoed > 10 || n <= 10 && pa.out.echoed != n {
			t.Fatalf("echo of %d taken as %d", n, pa.out.echoed)
		}
	})
}

// TestSessionsLongPast: a recording of a session so long ago that it isn't
// remembered still proves nothing, because it answers no number of now.
func TestSessionsLongPast(t *testing.T) {
	var x sessions
	id := func(n int) session { return session{7: byte(n), 15: 1} }
	sent := uint64(100)
	for n := 1; n <= 3*retiredSessions; n++ {
		sent += 10
		if v := x.judge(id(n), 1, true, sent-1, sent, 0, time.Second); v != adopted {
			t.Fatalf("session %d: %v", n, v)
		}
		for old := 1; old < n; old++ {
			answer := uint64(100 + 10*old + 9) // the newest that it can have heard
			if v := x.judge(id(old), 2, true, answer, sent, 0, time.Second); v > nominated {
				t.Fatalf("session %d came back after %d: %v", old, n, v)
			}
		}
	}
}
