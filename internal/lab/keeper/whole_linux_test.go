package keeper

import (
	"bytes"
	"encoding/json"
	"errors"

	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/estate"
	"github.com/perdure-ha/perdure/internal/lab/procs"
	"github.com/perdure-ha/perdure/internal/lab/vm"
	"github.com/perdure-ha/perdure/internal/lab/vm/image"
)

// commander runs commands of a perdure that was just built.
type commander struct {
	binary string
	env    []string
}

func (c commander) run(t *testing.T, want int, args ...string) string {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), c.binary, args...)
	cmd.Env = c.env
	var out, live bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &live
	began := time.Now()
	err := cmd.Run()
	t.Logf("%s: %.1f s", strings.Join(args, " "), time.Since(began).Seconds())
	if code := cmd.ProcessState.ExitCode(); code != want {
		t.Errorf("perdure %s: status %d (%v), want %d\n%s%s", strings.Join(args, " "), code, err, want, live.String(), out.String())
	}
	return out.String()
}

// downAfter ends the lab when the test has ended, or its process: a keeper outlives
// whoever started it.
func (c commander) downAfter(t *testing.T) {
	t.Helper()
	guard := exec.Command("/bin/sh", "-c", `read -r _; exec "$0" lab down`, c.binary)
	guard.Env = c.env
	guard.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := guard.StdinPipe()
	if err == nil {
		err = guard.Start()
	}
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := errors.Join(pipe.Close(), guard.Wait()); err != nil {
			t.Errorf("lab down after the test: %v", err)
		}
	})
}

// TestWholeLab is the life of a lab as a person has it.
func TestWholeLab(t *testing.T) {
	if os.Getenv("PERDURE_LAB_VM") == "" {
		t.Skip("SKIPPED: virtual machines are booted by make lab, which sets PERDURE_LAB_VM")
	}
	needRoot(t)
	if err := vm.Usable(vm.UML); err != nil {
		t.Skipf("SKIPPED: no virtual machines here: %v", err)
	}
	if _, err := image.Find(t.Context(), image.Options{}); err != nil {
		t.Skipf("SKIPPED: images were not built (perdure lab up does): %v", err)
	}
	dir := t.TempDir()
	at := place(filepath.Join(dir, "lab"))
	c := commander{filepath.Join(dir, "perdure"), append(os.Environ(), "PERDURE_LAB_DIR="+string(at), "TMPDIR="+dir, "LANG=C", "CGO_ENABLED=0")}
	build := exec.CommandContext(t.Context(), "go", "build", "-o", c.binary, "../../../cmd/perdure")
	build.Env = c.env
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build perdure: %v\n%s", err, out)
	}
	c.downAfter(t)

	// A long detection time, so that a busy machine is one too.
	if out := c.run(t, 0, "lab", "up", "--detection", "10s"); !strings.Contains(out, "perdure lab ssh n1") || t.Failed() {
		t.Fatalf("up says: %s", out)
	}
	who, err := at.read()
	if err != nil {
		t.Fatal(err)
	}
	if out := c.run(t, 1, "lab", "up"); out != "" {
		t.Errorf("a second lab: %s", out)
	}
	if out := c.run(t, 0, "lab", "ssh", "n1", "uname", "-r"); !strings.HasPrefix(out, "6.") {
		t.Errorf("the kernel of n1: %q", out)
	}
	c.run(t, 7, "lab", "ssh", "n1", "exit 7")
	if out := c.run(t, 0, "lab", "run", "power-loss", "--json"); !strings.Contains(out, `"survived": true`) {
		t.Errorf("power-loss: %s", out)
	}
	c.run(t, 1, "lab", "run", "power-los")
	var look Look
	if err := json.Unmarshal([]byte(c.run(t, 0, "lab", "status", "--json")), &look); err != nil || len(look.Nodes) != 3 || look.Service == nil || look.Service.Node == "" {
		t.Errorf("status: %+v: %v", look, err)
	}
	c.run(t, 0, "lab", "down")
	c.run(t, 0, "lab", "down")

	// Nothing stays.
	if _, err := os.Stat(string(at)); !errors.Is(err, os.ErrNotExist) {
		t.Errorf("the keeper's directory: %v", err)
	}
	if who.alive() {
		t.Errorf("the keeper, process %d, lives", who.PID)
	}
	running, err := procs.Marked(func(entry string) bool { return entry == "PERDURE_LAB_DIR="+string(at) })
	running = slices.DeleteFunc(running, func(p procs.Process) bool { return p.Argv[0] == "/bin/sh" && p.Parent == os.Getpid() }) // the guard
	if err != nil || len(running) > 0 {
		t.Errorf("still running: %v (%v)", running, err) // with them the namespaces, which have no names
	}
	mount, err := estate.Mount()
	if err != nil {
		t.Fatal(err)
	}
	for _, parent := range []string{mount, dir} {
		if left, err := filepath.Glob(filepath.Join(parent, filepath.Base(who.Dir))); err != nil || len(left) > 0 {
			t.Errorf("left: %v (%v)", left, err)
		}
	}
}
