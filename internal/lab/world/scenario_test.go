package world

import (
	"fmt"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// Situations of which each has cost somebody a night. They are built by hand;
// the checkers look on all the while.

const scenarioD = cluster.DetectionBalanced

// rounds is how often a scenario is played with other moments: less where all
// takes ten times as long.
func rounds(n int) int {
	if underRace {
		return n/5 + 1
	}
	return n
}

// stage is a world in a test.
type stage struct {
	*World
	t     *testing.T
	story strings.Builder
}

func newStage(t *testing.T, cfg Config) *stage {
	t.Helper()
	s := &stage{t: t}
	cfg.Detection, cfg.Hierarchies = scenarioD, max(cfg.Hierarchies, 1)
	cfg.Tell = func(at time.Duration, line string) { fmt.Fprintf(&s.story, "%12v  %s\n", at, line) }
	s.World = New(cfg)
	t.Cleanup(func() {
		if t.Failed() {
			t.Log("\n" + s.story.String() + s.picture())
		}
	})
	s.until("in service", 20*scenarioD, s.settled)
	return s
}

// run lets it go on for a while.
func (s *stage) run(d time.Duration) {
	s.t.Helper()
	if err := s.Run(s.now + d); err != nil {
		s.t.Fatal(err)
	}
}

// until lets it go on until something is so.
func (s *stage) until(what string, within time.Duration, cond func() bool) time.Duration {
	s.t.Helper()
	began := s.now
	ok, err := s.RunUntil(s.now+within, cond)
	if err != nil {
		s.t.Fatal(err)
	}
	if !ok {
		s.t.Fatalf("not %s within %v", what, within)
	}
	return s.now - began
}

// all ends every fault and lets it settle.
func (s *stage) all() {
	s.t.Helper()
	s.calm = true
	s.healAll()
	s.until("settled", 40*scenarioD+30*time.Second, s.settled)
	s.agree()
	s.run(scenarioD)
}

// lead makes a node the leader.
func (s *stage) lead(n *node) {
	s.t.Helper()
	for range 20 {
		var leader *node
		s.until("led", 10*scenarioD, func() bool {
			leader = nil
			for _, m := range s.nodes {
				if m.core != nil && m.core.View(m.local()).Leader == m.id {
					leader = m
				}
			}
			return leader != nil && s.settled()
		})
		if leader == n {
			return
		}
		leader.killDaemon()
		s.run(scenarioD / 2)
	}
	s.t.Fatalf("%s was never elected", n.name)
}

// answered calls do once, when the first durable promise against a node leaves
// a voter.
func (s *stage) answered(against *node, do func(voter *node)) {
	s.observe = func(n *node, eff *core.Effects) {
		for _, m := range eff.Messages {
			if a := m.Answer; a != nil && a.Yes && a.Phase == arbiter.Do && a.Node == against.id && m.From == n.id {
				s.observe = nil
				s.at(s.now, func() { do(n) })
				return
			}
		}
	}
}

// A and B don't see each other and C sees both; B leads and A serves. Nothing
// moves, however long it lasts.
func TestScenarioTwoCutAThirdSeesBoth(t *testing.T) {
	s := newStage(t, Config{Seed: 1, Nodes: 3})
	a, b := s.nodes[0], s.nodes[1]
	s.lead(b)
	if !a.serves(0) {
		t.Fatal("a doesn't serve")
	}
	g := s.newest().Node(a.id).Generation
	s.cut(a, b, true)
	s.cut(b, a, true)
	end := s.now + 30*scenarioD
	for s.now < end {
		s.run(10 * time.Millisecond)
		if !a.serves(0) {
			t.Fatalf("a stopped serving at %v", s.now)
		}
	}
	if st := s.newest(); st.Node(a.id).Generation != g || st.Node(a.id).Presence != cluster.Present {
		t.Errorf("a is %s under generation %d, was %d", st.Node(a.id).Presence, st.Node(a.id).Generation, g)
	}
	s.all()
}

// The leader gathers promises against A and dies before the eviction is
// committed; A is heard again at that very moment.
func TestScenarioLeaderChangesBetweenPromiseAndEviction(t *testing.T) {
	for seed := range uint64(rounds(12)) {
		s := newStage(t, Config{Seed: seed, Nodes: 3})
		a, b := s.nodes[0], s.nodes[1]
		s.lead(b)
		promised := false
		s.answered(a, func(*node) {
			promised = true
			b.powerOff()
			s.isolate(a, false)
			s.cut(a, b, true)
			s.cut(b, a, true)
		})
		s.isolate(a, true)
		s.until("promised", 3*scenarioD, func() bool { return promised })
		// Whether the eviction was proposed or not: one of the two serves soon.
		s.until("in service", 8*scenarioD, func() bool { return a.serves(0) || s.nodes[2].serves(0) })
		s.run(3 * scenarioD)
		s.all()
	}
}

// An entry is on A and on the witness only; B is behind, A dies. The witness,
// which never leads, brings B up to date and hands over.
func TestScenarioOnlyTheWitnessHasIt(t *testing.T) {
	for seed := range uint64(rounds(12)) {
		s := newStage(t, Config{Seed: seed, Nodes: 2, Witnesses: 1})
		a, b, w := s.nodes[0], s.nodes[1], s.nodes[2]
		s.lead(a)
		s.isolate(b, true)
		s.run(scenarioD / 8)
		a.deliver(core.Propose{Command: cluster.Command{ID: 4711, Reason: cluster.Because("PD9901"),
			SetHierarchy: &cluster.SetHierarchy{Name: "h1", Policy: &cluster.Policy{Switchback: true}}}})
		known := func(n *node) bool { return n.core != nil && n.core.State().Hierarchy("h1").Policy.Switchback }
		s.until("committed by a and the witness", scenarioD, func() bool { return known(a) })
		if known(b) {
			t.Fatal("b isn't behind")
		}
		a.powerOff()
		s.isolate(b, false)
		took := s.until("in service on b", 3*scenarioD, func() bool { return b.serves(0) })
		if !known(b) {
			t.Error("b serves, and doesn't know what was committed")
		}
		if took > scenarioD*3/2 {
			t.Errorf("seed %d: it took %v", seed, took)
		}
		s.run(scenarioD)
		if v := w.core.View(w.local()); v.Leader == w.id {
			t.Error("the witness leads on")
		}
		s.all()
	}
}

// A machine stands still with its clock and goes on, at every moment around an
// eviction. The old owner may answer for its remaining lease, and no longer.
func TestScenarioHaltedOwner(t *testing.T) {
	var worst time.Duration
	for k := range rounds(25) {
		s := newStage(t, Config{Seed: uint64(k), Nodes: 3})
		a := s.nodes[0]
		s.run(time.Duration(k) * 11 * time.Millisecond)
		a.freeze(true)
		s.run(scenarioD/2 + time.Duration(k)*scenarioD/8)
		a.thaw()
		var both time.Duration
		const tick = 5 * time.Millisecond
		for range 3 * scenarioD / tick {
			s.run(tick)
			if a.serves(0) && (s.nodes[1].serves(0) || s.nodes[2].serves(0)) {
				both += tick
			}
		}
		worst = max(worst, both)
		s.all()
	}
	if limit := scenarioD + cluster.MarginFor(scenarioD); worst > limit {
		t.Errorf("two answered for %v, at most %v are documented", worst, limit)
	}
	t.Logf("two answered for at most %v of a detection time of %v", worst, scenarioD)
}

// The leader stands still, with or without its clock, between the promises and
// the commit of the eviction, and goes on after others have acted.
func TestScenarioHaltedEvictor(t *testing.T) {
	for k := range rounds(16) {
		s := newStage(t, Config{Seed: uint64(k), Nodes: 3})
		a, b := s.nodes[0], s.nodes[1]
		s.lead(b)
		halted := false
		s.answered(a, func(voter *node) {
			halted = true
			victim := b
			if k%4 == 3 {
				victim = voter
			}
			victim.freeze(k%2 == 0)
			s.isolate(a, k%8 >= 4)
			s.after(time.Duration(k+1)*scenarioD/5, victim.thaw)
		})
		s.isolate(a, true)
		s.until("promised", 3*scenarioD, func() bool { return halted })
		s.run(8 * scenarioD)
		s.all()
	}
}

// The detection time is lowered and voters change while the owner is heard only
// by those who go; one voter restarts. Its lease is respected all the same.
func TestScenarioVotersTurnOverBehindTheOwner(t *testing.T) {
	for k := range rounds(24) {
		s := newStage(t, Config{Seed: uint64(k), Nodes: 5})
		x := s.nodes[0]
		s.lead(s.nodes[1+k%4])
		for _, n := range s.nodes[3:] {
			s.cut(x, n, true)
			s.cut(n, x, true)
		}
		s.run(scenarioD*6/5 + time.Duration(k)*scenarioD/40)
		step := scenarioD / time.Duration(10+k*8)
		if k%3 != 0 {
			s.ask(cluster.Command{SetDetection: &cluster.SetDetection{Detection: scenarioD / 2}})
		}
		s.run(step)
		for range 3 {
			s.changeMember(s.nodes[1])
			s.run(step)
			s.changeMember(s.nodes[2])
			s.run(step)
		}
		s.isolate(x, true)
		s.nodes[3+k%2].killDaemon()
		s.run(6 * scenarioD)
		s.all()
	}
}

// No datagram of A arrives any more, and none reaches it; connections are as
// they were. A answers when it is asked, with a lease that lives, so nothing
// moves, however long it lasts.
func TestScenarioDatagramsLost(t *testing.T) {
	s := newStage(t, Config{Seed: 21, Nodes: 3})
	a, b := s.nodes[0], s.nodes[1]
	s.lead(b)
	g := s.newest().Node(a.id).Generation
	for i := range s.nodes {
		s.net.link(a.idx, i).loss, s.net.link(i, a.idx).loss = 100, 100
	}
	for range rounds(40) {
		s.run(scenarioD / 2)
		if !a.serves(0) {
			t.Fatal("a doesn't serve any more")
		}
	}
	if n := s.newest().Node(a.id); n.Generation != g {
		t.Errorf("a was admitted anew: %+v", n)
	}
	s.all()
}
