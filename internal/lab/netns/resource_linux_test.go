package netns

import (
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/lab/estate"
	"github.com/perdure-ha/perdure/internal/lab/fault"
)

func must(s string, err error) string {
	if err != nil {
		panic(err)
	}
	return s
}

func itoa(i int) string { return strconv.Itoa(i) }

func TestResourceFaults(t *testing.T) {
	c := newToy(t, Options{Nodes: []string{"n1", "n2"}})
	apply := func(text string) {
		t.Helper()
		f, err := fault.Parse(text)
		if err != nil {
			t.Fatal(err)
		}
		if err := fault.Apply(t.Context(), c.Lab, f); err != nil {
			t.Fatal(err)
		}
	}
	silence := func(why string) {
		t.Helper()
		until(t, "n1 fails by "+why, func() bool {
			serving, got := c.prober.Serving("n1")
			return !serving && got == why
		})
	}
	apply("hang n1 web")
	silence("timeout")
	apply("resume n1 web")
	c.serves("n1")
	apply("kill n1 web")
	silence("refused")
	if err := c.KillResource(t.Context(), "n1", "web", false); err == nil || !strings.Contains(err.Error(), "doesn't run") {
		t.Errorf("kill of a dead resource: %v", err)
	}
	if err := c.HangResource(t.Context(), "n1", "database", true); err == nil {
		t.Error("a resource that the lab doesn't know is hung")
	}

	apply("fail-start n1 web")
	n1, _ := c.Node("n1")
	start := func() error {
		_, err := n1.Run(t.Context(), "sh", "-c", "test ! -e "+webDir+"/web.fail")
		return err
	}
	if start() == nil {
		t.Error("the start doesn't fail")
	}
	apply("power-off n1")
	apply("power-on n1")
	if start() == nil {
		t.Error("the start doesn't fail after a boot")
	}
	apply("mend-start n1 web")
	if err := start(); err != nil {
		t.Error(err)
	}
}

func TestPerdureFaults(t *testing.T) {
	binary := filepath.Join(t.TempDir(), "perdure")
	if err := os.Symlink(must(os.Executable()), binary); err != nil {
		t.Fatal(err)
	}
	lab := newLab(t, Options{Nodes: []string{"n1"}, Perdure: binary})
	n1, _ := lab.Node("n1")
	if _, err := n1.StartPerdure(false); err != nil {
		t.Fatal(err)
	}
	daemon := func() int {
		ps, err := n1.inside().Running("daemon")
		if err != nil || len(ps) != 1 {
			return 0
		}
		return ps[0].PID
	}
	until(t, "the daemon runs", func() bool { return daemon() != 0 })
	old := daemon()
	if err := lab.KillDaemon(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	until(t, "another daemon runs", func() bool { pid := daemon(); return pid != 0 && pid != old })
	wal := filepath.Join(n1.StateDir(), "wal")
	if err := os.WriteFile(wal, []byte("0123456789"), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := lab.SaveState(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	if err := lab.CorruptState(t.Context(), "n1"); err == nil {
		t.Error("the state of a running node is touched")
	}
	if err := lab.StopDaemon(t.Context(), "n1"); err != nil {
		t.Fatal(err)
	}
	state := func() string { text, _ := os.ReadFile(wal); return string(text) }
	for _, step := range []struct {
		text string
		want bool
	}{{"corrupt-state n1", false}, {"revert-state n1", true}, {"lose-state n1", false}, {"revert-state n1", true}} {
		f, err := fault.Parse(step.text)
		if err != nil {
			t.Fatal(err)
		}
		if err := fault.Apply(t.Context(), lab, f); err != nil {
			t.Fatal(err)
		}
		if got := state() == "0123456789"; got != step.want {
			t.Errorf("after %s the state is %q", step.text, state())
		}
	}
	if err := lab.StartDaemon(t.Context(), "n1"); err == nil {
		t.Error("perdure is started although the lab doesn't know how")
	}
}

func TestOptionsCheck(t *testing.T) {
	for _, bad := range []Options{
		{Nodes: []string{"n1", "n1"}}, {Nodes: []string{""}}, {Nodes: []string{"client"}},
		{Nodes: []string{"averylongname"}}, {Networks: []string{"a", "a"}}, {Networks: []string{""}},
	} {
		if err := bad.withDefaults().check(); err == nil {
			t.Errorf("%+v is taken", bad)
		}
	}
	if err := (Options{}).withDefaults().check(); err != nil {
		t.Error(err)
	}
}

func TestAlive(t *testing.T) {
	mine := must(estate.NewName())
	if !estate.Alive(mine) {
		t.Errorf("%s is this process's, and taken for dead", mine)
	}
	for _, other := range []string{"perdure-lab-x", "perdure-lab-1-2", "something", "perdure-lab-1-x-1"} {
		if !estate.Alive(other) {
			t.Errorf("%s is no lab's name, and would be removed", other)
		}
	}
	if estate.Alive("perdure-lab-" + itoa(os.Getpid()) + "-1-1") {
		t.Error("an earlier process with this id is taken for alive")
	}
}
