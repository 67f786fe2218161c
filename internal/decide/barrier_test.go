package decide

import (
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestNothingStartsOnAnOldState: the daemon before this one stopped all, and the
// next owner serves; this node's state doesn't show it yet. A check that looks
// beyond the machine finds the service well. Nothing may be started on that.
func TestNothingStartsOnAnOldState(t *testing.T) {
	th := newTheatre()
	th.setUp([]string{"a", "b"})
	th.hierarchy(t, []string{"web", "on", "a", "b", ":", "ip", "nginx<ip", "probe?<nginx"})
	th.plan(false)
	th.allWell(1)
	old := th.s.Clone()
	th.do(t, "move web b")
	th.allWell(1)
	th.plan(false)
	th.allWell(2)
	if h := th.s.Hierarchy("web"); h.Owner != 2 || !h.Status.Serving() {
		t.Fatalf("owner %v, %s", h.Owner, h.Status)
	}

	x := NewExecutor(1, 7)
	x.Adopt(th.instant(), []Running{{Hierarchy: "web", Epoch: 1}})
	x.SetState(th.instant(), old, 1)
	x.Lease(th.instant(), true)
	for range 5 {
		actions, _ := x.Step(th.instant())
		for _, a := range actions {
			if a.Act == Start || a.Act == Recover {
				t.Fatalf("%s %s/%s on a state from before the switchover", a.Act, a.Hierarchy, a.Resource)
			}
			r := Result{Action: a.ID, Outcome: Succeeded}
			switch {
			case a.Act != Check:
			case a.Resource == "probe":
				r.Health = cluster.InService
			default:
				r.Health = cluster.OutOfService
			}
			x.Done(th.instant(), r)
		}
	}
}

// A daemon is killed while its node leaves, and the next one finds what the
// guardian still lists. The node has left, and must be able to come back.
func TestFoundByANodeThatHasLeft(t *testing.T) {
	th := calmTheatre(t)
	epoch := th.s.Hierarchy("web").Epoch
	for _, c := range []struct {
		name  string
		found cluster.Epoch
		clean bool
	}{{"what it had", epoch, true}, {"something newer than the state", epoch + 1, false}} {
		s := th.s.Clone()
		s.Node(1).Presence = cluster.Left
		for i := range s.Hierarchies {
			s.Hierarchies[i].Owner, s.Hierarchies[i].Generation = 0, 0
		}
		x := NewExecutor(1, 7)
		x.Adopt(th.instant(), []Running{{Hierarchy: "web", Epoch: c.found}})
		x.SetState(th.instant(), s, 0)
		for range 5 {
			actions, _ := x.Step(th.instant())
			for _, a := range actions {
				if a.Act != Kill && a.Act != Unguard {
					t.Fatalf("%s: %s %s", c.name, a.Act, a.Hierarchy)
				}
				x.Done(th.instant(), Result{Action: a.ID, Outcome: Succeeded})
			}
		}
		if x.Clean() != c.clean {
			t.Errorf("%s: clean %v", c.name, x.Clean())
		}
	}
}

// What ran under an epoch ends with it, also when the same node has the
// hierarchy again before it noticed that it was without it.
func TestLaterEpochOfTheSameNode(t *testing.T) {
	th := calmTheatre(t)
	x, s := th.actors[1].x, th.s.Clone()
	h := s.Hierarchy("web")
	old := h.Epoch
	h.Epoch, h.Status = old+1, cluster.Starting
	x.SetState(th.instant(), s, 1)
	killed, served := false, false
	for range 40 {
		actions, commands := x.Step(th.instant())
		for _, a := range actions {
			killed = killed || a.Act == Kill && a.Epoch == old
			if a.Epoch == h.Epoch && !killed {
				t.Fatalf("%s %s/%s under epoch %d before what runs under epoch %d is killed", a.Act, a.Hierarchy, a.Resource, a.Epoch, old)
			}
			r := Result{Action: a.ID, Outcome: Succeeded}
			if a.Act == Check {
				r.Health = cluster.InService
			}
			x.Done(th.instant(), r)
		}
		for _, c := range commands {
			served = served || c.Report != nil && c.Report.Epoch == h.Epoch && c.Report.Status.Serving()
		}
	}
	if !killed || !served {
		t.Errorf("killed %v, in service under the new epoch %v", killed, served)
	}
}
