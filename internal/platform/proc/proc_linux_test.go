package proc

import (
	"bufio"
	"context"
	"errors"
	"os"
	"os/exec"
	"strconv"
	"strings"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// deadline bounds every wait of these tests.
const deadline = 10 * time.Second

// child starts a shell in a session of its own and returns it with the first
// line that it prints.
func child(t *testing.T, script string, env ...string) (*exec.Cmd, string) {
	t.Helper()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	cmd.Env = append(os.Environ(), env...)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal(err)
	}
	return cmd, strings.TrimSpace(line)
}

func identity(t *testing.T, pid int) ID {
	t.Helper()
	id, err := Identify(pid)
	if err != nil {
		t.Fatal(err)
	}
	return id
}

func TestEndIsNoticedAtOnce(t *testing.T) {
	cmd, _ := child(t, "echo up; exec sleep 60")
	id := identity(t, cmd.Process.Pid)
	h, err := Open(id)
	if err != nil {
		t.Fatal(err)
	}
	defer h.Close()
	select {
	case <-h.Done():
		t.Fatal("done while it runs")
	default:
	}
	killed := time.Now()
	if err := h.Signal(syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.Done():
	case <-time.After(deadline):
		t.Fatal("the end was not noticed")
	}
	if took := time.Since(killed); took > 100*time.Millisecond {
		t.Errorf("noticed after %v, want less than 100 ms", took)
	}
	// Nobody has reaped it: a zombie has ended all the same.
	if id.Alive() {
		t.Error("a zombie counts as alive")
	}
	if _, err := Open(id); !errors.Is(err, ErrGone) {
		t.Errorf("open after the end: %v, want ErrGone", err)
	}
}

func TestAnotherProcessOfTheSameNumberIsRefused(t *testing.T) {
	cmd, _ := child(t, "echo up; exec sleep 60")
	id := identity(t, cmd.Process.Pid)
	for name, other := range map[string]ID{
		"other start": {PID: id.PID, Start: id.Start + 1, Boot: id.Boot},
		"other boot":  {PID: id.PID, Start: id.Start, Boot: "x"},
		"none":        {},
	} {
		if other.Alive() {
			t.Errorf("%s: alive", name)
		}
	}
	if _, err := Open(ID{PID: id.PID, Start: id.Start + 1, Boot: id.Boot}); !errors.Is(err, ErrGone) {
		t.Errorf("open: %v, want ErrGone", err)
	}
}

func TestStopped(t *testing.T) {
	cmd, _ := child(t, "echo up; exec sleep 60")
	id := identity(t, cmd.Process.Pid)
	if id.Stopped() {
		t.Error("stopped while it runs")
	}
	cmd.Process.Signal(syscall.SIGSTOP)
	eventually(t, "stopped", id.Stopped)
}

func TestCloseEndsTheWatch(t *testing.T) {
	cmd, _ := child(t, "echo up; exec sleep 60")
	h, err := Open(identity(t, cmd.Process.Pid))
	if err != nil {
		t.Fatal(err)
	}
	if err := h.Close(); err != nil {
		t.Fatal(err)
	}
	select {
	case <-h.Done():
		t.Error("done although the process runs")
	default:
	}
}

func TestKillTree(t *testing.T) {
	const mark = "PERDURE_TEST_MARK=kill-tree"
	// A child, a grandchild whose parent is gone, and one that left the session
	// and whose parent is gone.
	root, line := child(t, `
		sleep 61 & a=$!
		b=$(sh -c 'sleep 62 >/dev/null & echo $!')
		c=$(sh -c 'setsid sleep 63 >/dev/null & echo $!')
		echo $a $b $c
		wait`, mark)
	ids := []ID{identity(t, root.Process.Pid)}
	for _, word := range strings.Fields(line) {
		pid, err := strconv.Atoi(word)
		if err != nil {
			t.Fatal(err)
		}
		ids = append(ids, identity(t, pid))
	}
	other, _ := child(t, "echo up; exec sleep 64")
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := KillTree(ctx, Match{Root: ids[0], Mark: mark}); err != nil {
		t.Fatal(err)
	}
	for _, id := range ids {
		if id.Alive() {
			t.Errorf("process %d lives", id.PID)
		}
	}
	if !identity(t, other.Process.Pid).Alive() {
		t.Error("a process outside the tree was killed")
	}
}

// A number that came to mean another process must not cost that one its life.
func TestKillTreeSparesALaterProcess(t *testing.T) {
	cmd, _ := child(t, "echo up; exec sleep 65")
	id := identity(t, cmd.Process.Pid)
	before := id
	before.Start--
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	if err := KillTree(ctx, Match{Root: before}); err != nil {
		t.Error(err)
	}
	if !id.Alive() {
		t.Error("a later process of the same number was killed")
	}
}

func TestKillTreeRefusesAnEmptyMatch(t *testing.T) {
	if err := KillTree(t.Context(), Match{}); err == nil {
		t.Error("no error")
	}
}

func eventually(t *testing.T, what string, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not %s within %v", what, deadline)
		}
	}
}
