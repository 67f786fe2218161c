package guard

import (
	"slices"
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestQuorumLoss: what a node does to itself when its lease ends, and when.
func TestQuorumLoss(t *testing.T) {
	for _, c := range []struct {
		name  string
		how   cluster.QuorumLoss
		first Event // after it came into service
		want  []bool
	}{
		{name: "out of service", how: cluster.LossOutOfService},
		{name: "by default", how: ""},
		{name: "reboot", how: cluster.LossReboot, want: []bool{false}},
		{name: "power off", how: cluster.LossPowerOff, want: []bool{true}},
		{name: "unmanaged", how: cluster.LossReboot, first: Unmanaged{On: true}},
		{name: "nothing serves", how: cluster.LossReboot, first: Unguard{Hierarchy: "web"}},
		{name: "stopping", how: cluster.LossReboot, first: ShuttingDown{}},
		{name: "an unknown word", how: "explode"},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := inService(t, Config{})
			must(t, w.step(OnLoss{How: c.how}))
			if c.first != nil {
				w.procs["web"] = "none"
				must(t, w.step(c.first))
			}
			must(t, w.run(2499*ms))
			if len(w.halts) > 0 {
				t.Fatal("before the lease ended")
			}
			must(t, w.run(5000*ms))
			if !slices.Equal(w.halts, c.want) {
				t.Errorf("got %v, want %v", w.halts, c.want)
			}
			if w.procs["web"] == "running" && c.first == nil {
				t.Error("it serves on")
			}
		})
	}
}

// A machine that can't be reset goes out of service as always, asks once for
// each loss, and again after a lease that lived.
func TestQuorumLossThatFails(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.step(OnLoss{How: cluster.LossReboot}))
	must(t, w.run(6000*ms))
	if len(w.halts) != 1 || w.procs["web"] != "none" {
		t.Fatalf("asked %d times, web is %s", len(w.halts), w.procs["web"])
	}
	must(t, w.step(w.lease()))
	must(t, w.step(Guard{Hierarchy: "web", Epoch: 8, Addresses: []Address{{vip, "eth0"}}, Cgroups: []string{"web"}}))
	w.procs["web"] = "running"
	must(t, w.run(6000*ms))
	if len(w.halts) != 2 {
		t.Errorf("asked %d times after two losses", len(w.halts))
	}
}
