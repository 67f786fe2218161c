package core

import (
	"slices"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// serving is a bench whose node 1 doesn't lead and is known to all.
func serving(t *testing.T) (*bench, *Core) {
	b := newBench(t, aNode, aNode, aNode)
	b.until("admitted", b.present)
	b.run(benchD)
	return b, b.others(b.leader())[0]
}

// TestAnswerWithALeaseVetoes: a node none of whose datagrams arrive, but whose
// connections do, keeps its lease for as long as that lasts, and nobody takes
// over from it.
func TestAnswerWithALeaseVetoes(t *testing.T) {
	b, a := serving(t)
	g := a.Lease().Generation
	b.mute[a.self] = true
	for range 40 {
		b.run(benchD / 4)
		if l := a.Lease(); !l.Alive(b.now) || l.Generation != g {
			t.Fatalf("its lease ended: %+v at %v", l, b.now.Boot)
		}
	}
	if n := b.leader().state.Node(a.self); n.Presence != cluster.Present || n.Generation != g {
		t.Errorf("%+v", n)
	}
	b.mute[a.self] = false
	b.run(benchD)
	if l := a.Lease(); !l.Alive(b.now) || l.Generation != g {
		t.Errorf("afterwards: %+v", l)
	}
}

// TestRelayedAnswerVetoes: the same where two nodes have no connection either,
// and a third one hears both.
func TestRelayedAnswerVetoes(t *testing.T) {
	b, a := serving(t)
	lead := b.leader()
	now := b.now
	b.all[lead.self] = &Effects{}
	lead.peers[a.self].heard = now.Mono - benchD/2
	lead.beatsSent = probeEvery - 1
	lead.probe(now)
	vias := map[cluster.NodeID]bool{}
	for _, m := range lead.out.Messages {
		if m.Probe != nil && m.To == a.self {
			vias[m.Via] = true
		}
	}
	if len(vias) != 2 || !vias[a.self] {
		t.Errorf("asked through %v", vias)
	}
	if !slices.Contains(lead.out.Suspects, a.self) {
		t.Error("its machine isn't asked")
	}
}

// TestMereAnswersDontVeto: a node that is cut off is evicted as soon as without
// any answer, though its machine answers all the while; and the timeline says
// so.
func TestMereAnswersDontVeto(t *testing.T) {
	evicted := func(answers bool) time.Duration {
		b, a := serving(t)
		lead := b.leader()
		b.cut[a.self] = true
		began := b.now.Mono
		for lead.state.Node(a.self).Presence == cluster.Present {
			if b.now.Mono-began > 2*benchD {
				t.Fatal("never evicted")
			}
			if answers {
				b.step(lead.self, MachineAnswered{Node: a.self, Network: "lan", How: "ping"})
			}
			b.run(5 * time.Millisecond)
		}
		took := b.now.Mono - began
		var codes []string
		for _, e := range lead.state.Timeline {
			if e.Kind == cluster.KindEvicted {
				for _, ev := range e.Evidence {
					codes = append(codes, ev.Reason.Code)
				}
			}
		}
		if !slices.Contains(codes, EvidenceProbed) || slices.Contains(codes, EvidenceMachine) != answers {
			t.Errorf("answers %v: evidence %v", answers, codes)
		}
		return took
	}
	without, with := evicted(false), evicted(true)
	if limit := cluster.TimingFor(benchD).Promise() + benchD/20; without > limit || with > limit {
		t.Errorf("evicted after %v, and after %v where the machine answered; %v is the limit", without, with, limit)
	}
}

// TestAnswerWithoutALease: an authentic answer without a valid lease, or an old
// one, acknowledges nothing.
func TestAnswerWithoutALease(t *testing.T) {
	b, a := serving(t)
	lead := b.leader()
	ripe := func() time.Duration { return lead.voter.Ripe(lead.state, a.self, a.Lease().Generation) }
	beat := a.proofNow(b.now)
	before := ripe()
	b.now = b.now.Add(benchD / 3)
	for _, p := range []Proof{
		{Beat: beat, Alive: false, Asked: b.now.Boot},
		{Beat: beat, Alive: true, Asked: b.now.Boot - benchD},
		{Beat: beat, Alive: true, Asked: b.now.Boot + 1},
	} {
		lead.proven(b.now, a.self, &p)
		if ripe() != before {
			t.Errorf("%+v was acknowledged", p)
		}
	}
	lead.proven(b.now, a.self, &Proof{Beat: beat, Alive: true, Asked: b.now.Boot})
	if ripe() == before {
		t.Error("the right answer was not acknowledged")
	}
}

func (c *Core) proofNow(now cluster.Instant) (b arbiter.Beat) {
	return arbiter.Beat{Node: c.self, Generation: c.holder.Generation(), Conf: c.state.Conf, Sent: now.Boot}
}
