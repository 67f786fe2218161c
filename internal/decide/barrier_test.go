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
