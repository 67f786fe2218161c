package arbiter

import (
	"slices"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// bench is a leader, node 2, that suspects node 1.
type bench struct {
	s *cluster.State
	v *Voter
	e *Evictor
}

func newBench() *bench {
	s := three()
	b := &bench{s: s, v: NewVoter(2, at(0), s, nil, Broken{}), e: NewEvictor(2, Broken{})}
	b.v.Applied(at(0), s)
	// Node 3 is heard all the time.
	return b
}

func (b *bench) step(t time.Duration) (asks []Ask, evictions []cluster.Command) {
	b.v.Acknowledge(at(t), b.s, Beat{Node: 3, Generation: 1})
	return b.e.Step(at(t), b.s, b.v)
}

func (b *bench) answer(t time.Duration, voter cluster.NodeID, p Phase, yes bool) {
	b.e.Answered(at(t), Answer{Ask: Ask{Node: 1, Generation: 1, Conf: b.s.Conf, Phase: p}, Voter: voter, Yes: yes, Silent: ripe})
}

func TestEvictorAsksFirstThenHasItDone(t *testing.T) {
	b := newBench()
	early := ripe - b.s.Timing().Heartbeat
	if asks, _ := b.step(early - 1); len(asks) != 0 {
		t.Fatalf("asked too early: %v", asks)
	}
	if next := b.e.Next(at(early-1), b.s, b.v); next != early {
		t.Errorf("wants to be called at %v, want %v", next, early)
	}
	asks, _ := b.step(early)
	if want := []Ask{{Node: 1, Generation: 1, Conf: 5, Phase: Would}}; !slices.Equal(asks, want) {
		t.Fatalf("asks %v, want %v", asks, want)
	}
	b.answer(early, 3, Would, true)
	if asks, ev := b.step(early + 1); len(asks) != 0 || len(ev) != 0 {
		t.Fatalf("one voter is no majority: %v %v", asks, ev)
	}
	b.answer(early, 2, Would, true)
	asks, _ = b.step(early + 2)
	if len(asks) != 1 || asks[0].Phase != Do {
		t.Fatalf("asks %v", asks)
	}
	if _, ev := b.step(early + 3); len(ev) != 0 {
		t.Fatal("evicted by voters that only would")
	}
	b.answer(early+3, 2, Do, true)
	b.answer(early+3, 3, Do, true)
	_, ev := b.step(early + 4)
	if len(ev) != 1 {
		t.Fatalf("%d evictions", len(ev))
	}
	e := ev[0].Evict
	if e.Node != 1 || e.Generation != 1 || e.Conf != 5 || !slices.Equal(e.Promises, []cluster.NodeID{2, 3}) ||
		ev[0].Reason.Code != ReasonEvicted || len(ev[0].Evidence) != 2 {
		t.Errorf("got %+v because %v by %v", e, ev[0].Reason, ev[0].Evidence)
	}
	if _, again := b.step(early + 5); len(again) != 0 {
		t.Error("proposed twice at once")
	}
	if asks, again := b.step(early + 4 + b.s.Detection); len(asks)+len(again) == 0 {
		t.Error("never tried again though nothing came of it")
	}
}

func TestEvictorGivesUp(t *testing.T) {
	early := ripe - three().Timing().Heartbeat
	for name, change := range map[string]func(b *bench){
		"the configuration changed": func(b *bench) { b.s.Conf++; b.v.Applied(at(early), b.s) },
		"the node came back":        func(b *bench) { b.s.Nodes[0].Generation = 2; b.v.Applied(at(early), b.s) },
		"the node left":             func(b *bench) { b.s.Nodes[0].Presence = cluster.Left },
		"it is unmanaged":           func(b *bench) { b.s.Nodes[0].Presence = cluster.Unmanaged },
		"it was removed":            func(b *bench) { b.s.Nodes = b.s.Nodes[1:]; b.s.Voters = b.s.Voters[1:] },
		"it was heard again":        func(b *bench) { b.v.Acknowledge(at(early+1), b.s, Beat{Node: 1, Generation: 1}) },
	} {
		b := newBench()
		b.step(early)
		b.answer(early, 2, Would, true)
		b.answer(early, 3, Would, true)
		change(b)
		if asks, ev := b.step(early + 2); len(asks)+len(ev) != 0 {
			t.Errorf("%s: goes on with %v %v", name, asks, ev)
		}
	}
}

func TestEvictorWaitsForAVoter(t *testing.T) {
	b := newBench()
	early := ripe - b.s.Timing().Heartbeat
	b.step(early)
	b.e.Answered(at(early), Answer{Ask: Ask{Node: 1, Generation: 1, Conf: 5, Phase: Would}, Voter: 3, Wait: 7 * time.Millisecond})
	if next := b.e.Next(at(early), b.s, b.v); next != early+7*time.Millisecond {
		t.Errorf("asks again at %v, want %v", next, early+7*time.Millisecond)
	}
	// Answers to other questions are nobody's.
	for _, a := range []Answer{
		{Ask: Ask{Node: 3, Generation: 1, Conf: 5, Phase: Would}, Voter: 2, Yes: true},
		{Ask: Ask{Node: 1, Generation: 2, Conf: 5, Phase: Would}, Voter: 2, Yes: true},
		{Ask: Ask{Node: 1, Generation: 1, Conf: 4, Phase: Would}, Voter: 2, Yes: true},
		{Ask: Ask{Node: 1, Generation: 1, Conf: 5, Phase: Would}, Voter: 9, Yes: true},
	} {
		b.e.Answered(at(early), a)
	}
	b.answer(early, 3, Would, true)
	if asks, _ := b.step(early + 1); len(asks) != 0 {
		t.Errorf("a majority was counted that isn't: %v", asks)
	}
}
