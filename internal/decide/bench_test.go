package decide

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// calmTheatre is three nodes with hierarchies in service and nothing due.
func calmTheatre(tb testing.TB) *theatre {
	tb.Helper()
	th := newTheatre()
	th.setUp([]string{"a", "b", "c"})
	for _, name := range []string{"web", "db", "ftp"} {
		th.apply(cluster.Command{CreateHierarchy: &cluster.CreateHierarchy{Name: name, Nodes: []cluster.NodeID{1, 2, 3},
			Want: cluster.WantInService, Resources: []cluster.Resource{resourceOf("x"), resourceOf("y<x")}}})
	}
	th.plan(false)
	th.allWell(1)
	return th
}

// Step is called at every heartbeat: when nothing is due it must cost nothing.
func TestIdleStepsAllocateNothing(t *testing.T) {
	th := calmTheatre(t)
	x, now := th.actors[1].x, th.instant()
	views := []View{{Node: 1, Reachable: true}, {Node: 2, Reachable: true}, {Node: 3, Reachable: true}}
	th.planner.Step(now, th.s, views)
	if n := testing.AllocsPerRun(100, func() {
		th.planner.Step(now, th.s, views)
		x.SetState(now, th.s, 1)
		x.Lease(now, true)
		x.Step(now)
	}); n != 0 {
		t.Errorf("%v allocations", n)
	}
	if x.Next() <= now.Mono || x.Next() > now.Mono+3*time.Second {
		t.Errorf("the next check is at %v, now is %v", x.Next(), now.Mono)
	}
}

func BenchmarkIdleExecutor(b *testing.B) {
	th := calmTheatre(b)
	x, now := th.actors[1].x, th.instant()
	for b.Loop() {
		x.SetState(now, th.s, 1)
		x.Lease(now, true)
		x.Step(now)
	}
}

func BenchmarkIdlePlanner(b *testing.B) {
	th := calmTheatre(b)
	now := th.instant()
	views := []View{{Node: 1, Reachable: true}, {Node: 2, Reachable: true}, {Node: 3, Reachable: true}}
	th.planner.Step(now, th.s, views)
	for b.Loop() {
		th.planner.Step(now, th.s, views)
	}
}
