package commpath

import (
	"testing"
	"time"
)

// TestQuality tells the story of a path between two nodes, step by step.
func TestQuality(t *testing.T) {
	a, b, clock := pairOf(t, "lan")
	const step = 50 * time.Millisecond // silence is 1 s
	state := func(s *station) (State, Why) {
		s.ep.judge(clock.read().Mono, 0, time.Second)
		for _, st := range s.ep.Stats() {
			if st.Peer == 3-s.id {
				return st.State, st.Why
			}
		}
		t.Fatal("no such path")
		return 0, 0
	}
	want := func(s *station, st State, why Why) {
		t.Helper()
		if gs, gw := state(s); gs != st || gw != why {
			t.Fatalf("node %v: %v (%v), want %v (%v)", s.id, gs, gw, st, why)
		}
	}
	run := func(steps int, ab, ba func(i int) bool) {
		for i := range steps {
			clock.advance(step)
			if p := a.send(t, 2, "lan", ""); ab(i) {
				b.get(p, "lan")
			}
			if p := b.send(t, 1, "lan", ""); ba(i) {
				a.get(p, "lan")
			}
			state(a)
			state(b)
		}
	}
	all := func(int) bool { return true }
	none := func(int) bool { return false }

	want(a, StateUnknown, WhyNothing)
	run(19, none, none)
	want(a, StateUnknown, WhyNothing)
	run(1, none, none)
	want(a, StateDown, WhySilent)
	run(30, all, all)
	want(a, StateUp, WhyNothing)
	want(b, StateUp, WhyNothing)
	run(6, all, none)
	want(a, StateDegraded, WhySilent)
	want(b, StateUp, WhyNothing)
	run(20, all, none)
	want(a, StateDown, WhySilent)
	want(b, StateDegraded, WhyUnheard)
	run(200, all, all)
	want(a, StateUp, WhyNothing)
	want(b, StateUp, WhyNothing)
	run(200, func(i int) bool { return i%4 != 0 }, all)
	want(b, StateDegraded, WhyLoss) // it misses a's packets
	want(a, StateDegraded, WhyLoss) // and says so
	for _, s := range a.ep.Stats() {
		if s.Peer == 2 && (s.SentLost < 50 || s.Lost > 30) {
			t.Errorf("a: lost %d of its own, %d of b's", s.SentLost, s.Lost)
		}
	}
	run(200, all, all)
	want(a, StateUp, WhyNothing)
	want(b, StateUp, WhyNothing)
}

// TestOwnFreeze: when we stood still, the others were not silent.
func TestOwnFreeze(t *testing.T) {
	a, b, clock := pairOf(t, "lan")
	meet(t, a, b, "lan")
	a.ep.judge(clock.read().Mono, 0, time.Second)
	clock.advance(time.Minute)
	now := clock.read().Mono
	for _, e := range a.ep.judge(now, now, time.Second) {
		if e.Peer == 2 {
			t.Errorf("%+v", e)
		}
	}
	clock.advance(time.Second)
	a.ep.judge(clock.read().Mono, now, time.Second)
	if s := a.ep.Stats()[0]; s.Peer != 2 || s.State != StateDown {
		t.Errorf("%+v", s)
	}
}

func TestRoundTrip(t *testing.T) {
	a, b, clock := pairOf(t, "lan", "san")
	meet(t, a, b, "lan")
	meet(t, a, b, "san")
	for i := range 100 {
		p := a.send(t, 2, "lan", "")
		clock.advance(time.Duration(i+1) * time.Millisecond) // on the way there
		b.get(p, "lan")
		clock.advance(40 * time.Millisecond) // held by b
		p = b.send(t, 1, "lan", "")
		clock.advance(5 * time.Millisecond) // on the way back
		a.get(p, "lan")
	}
	for _, s := range a.ep.Stats() {
		if s.Peer != 2 {
			continue
		}
		if s.Network == "san" {
			if s.RTT.Worst != 0 {
				t.Errorf("samples went to another path: %+v", s.RTT)
			}
			continue
		}
		r := s.RTT
		if r.Worst != 105*time.Millisecond || r.P50 < 50*time.Millisecond || r.P50 > 60*time.Millisecond || r.P99 < 100*time.Millisecond {
			t.Errorf("%+v", r)
		}
	}
}

func TestWindow(t *testing.T) {
	var w window
	seen := make(map[uint64]bool)
	top := uint64(0)
	for i := range uint64(20000) {
		n := i*i%977 + i/3 + 1
		got := w.fresh(n)
		want := n > top || top-n < windowSize && !seen[n]
		if got != want {
			t.Fatalf("step %d: number %d, top %d: fresh %v, want %v", i, n, top, got, want)
		}
		if got {
			w.mark(n)
			seen[n] = true
			top = max(top, n)
		}
	}
	if w.fresh(0) {
		t.Error("0 is no number")
	}
	w.mark(1 << 63)
	if lost, of := w.missing(1); lost != 63 || of != 64 {
		t.Errorf("missing %d of %d", lost, of)
	}
}
