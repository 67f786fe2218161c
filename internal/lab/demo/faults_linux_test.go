package demo

import (
	"context"
	"os"
	"os/exec"
	"path/filepath"
	"testing"
	"time"
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

// TestFaults plays every scenario on real processes, one subtest each.
func TestFaults(t *testing.T) {
	binary := buildPerdure(t)
	options := Options{Binary: binary, Once: true, Lang: "en"}
	for _, witness := range []bool{false, true} {
		name := "three nodes"
		if witness {
			name = "two nodes and a witness"
		}
		t.Run(name, func(t *testing.T) {
			stage, err := open(t.Context(), options, witness)
			if err != nil {
				t.Fatal(err)
			}
			defer func() {
				if err := stage.Close(); err != nil {
					t.Error(err)
				}
			}()
			for _, s := range Scenarios() {
				if s.Witness == witness {
					t.Run(s.Name, func(t *testing.T) { playOne(t, stage, options, s) })
				}
			}
		})
	}
}

func playOne(t *testing.T, stage Stage, o Options, s Scenario) {
	runner := Runner{Stage: stage, Timing: o.timing()}
	result, err := runner.Run(t.Context(), s)
	if err != nil {
		t.Fatal(err)
	}
	t.Logf("%s → %s: %s", result.Owner, result.After, result.Verdict)
	for _, problem := range result.Problems {
		t.Error(problem)
	}
	if t.Failed() {
		if why, err := stage.Why(t.Context()); err == nil {
			t.Log(why)
		}
	}
}
