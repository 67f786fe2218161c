package demo

import (
	"cmp"
	"os"
	"slices"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/lab/vm"
)

// inMachines are the scenarios that are played on virtual machines by make test;
// all of them are by perdure lab run.
var inMachines = []string{"server-killed", "switchover", "power-loss", "isolated", "host-power-loss", "panic", "port-down"}

// TestFaultsInMachines plays scenarios on kernels of their own. It needs images,
// which take minutes to make: only where they are asked for.
func TestFaultsInMachines(t *testing.T) {
	kind := os.Getenv("PERDURE_LAB_VM")
	if kind == "" {
		t.Skip("SKIPPED: virtual machines are booted by make lab, which sets PERDURE_LAB_VM to uml or qemu")
	}
	if err := vm.Usable(vm.Kind(kind)); err != nil {
		t.Skip(err)
	}
	names := inMachines
	if text := os.Getenv("PERDURE_LAB_FAULTS"); text != "" {
		names = strings.Split(text, ",")
	}
	o := Options{Binary: buildPerdure(t), Once: true, Lang: "en", Machines: kind, Live: testLog{t}}
	for _, witness := range []bool{false, true} {
		wanted := slices.DeleteFunc(slices.Clone(names), func(name string) bool {
			s, err := Find([]string{name})
			if err != nil {
				t.Fatal(err)
			}
			return s[0].Witness != witness
		})
		if len(wanted) > 0 {
			playAll(t, cmp.Or(map[bool]string{true: "two nodes and a witness"}[witness], "three nodes"), o, wanted, witness)
		}
	}
}

// testLog is a test's log as a writer.
type testLog struct{ *testing.T }

func (l testLog) Write(p []byte) (int, error) {
	l.Log(strings.TrimSpace(string(p)))
	return len(p), nil
}
