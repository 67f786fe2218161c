package world

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// controls say in which cluster the lack of each rule shows soonest.
var controls = map[string]Config{
	"no-lease-end":     {Nodes: 3, Provoke: true},
	"no-restart-wait":  {Nodes: 3, Provoke: true},
	"no-margin":        {Nodes: 3},
	"ack-after":        {Nodes: 3, Provoke: true},
	"no-conf-wait":     {Nodes: 5, Provoke: true, Changes: true},
	"forget-promises":  {Nodes: 2, Witnesses: 1, Provoke: true},
	"minority":         {Nodes: 5},
	"send-before-sync": {Nodes: 3, Provoke: true},
	"no-stamp-wait":    {Nodes: 2, Stores: 1},
	"blind-save":       {Nodes: 2, Stores: 1, Provoke: true},
	"answer-first":     {Nodes: 2, Stores: 1, Provoke: true},
}

// TestNegativeControls: a checker that never fails shows nothing. Without each
// rule some schedule must violate an invariant.
func TestNegativeControls(t *testing.T) {
	const most = 400
	for _, name := range BrokenNames() {
		t.Run(name, func(t *testing.T) {
			t.Parallel()
			cfg, ok := controls[name]
			if !ok {
				t.Fatal("no configuration to show it in")
			}
			cfg.Hierarchies, cfg.Detection = 1, cluster.DetectionBalanced
			cfg.Broken, _ = BrokenBy(name)
			for seed := range uint64(most) {
				cfg.Seed = seed
				if _, err := Torture(cfg); err != nil {
					t.Logf("noticed at seed %d: %.160s", seed, err)
					return
				}
			}
			t.Errorf("not noticed in %d schedules", most)
		})
	}
	if len(controls) != len(BrokenNames()) {
		t.Errorf("%d configurations for %d rules", len(controls), len(BrokenNames()))
	}
}

// TestQueue compares the queue with the order that it promises.
func TestQueue(t *testing.T) {
	var q queue
	r := uint64(1)
	next := func(n uint64) uint64 { r = mix(r); return r % n }
	var last time.Duration
	order := map[time.Duration][]int32{}
	for i := range int32(5000) {
		at := last + time.Duration(next(50))
		q.push(at, item{from: i})
		order[at] = append(order[at], i)
		for q.len() > 0 && next(3) == 0 {
			at, it := q.pop()
			if at < last {
				t.Fatalf("%v came after %v", at, last)
			}
			if want := order[at][0]; it.from != want {
				t.Fatalf("at %v came %d, want %d", at, it.from, want)
			}
			order[at] = order[at][1:]
			last = at
		}
	}
}
