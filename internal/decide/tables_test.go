package decide

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

func TestEffective(t *testing.T) {
	d := Defaults()
	if got := Effective(cluster.Common{}, d); got != d {
		t.Errorf("nothing set: %+v", got)
	}
	set := cluster.Common{CheckInterval: 1, CheckTimeout: 2, DeepInterval: -1, DeepTimeout: 3, StartTimeout: 4, StopTimeout: 5,
		RecoveryWithin: 6, RecoveryMax: -1}
	if got := Effective(set, d); got != set {
		t.Errorf("all set: %+v", got)
	}
	got := Effective(cluster.Common{StopTimeout: time.Hour}, d)
	if got.StopTimeout != time.Hour || got.StartTimeout != d.StartTimeout || got.RecoveryMax != 3 {
		t.Errorf("one set: %+v", got)
	}
}

func TestBackoff(t *testing.T) {
	for rounds, want := range map[int]time.Duration{
		0: 5 * time.Second, 1: 10 * time.Second, 5: 160 * time.Second, 6: 5 * time.Minute, 1000: 5 * time.Minute, -1: 5 * time.Second,
	} {
		if got := Backoff(rounds); got != want {
			t.Errorf("after round %d: %v, want %v", rounds, got, want)
		}
	}
}

// The watchdog's wait covers its time-out by a clock that is 1 % slower than
// ours on a machine whose clock is 1 % faster.
func TestWatchdogWait(t *testing.T) {
	for _, s := range []int{1, 60, 600} {
		d := time.Duration(s) * time.Second
		if got := WatchdogWait(s); got < d*101/99+watchdogSlack {
			t.Errorf("%d s: %v", s, got)
		}
	}
}

func TestChecksAreSpread(t *testing.T) {
	x := NewExecutor(1, 1)
	seen := make(map[time.Duration]bool)
	for _, name := range []string{"a", "b", "c", "d"} {
		res := x.newResource("web", cluster.Resource{Name: name})
		for range 50 {
			d := res.spread8(2 * time.Second)
			if d < 1750*time.Millisecond || d > 2250*time.Millisecond {
				t.Fatalf("%v is out of bounds", d)
			}
			seen[d] = true
		}
		if d := res.spread8(3); d <= 0 {
			t.Fatalf("a short interval becomes %v", d)
		}
	}
	if len(seen) < 190 {
		t.Errorf("200 delays have %d values", len(seen))
	}
}

// News of an earlier instance, of unknown resources, or before any state must
// not do harm.
func TestStrayEvents(t *testing.T) {
	x := NewExecutor(1, 1)
	now := cluster.Instant{}
	x.Observe(now, KitEvent{Hierarchy: "web", Resource: "x", Health: cluster.Failed})
	x.Done(now, Result{Action: 7, Outcome: Succeeded})
	if a, c := x.Step(now); a != nil || c != nil || !x.Clean() {
		t.Errorf("before any state: %v, %v", a, c)
	}
	th := calmTheatre(t)
	x = th.actors[1].x
	for _, ev := range []KitEvent{
		{Hierarchy: "web", Resource: "x", Instance: 999999, Health: cluster.OutOfService},
		{Hierarchy: "web", Resource: "nothing", Health: cluster.OutOfService},
		{Hierarchy: "nothing", Resource: "x", Health: cluster.OutOfService},
	} {
		x.Observe(th.instant(), ev)
	}
	x.Done(th.instant(), Result{Action: 999999})
	if a, c := x.Step(th.instant()); len(a)+len(c) > 0 {
		t.Errorf("stray events led to %v, %v", a, c)
	}
	if x.Clean() {
		t.Error("clean although everything runs")
	}
}
