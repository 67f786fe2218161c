package world

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Everybody is cut from everybody, for so long that the owner's guardian kills
// what runs; nobody is evicted. When the paths are back, the service is back
// behind an open gate.
func TestScenarioEverybodyAlone(t *testing.T) {
	s := newStage(t, Config{Seed: 3, Nodes: 3, Hierarchies: 2})
	for _, n := range s.nodes {
		s.isolate(n, true)
	}
	s.run(4 * scenarioD)
	for h := range s.check.hnames {
		for _, n := range s.nodes {
			if len(n.kits.up[h].running) != 0 || n.serves(h) {
				t.Errorf("%s still runs %s", n.name, s.check.hnames[h])
			}
		}
	}
	s.all()
	again := false
	for _, h := range s.newest().Hierarchies {
		again = again || h.Epoch == 1
	}
	if !again {
		t.Error("each moved: nothing shows that it comes back where it was")
	}
}

// A planned stop leaves the services running: nobody takes over, however long
// it lasts, and a start takes them back as they are.
func TestScenarioPlannedStopKeepsServices(t *testing.T) {
	s := newStage(t, Config{Seed: 4, Nodes: 3, Watchdog: 2 * scenarioD})
	a := s.nodes[0]
	a.stop(stopKeep)
	s.until("stopped", 2*scenarioD, func() bool { return a.core == nil && a.guardian == nil })
	end := s.now + 20*scenarioD
	for s.now < end {
		s.run(10 * time.Millisecond)
		if !a.serves(0) {
			t.Fatalf("the service stopped at %v", s.now)
		}
	}
	a.startAgain(false)
	s.until("managed", 10*scenarioD, func() bool { return s.newest().Node(a.id).Presence == cluster.Present })
	if st := s.newest(); !a.serves(0) || st.Hierarchy("h1").Epoch != 1 || st.Node(a.id).Presence != cluster.Present {
		t.Errorf("epoch %d, a is %s", st.Hierarchy("h1").Epoch, st.Node(a.id).Presence)
	}
	s.all()
}

// A node comes back from a planned stop and is cut off at every moment of it.
// It is either still unmanaged, or its guardian holds the deadlines.
func TestScenarioCutWhileManagedAgain(t *testing.T) {
	for k := range rounds(40) {
		s := newStage(t, Config{Seed: uint64(k), Nodes: 3})
		a := s.nodes[0]
		a.stop(stopKeep)
		s.until("stopped", 2*scenarioD, func() bool { return a.core == nil && a.guardian == nil })
		s.run(2 * scenarioD)
		a.startAgain(false)
		s.run(time.Duration(k) * scenarioD / 80)
		s.isolate(a, true)
		s.run(6 * scenarioD)
		s.all()
	}
}

// A clean stop with a move: the clients notice little, and the node is gone in
// order.
func TestScenarioCleanStopMoves(t *testing.T) {
	s := newStage(t, Config{Seed: 5, Nodes: 3})
	a := s.nodes[0]
	a.stop(stopMove)
	gone := func() bool {
		for _, n := range s.nodes[1:] {
			if n.serves(0) {
				return true
			}
		}
		return false
	}
	if took := s.until("moved", 2*scenarioD, gone); took > scenarioD/2 {
		t.Errorf("the move took %v", took)
	}
	s.until("departed", scenarioD, func() bool { return a.core == nil && a.guardian == nil })
	if p := s.newest().Node(a.id).Presence; p != cluster.Left {
		t.Errorf("a is %s", p)
	}
	for _, e := range s.newest().Timeline {
		if e.Kind == cluster.KindEvicted {
			t.Error("somebody was evicted")
		}
	}
	s.all()
}

// A clean stop without a move takes the service down, and nobody brings it up
// by surprise.
func TestScenarioCleanStopHere(t *testing.T) {
	s := newStage(t, Config{Seed: 6, Nodes: 3})
	a := s.nodes[0]
	a.stop(stopHere)
	s.until("departed", 2*scenarioD, func() bool { return a.core == nil && a.guardian == nil })
	s.run(10 * scenarioD)
	for _, n := range s.nodes {
		if n.serves(0) {
			t.Errorf("%s serves", n.name)
		}
	}
	s.all()
}

// A disk is lost with its machine. The node is removed, joins again under a new
// id, gets its vote back and can take over.
func TestScenarioDiskLost(t *testing.T) {
	s := newStage(t, Config{Seed: 7, Nodes: 3})
	c := s.nodes[2]
	c.powerOff()
	old := c.id
	c.id, c.disk = 0, disk{latency: time.Millisecond}
	s.run(3 * scenarioD)
	s.replace(c, old)
	s.until("joined", 20*scenarioD, func() bool { return s.settled() && s.newest().IsVoter(c.id) })
	if s.newest().Node(old) != nil {
		t.Error("the old node is still there")
	}
	s.until("extended", 10*scenarioD, func() bool { return len(s.newest().Hierarchy("h1").Nodes) == 3 })
	s.nodes[0].powerOff()
	s.nodes[1].powerOff()
	s.run(2 * scenarioD)
	if c.serves(0) {
		t.Error("one of three serves alone")
	}
	s.nodes[1].powerOn()
	s.until("in service on one of the two", 8*scenarioD, func() bool { return c.serves(0) || s.nodes[1].serves(0) })
	s.all()
}

// The watchdog resets a machine whose userland stands still, and the service is
// elsewhere by then.
func TestScenarioWatchdog(t *testing.T) {
	s := newStage(t, Config{Seed: 8, Nodes: 3, Watchdog: 2 * scenarioD})
	a := s.nodes[0]
	boot := a.boot
	a.freeze(false)
	s.until("in service elsewhere", 2*scenarioD, func() bool { return s.nodes[1].serves(0) || s.nodes[2].serves(0) })
	s.until("reset", 4*scenarioD, func() bool { return a.boot > boot && a.power })
	s.all()
}

// The last node stops in order: what nobody can take stays wanted, and isn't
// given back to the one that goes.
func TestScenarioLastNodeStops(t *testing.T) {
	s := newStage(t, Config{Seed: 9, Nodes: 2, Witnesses: 1, Hierarchies: 2})
	a, b := s.nodes[0], s.nodes[1]
	b.powerOff()
	s.until("all on a", 4*scenarioD, func() bool { return a.serves(0) && a.serves(1) })
	s.until("led by a", 4*scenarioD, func() bool { return a.core.View(a.local()).Leader == a.id })
	a.stop(stopMove)
	s.until("gone", 4*scenarioD, func() bool { return a.core == nil && a.guardian == nil })
	for _, h := range s.newest().Hierarchies {
		if h.Epoch > 3 || h.Want != cluster.WantInService {
			t.Errorf("%s is wanted %s after %d assignments", h.Name, h.Want, h.Epoch)
		}
	}
	b.powerOn()
	s.until("in service on b", 10*scenarioD, func() bool { return b.serves(0) && b.serves(1) })
	s.all()
}
