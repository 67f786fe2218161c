package demo

import (
	"context"
	"errors"
	"os"
	"testing"

	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/vm"
)

// TestControlsInMachines are the negative controls of all scenarios in machines: with
// a part of the safety taken away the judge must see two nodes serve at once.
//
// Without gate: the kernel of a node whose userland stands still goes on answering.
// Without lease: a cut-off owner whose guardian and daemon stand still goes on as if
// it had its lease, and nothing closes the gate (which UML has none of anyway).
func TestControlsInMachines(t *testing.T) {
	kind := os.Getenv("PERDURE_LAB_VM")
	if kind == "" {
		t.Skip("SKIPPED: virtual machines are booted by make lab, which sets PERDURE_LAB_VM to uml or qemu")
	}
	if err := vm.Usable(vm.Kind(kind)); err != nil {
		t.Skip(err)
	}
	o := Options{Binary: buildPerdure(t), Once: true, Lang: "en", Machines: kind, Live: testLog{t}}
	troupe := troupe{options: o, open: open, say: t.Logf}
	defer func() {
		if err := troupe.close(); err != nil {
			t.Error(err)
		}
	}()
	stage, err := troupe.stage(t.Context(), false)
	if err != nil {
		t.Fatal(err)
	}
	for _, control := range []struct {
		name  string
		steps []Step
	}{
		{"without gate", []Step{{Do: "freeze owner for 8s", Await: Served}}},
		{"without lease", []Step{{Do: "hang-guardian owner"}, {Do: "isolate owner", Await: Moved, Wait: watch}}},
	} {
		t.Run(control.name, func(t *testing.T) {
			s := Scenario{Name: "control", Title: Text{"negative control", "陰性対照"}, Steps: control.steps, Expect: anywhere(takeover)}
			result := playBroken(t, stage.(*vmStage), troupe.options, s)
			t.Logf("%s → %s: %s", result.Owner, result.After, result.Verdict)
			if len(result.Verdict.Doubles) == 0 || result.Survived() {
				t.Errorf("two nodes that serve at once aren't seen: %s", result.Verdict)
			}
		})
	}
}

// playBroken plays a scenario while the owner's gate is taken away from the first
// fault on, where there is one. A daemon hangs with its guardian.
func playBroken(t *testing.T, stage *vmStage, o Options, s Scenario) Result {
	t.Helper()
	ctx, mend := context.WithCancel(t.Context())
	defer mend()
	broken, breaking := make(chan error, 1), false
	daemon := func(node, signal string) {
		n, err := stage.Node(node)
		if err == nil {
			_, err = n.Run(ctx, "pkill", signal, "-f", "perdure daemon")
		}
		if err != nil {
			t.Error(err)
		}
	}
	runner := Runner{Stage: stage, Timing: o.timing(), Mend: true, Say: func(h Happening) {
		f, err := fault.Parse(h.What)
		if err != nil {
			return
		}
		if stage.HasGate() && !breaking {
			breaking = true
			go func() { broken <- stage.BreakGate(ctx, f.Node) }()
		}
		switch f.Kind {
		case fault.HangGuardian:
			daemon(f.Node, "-STOP")
		case fault.ResumeGuardian:
			daemon(f.Node, "-CONT")
		}
	}}
	result, err := runner.Run(ctx, s)
	mend()
	if breaking {
		err = errors.Join(err, <-broken)
	}
	if err != nil {
		t.Fatal(err)
	}
	return result
}
