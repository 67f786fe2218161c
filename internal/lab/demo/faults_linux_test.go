package demo

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/lab/fault"
)

// buildPerdure builds the binary that the nodes run.
func buildPerdure(t *testing.T) string {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("the process lab needs root for namespaces and cgroups")
	}
	if source, err := filepath.Glob("../../../cmd/perdure/*.go"); err != nil || len(source) == 0 {
		t.Skip("there is no cmd/perdure in this tree to be tested")
	}
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	binary := filepath.Join(t.TempDir(), "perdure")
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "../../../cmd/perdure")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build perdure: %v\n%s", err, out)
	}
	return binary
}

// brief are the scenarios that TestFaults plays: those of safety, and one of each
// kind of the others. The demo plays all of them.
var brief = []string{
	"server-killed", "server-mute", "start-fails", "daemon-killed", "planned-stop",
	"switchover", "clean-stop", "power-loss", "stale-rejoin", "lost-state", "corrupt-state",
	"both-paths-lost", "two-nodes-cut", "deaf-owner", "isolated",
	"frozen-2s", "frozen-20s", "two-off-one-back", "all-off",
	"witness-lost", "witness-node-lost", "witness-then-node",
}

// quick are those that are played under the fast profile too.
var quick = []string{"server-killed", "switchover", "power-loss", "isolated", "one-path-cut", "daemon-killed"}

// newer are those that are played with an IPv6 service address and comm paths over
// IPv6: the address comes, moves, and is silenced where the node goes on answering.
var newer = []string{"server-killed", "switchover", "power-loss", "isolated", "frozen-20s", "one-path-cut"}

// TestFaults plays scenarios on real processes, one subtest each.
func TestFaults(t *testing.T) {
	binary := buildPerdure(t)
	options := Options{Binary: binary, Once: true, Lang: "en"}
	playAll(t, "three nodes", options, brief, false)
	playAll(t, "two nodes and a witness", options, brief, true)
	options.Detection = cluster.DetectionFast
	playAll(t, "fast profile", options, quick, false)
	options.Detection, options.IPv6 = 0, true
	playAll(t, "IPv6", options, newer, false)
}

// playAll plays the named scenarios with or without a witness in one lab.
func playAll(t *testing.T, name string, o Options, names []string, witness bool) {
	t.Run(name, func(t *testing.T) {
		scenarios, err := Find(names)
		if err != nil {
			t.Fatal(err)
		}
		troupe := troupe{options: o, open: open, say: t.Logf}
		defer func() {
			if err := troupe.close(); err != nil {
				t.Error(err)
			}
		}()
		for _, s := range scenarios {
			if s.Witness == witness {
				t.Run(s.Name, func(t *testing.T) { playOne(t, &troupe, s) })
			}
		}
	})
}

func playOne(t *testing.T, troupe *troupe, s Scenario) {
	stage, err := troupe.stage(t.Context(), s.Witness)
	if err != nil {
		t.Fatal(err)
	}
	runner := Runner{Stage: stage, Timing: troupe.options.timing()}
	result, err := runner.Run(t.Context(), s)
	t.Logf("%s → %s in %v: %s", result.Owner, result.After, result.Took.Round(time.Millisecond), result.Verdict)
	if err != nil {
		t.Error(err)
		result.Broken = true
	}
	for _, problem := range result.Problems {
		t.Error(problem)
	}
	if t.Failed() {
		if why, err := stage.Why(t.Context()); err == nil {
			t.Log(why)
		}
	}
	if result.Broken {
		if err := troupe.close(); err != nil {
			t.Error(err)
		}
	}
}

// TestJudgeSeesDoubleService is the negative control of all scenarios: without
// its gate a frozen node goes on claiming the address, and that must be seen.
func TestJudgeSeesDoubleService(t *testing.T) {
	options := Options{Binary: buildPerdure(t), Once: true, Lang: "en"}
	stage, err := open(t.Context(), options, false)
	if err != nil {
		t.Fatal(err)
	}
	defer func() {
		if err := stage.Close(); err != nil {
			t.Error(err)
		}
	}()
	frozen, err := Find([]string{"frozen-20s"})
	if err != nil {
		t.Fatal(err)
	}
	scenario := frozen[0]
	scenario.Steps = []Step{{Do: "freeze owner for 6s", Await: Served}}
	ctx, cancel := context.WithCancel(t.Context())
	broken := make(chan error, 1)
	// The gate is broken as soon as the freeze is said, and mended with the end.
	runner := Runner{Stage: stage, Timing: options.timing(), Say: func(h Happening) {
		f, err := fault.Parse(h.What)
		if err == nil && f.Kind == fault.Freeze {
			go func() { broken <- stage.(*labStage).BreakGate(ctx, f.Node) }()
		}
	}}
	result, err := runner.Run(t.Context(), scenario)
	cancel()
	if err := <-broken; err != nil {
		t.Fatal(err)
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s → %s: %s", result.Owner, result.After, result.Verdict)
	if len(result.Verdict.Doubles) == 0 || result.Survived() {
		t.Errorf("a frozen node without its gate isn't seen: %s", result.Verdict)
	}
}
