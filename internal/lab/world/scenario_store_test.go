package world

import (
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// Situations of two nodes and a storage witness: docs/design/storage-witness.md.

func twoAndAStore(t *testing.T, seed uint64) (s *stage, a, b *node, st *store) {
	t.Helper()
	s = newStage(t, Config{Seed: seed, Nodes: 2, Stores: 1})
	return s, s.nodes[0], s.nodes[1], s.stores[0]
}

// reachable cuts nodes off the store, or ends that.
func (st *store) reachable(yes bool, ns ...*node) {
	for _, n := range ns {
		st.reach[n.idx].cut = !yes
	}
}

// Any one of the three is lost: the other two go on.
func TestScenarioStoreAnyOneOfThree(t *testing.T) {
	for seed := range uint64(rounds(8)) {
		s, a, b, st := twoAndAStore(t, seed)
		s.lead(a)
		a.powerOff()
		took := s.until("in service on b", 2*scenarioD, func() bool { return b.serves(0) })
		// One in fifteen seeds needs a second campaign.
		if limit := scenarioD * 3 / 2; took > limit {
			t.Errorf("seed %d: taken over after %v, want at most %v", seed, took, limit)
		}
		a.powerOn()
		s.until("settled", 8*scenarioD, s.settled)
		b.powerOff()
		s.until("in service on a", 2*scenarioD, func() bool { return a.serves(0) })
		s.all()
		st.missing = true
		end := s.now + 10*scenarioD
		for s.now < end {
			s.run(10 * time.Millisecond)
			if !a.serves(0) {
				t.Fatalf("seed %d: the store is lost and a stopped serving at %v", seed, s.now)
			}
		}
		s.all()
	}
}

// A and B don't see each other and both see the store; B leads and A serves.
// Nothing moves, and what is asked of one is known to the other by way of the
// store.
func TestScenarioStoreTwoCutStoreSeesBoth(t *testing.T) {
	s, a, b, _ := twoAndAStore(t, 1)
	s.lead(b)
	if !a.serves(0) {
		t.Fatal("a doesn't serve")
	}
	s.cut(a, b, true)
	s.cut(b, a, true)
	s.after(5*scenarioD, func() {
		b.deliver(core.Propose{Command: cluster.Command{ID: 4711, Reason: cluster.Because("PD9901"),
			SetHierarchy: &cluster.SetHierarchy{Name: "h1", Policy: &cluster.Policy{Switchback: true}}}})
	})
	end := s.now + 20*scenarioD
	for s.now < end {
		s.run(10 * time.Millisecond)
		if !a.serves(0) {
			t.Fatalf("a stopped serving at %v", s.now)
		}
	}
	if !a.core.State().Hierarchy("h1").Policy.Switchback {
		t.Error("a doesn't know what was committed 15 detection times ago")
	}
	s.all()
}

// An entry is on A and in the object only; B is behind, A dies. The passive
// voter, stepped by B, leads until B is up to date.
func TestScenarioStoreOnlyTheObjectHasIt(t *testing.T) {
	for seed := range uint64(rounds(12)) {
		s, a, b, _ := twoAndAStore(t, seed)
		s.lead(a)
		s.isolate(b, true)
		s.stores[0].reachable(false, b)
		s.run(scenarioD / 8)
		a.deliver(core.Propose{Command: cluster.Command{ID: 4711, Reason: cluster.Because("PD9901"),
			SetHierarchy: &cluster.SetHierarchy{Name: "h1", Policy: &cluster.Policy{Switchback: true}}}})
		known := func(n *node) bool { return n.core != nil && n.core.State().Hierarchy("h1").Policy.Switchback }
		s.until("committed by a and the object", scenarioD, func() bool { return known(a) })
		if known(b) {
			t.Fatal("b isn't behind")
		}
		a.powerOff()
		s.isolate(b, false)
		s.stores[0].reachable(true, b)
		took := s.until("in service on b", 3*scenarioD, func() bool { return b.serves(0) })
		if !known(b) {
			t.Error("b serves, and doesn't know what was committed")
		}
		if took > scenarioD*3/2 {
			t.Errorf("seed %d: it took %v", seed, took)
		}
		s.all()
	}
}

// A machine stands still with its clock at every moment around the evictions
// that the store decides, with saves of its own under way, and goes on. The old
// owner may answer for its remaining lease, and no longer.
func TestScenarioStoreHalted(t *testing.T) {
	for k := range rounds(40) {
		s, a, b, st := twoAndAStore(t, uint64(k))
		st.latency = time.Duration(1+k%5*40) * time.Millisecond
		victim := a
		if k%3 == 1 {
			// The evictor stands still instead, while A is cut off.
			s.lead(b)
			victim = b
			s.isolate(a, true)
			st.reachable(false, a)
			s.run(scenarioD - scenarioD/10 + time.Duration(k)*scenarioD/100)
			s.isolate(a, false)
			st.reachable(true, a)
		}
		s.run(time.Duration(k) * 11 * time.Millisecond)
		victim.freeze(k%4 != 3)
		s.run(scenarioD/2 + time.Duration(k)*scenarioD/10)
		victim.thaw()
		s.run(4 * scenarioD)
		s.all()
	}
}

// The store and the paths between the nodes are lost together: neither can know
// of the other, so nobody serves, and the first pair that comes back does.
func TestScenarioStorePathsAndStoreLostTogether(t *testing.T) {
	s, a, b, st := twoAndAStore(t, 3)
	s.isolate(a, true)
	st.missing = true
	s.run(3 * scenarioD)
	if a.serves(0) || b.serves(0) {
		t.Error("a node serves alone, and the other might as well")
	}
	st.missing = false
	s.until("in service", 4*scenarioD, func() bool { return a.serves(0) || b.serves(0) })
	s.all()
}

// The paths are cut and one node only reaches the store: that one has it.
func TestScenarioStoreOneSideReachesIt(t *testing.T) {
	s, a, b, st := twoAndAStore(t, 4)
	if !a.serves(0) {
		t.Fatal("a doesn't serve")
	}
	s.isolate(a, true)
	st.reachable(false, a)
	s.until("in service on b", 2*scenarioD, func() bool { return b.serves(0) && !a.serves(0) })
	s.all()
}

// Both are off. Either one comes back alone, and serves with the store's vote
// and what the store knows.
func TestScenarioStoreBothDownOneBack(t *testing.T) {
	for k := range 2 {
		s, a, b, _ := twoAndAStore(t, uint64(k))
		one := []*node{a, b}[k]
		a.powerOff()
		b.powerOff()
		s.run(scenarioD)
		one.powerOn()
		s.until("in service on the one that is back", 6*scenarioD, func() bool { return one.serves(0) })
		s.all()
	}
}

// A node that boots without any communication, neither peer nor store, serves
// nothing.
func TestScenarioStoreBootAlone(t *testing.T) {
	s, a, b, st := twoAndAStore(t, 5)
	a.powerOff()
	b.powerOff()
	s.isolate(a, true)
	st.reachable(false, a)
	s.run(scenarioD)
	a.powerOn()
	s.run(20 * scenarioD)
	if a.serves(0) {
		t.Error("a node without any vote but its own serves")
	}
	s.all()
}

// The store goes first, which moves nothing and is an alarm on both nodes; a
// node that dies then takes the service with it until it or the store is back.
func TestScenarioStoreLostThenANode(t *testing.T) {
	s, a, b, st := twoAndAStore(t, 6)
	alarmed := s.alarms()
	st.missing = true
	s.run(scenarioD)
	if alarmed[a.id] == "" || alarmed[b.id] == "" {
		t.Errorf("alarms after a detection time without the store: %v", alarmed)
	}
	a.powerOff()
	s.run(5 * scenarioD)
	if b.serves(0) {
		t.Error("one of three votes was enough")
	}
	st.missing = false
	s.until("in service on b", 4*scenarioD, func() bool { return b.serves(0) })
	s.all()
}

// alarms collects what is said of the store, by node.
func (s *stage) alarms() map[cluster.NodeID]string {
	said := make(map[cluster.NodeID]string)
	s.observe = func(n *node, eff *core.Effects) {
		for _, r := range eff.Alarms {
			if r.Code == core.AlarmStorage {
				said[n.id] = strings.Join(r.Args, " ")
			}
		}
	}
	return said
}

// A store that lies: whatever it does, nobody serves twice, and both nodes say
// what is wrong while the service stays where it is.
func TestScenarioStoreLies(t *testing.T) {
	for name, lie := range map[string]func(*stage, *store){
		"went back": func(s *stage, st *store) {
			st.versions = append(st.versions, st.versions[len(st.versions)-20])
		},
		"forked": func(s *stage, st *store) {
			// As a copy of the disk that another machine has gone on with.
			w := core.NewStepper(9, st.voter, core.StoreID{Cluster: "sim", Lineage: 1, Store: "s1"}, 1, s.cfg.Broken)
			object := st.versions[len(st.versions)-20]
			for range 40 {
				next, _, err := w.Step(object, &core.Batch{Help: true})
				if err != nil {
					s.t.Fatal(err)
				}
				w.Saved(core.SaveDone)
				object = next
			}
			st.versions = append(st.versions, object)
		},
		"made anew": func(s *stage, st *store) {
			st.versions = append(st.versions, core.NewObject(core.StoreID{Cluster: "sim", Lineage: 1, Store: "s1"}, 5))
		},
		"another cluster": func(s *stage, st *store) {
			st.versions = append(st.versions, core.NewObject(core.StoreID{Cluster: "other", Lineage: 1, Store: "s1"}, 5))
		},
		"another lineage": func(s *stage, st *store) {
			st.versions = append(st.versions, core.NewObject(core.StoreID{Cluster: "sim", Lineage: 2, Store: "s1"}, 5))
		},
		"torn": func(s *stage, st *store) {
			last := st.versions[len(st.versions)-1]
			st.versions = append(st.versions, append(last[:len(last)/2:len(last)/2], make([]byte, len(last)/2)...))
		},
	} {
		t.Run(name, func(t *testing.T) {
			s, a, b, st := twoAndAStore(t, 7)
			said := s.alarms()
			s.run(4 * scenarioD)
			lie(s, st)
			s.run(2 * scenarioD)
			if !a.serves(0) {
				t.Error("two healthy nodes don't need the store, and the service is gone")
			}
			if said[a.id] == "" || said[b.id] == "" {
				t.Errorf("not said by everybody: %v", said)
			}
			t.Log(said[a.id])
			a.powerOff()
			s.run(4 * scenarioD)
			if b.serves(0) {
				t.Error("the word of a store that lies was enough to take over")
			}
		})
	}
}

// A store that loses updates is found out by whoever's update is lost.
func TestScenarioStoreLosesUpdates(t *testing.T) {
	s, a, _, st := twoAndAStore(t, 8)
	said := s.alarms()
	st.blind = true
	st.latency = 100 * time.Millisecond
	s.until("noticed", 40*scenarioD, func() bool { return len(said) > 0 })
	if !a.serves(0) {
		t.Error("the service is gone")
	}
}

// A store that hangs delays nobody's heartbeats.
func TestScenarioStoreHangs(t *testing.T) {
	s, a, b, st := twoAndAStore(t, 9)
	st.reach[a.idx].hanging, st.reach[b.idx].hanging = true, true
	worst := time.Duration(0)
	last := map[cluster.NodeID]time.Duration{}
	s.observe = func(n *node, eff *core.Effects) {
		if eff.Beat != nil {
			if at, ok := last[n.id]; ok {
				worst = max(worst, s.now-at)
			}
			last[n.id] = s.now
		}
	}
	s.run(20 * scenarioD)
	if limit := s.timing().Heartbeat * 11 / 10; worst > limit {
		t.Errorf("%v between two heartbeats, want at most %v", worst, limit)
	}
	if !a.serves(0) {
		t.Error("the service is gone")
	}
	s.all()
}

// Three nodes and a storage witness: it has no vote, because votes are odd,
// until a node is gone for good.
func TestScenarioStoreBesideThreeNodes(t *testing.T) {
	s := newStage(t, Config{Seed: 10, Nodes: 3, Stores: 1})
	st := s.stores[0]
	if s.newest().IsVoter(st.voter) {
		t.Fatal("four votes")
	}
	s.nodes[2].powerOff()
	s.until("a learner", 10*scenarioD, func() bool {
		if s.newest().IsVoter(s.nodes[2].id) {
			s.ask(cluster.Command{Member: &cluster.Member{Node: s.nodes[2].id, As: cluster.AsLearner}})
		}
		return s.newest().IsVoter(st.voter)
	})
	s.nodes[0].powerOff()
	// An election through the store may need several tries: of 40 seeds most take
	// 3 to 6 s, and some 12 s.
	s.until("in service on the last node", 6*scenarioD, func() bool { return s.nodes[1].serves(0) })
	s.all()
}
