package script

import (
	"context"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func both(t *testing.T, f func(t *testing.T, h kit.Host)) {
	t.Run("groups", func(t *testing.T) { f(t, kittest.Host(t, true)) })
	t.Run("no groups", func(t *testing.T) { f(t, kittest.Host(t, false)) })
}

// program writes a shell script that is called with the action.
func program(t *testing.T, text string) string {
	t.Helper()
	path := filepath.Join(t.TempDir(), "app")
	if err := os.WriteFile(path, []byte("#!/bin/sh\n"+text), 0o700); err != nil {
		t.Fatal(err)
	}
	return path
}

func settings(path string, more ...string) map[string]string {
	m := map[string]string{"check": path + " check", "start": path + " start", "stop": path + " stop"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

func code(err error) string {
	if e, ok := message.From(err); ok {
		return e.Code()
	}
	return fmt.Sprint(err)
}

// The template of docs/design/kits.md is what people copy: it must work.
func TestTemplate(t *testing.T) {
	both(t, func(t *testing.T, h kit.Host) {
		doc, err := os.ReadFile("../../../docs/design/kits.md")
		if err != nil {
			t.Fatal(err)
		}
		_, text, ok := strings.Cut(string(doc), "```sh\n#!/bin/sh\n")
		text, _, ok2 := strings.Cut(text, "```")
		if !ok || !ok2 {
			t.Fatal("no template in docs/design/kits.md")
		}
		ctx, path := kittest.Context(t), program(t, text)
		a := kittest.Open(t, h, Kit{}, settings(path, "recover", path+" recover", "ready", path+" ready", "env", "APP='sleep 60'"))
		if err := a.Validate(ctx); err != nil {
			t.Fatal(err)
		}
		if h := a.Ready(ctx); h.Status != cluster.OutOfService || h.Reason.Code != "" {
			t.Errorf("readiness: %v", h)
		}
		status := func(want cluster.Status) {
			t.Helper()
			if h := a.Check(ctx, kit.Deep); h.Status != want {
				t.Errorf("health %v, want %s", h, want)
			}
		}
		status(cluster.OutOfService)
		for range 2 {
			if err := a.Start(ctx, ""); err != nil {
				t.Fatal(err)
			}
			status(cluster.InService)
		}
		if ok, err := a.Adopt(ctx); !ok || err != nil {
			t.Errorf("adopt: %v, %v", ok, err)
		}
		if ok, err := a.Recover(ctx); !ok || code(err) != message.CommandFailed {
			t.Errorf("recover: %v, %v", ok, err)
		}
		status(cluster.InService)
		for range 2 {
			if err := a.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			status(cluster.OutOfService)
		}
	})
}

func TestExitCodes(t *testing.T) {
	a := kittest.Open(t, kittest.Host(t, false), Kit{}, map[string]string{"check": "/bin/sh -c 'echo first; echo last words; exit 0'"})
	runner := &kittest.Runner{}
	s := a.Resource.(*Script)
	s.in.Runner = runner
	for exit, want := range map[int]cluster.Status{0: cluster.InService, 7: cluster.OutOfService, 8: cluster.Degraded, 75: cluster.Unknown,
		1: cluster.Failed, 2: cluster.Failed, 9: cluster.Failed, 127: cluster.Failed} {
		runner.Answer = func(c kit.Command) (kit.Result, error) {
			return kit.Result{Command: c.Line(), ExitCode: exit, Tail: "last words"}, nil
		}
		h := s.Check(t.Context(), kit.Light)
		if h.Status != want {
			t.Errorf("exit code %d: %v, want %s", exit, h, want)
		}
		if exit != 0 && exit != 7 && !strings.Contains(h.String(), "last words") {
			t.Errorf("exit code %d: %v says nothing of the output", exit, h)
		}
	}
	for want, err := range map[cluster.Status]error{
		cluster.Failed:  message.New(message.CommandTimedOut, "x", time.Second, "").Wrap(context.DeadlineExceeded),
		cluster.Unknown: message.New(message.NotExecutable, "x", "gone"),
	} {
		runner.Answer = func(kit.Command) (kit.Result, error) { return kit.Result{}, err }
		if h := s.Check(t.Context(), kit.Light); h.Status != want {
			t.Errorf("%v: %v, want %s", err, h, want)
		}
	}
	runner.Answer = func(kit.Command) (kit.Result, error) {
		return kit.Result{}, message.New(message.CommandTimedOut, "x", time.Second, "").Wrap(context.Canceled)
	}
	if h := s.Check(t.Context(), kit.Light); h.Status != cluster.Unknown {
		t.Errorf("cancelled: %v", h)
	}
}

func TestCommands(t *testing.T) {
	a := kittest.Open(t, kittest.Host(t, false), Kit{}, map[string]string{"check": "/x check", "start": `/x start "a b"`, "stop": "/x stop",
		"recover": "/x recover", "env": "A=1"})
	runner, ctx := &kittest.Runner{}, t.Context()
	s := a.Resource.(recoverable)
	s.in.Runner = runner
	for _, err := range []error{s.Start(ctx, cluster.ReleasedEvicted), s.Start(ctx, ""), s.Recover(ctx), s.Stop(ctx)} {
		if err != nil {
			t.Error(err)
		}
	}
	s.Check(ctx, kit.Deep)
	const want = `start: /x start "a b" [PERDURE_START=evicted A=1]
start: /x start "a b" [PERDURE_START=fresh A=1]
recover: /x recover [A=1]
stop: /x stop [A=1]
check: /x check [PERDURE_DEPTH=deep A=1]`
	if got := runner.Lines(); got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
}

// tree starts processes, one of which leaves the session and its parent.
const tree = `case $1 in
start) sh -c 'setsid sleep 61 & echo $! >>$0' $PIDS; sleep 62 & echo $! >>$PIDS; [ -z "$HANG" ] || { echo waits for Godot; sleep 63; } ;;
stop) [ -z "$HANG" ] || sleep 64 ;;
check) [ -z "$HANG" ] || { sleep 65 & echo $! >>$PIDS; echo waits; wait; } ;;
esac
exit 0
`

func pids(t *testing.T, path string, n int) []proc.ID {
	t.Helper()
	var ids []proc.ID
	kittest.Eventually(t, "the processes run", func() bool {
		b, _ := os.ReadFile(path)
		ids = nil
		for _, w := range strings.Fields(string(b)) {
			var pid int
			fmt.Sscan(w, &pid)
			if id, err := proc.Identify(pid); err == nil {
				ids = append(ids, id)
			}
		}
		return len(ids) >= n
	})
	return ids
}

func allGone(t *testing.T, ids []proc.ID) {
	t.Helper()
	for _, id := range ids {
		if id.Alive() {
			t.Errorf("process %d lives", id.PID)
		}
	}
}

func TestStopLeavesNothing(t *testing.T) {
	both(t, func(t *testing.T, h kit.Host) {
		ctx, file := kittest.Context(t), filepath.Join(t.TempDir(), "pids")
		a := kittest.Open(t, h, Kit{}, settings(program(t, tree), "env", "PIDS="+file))
		if err := a.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
		ids := pids(t, file, 2)
		if h := a.Check(ctx, kit.Light); h.Status != cluster.InService {
			t.Error(h)
		}
		for _, id := range ids {
			if !id.Alive() {
				t.Errorf("process %d ended with the command that started it", id.PID)
			}
		}
		if err := a.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		allGone(t, ids)
	})
}

func TestTimeoutEndsTheWholeTree(t *testing.T) {
	both(t, func(t *testing.T, h kit.Host) {
		ctx, file := kittest.Context(t), filepath.Join(t.TempDir(), "pids")
		a := kittest.Open(t, h, Kit{}, settings(program(t, tree), "env", "HANG=yes PIDS="+file,
			"start.timeout", "400ms", "stop.timeout", "800ms", "check.timeout", "300ms"))
		err := a.Start(ctx, "")
		if code(err) != message.CommandTimedOut || !strings.Contains(err.Error(), "Godot") {
			t.Errorf("start: %v", err)
		}
		ids := pids(t, file, 0)
		allGone(t, ids)
		os.Remove(file)
		h1 := a.Check(ctx, kit.Light)
		if h1.Status != cluster.Failed || h1.Reason.Code != message.CommandTimedOut {
			t.Errorf("check: %v", h1)
		}
		allGone(t, pids(t, file, 0))
		begun := time.Now()
		if err := a.Stop(ctx); code(err) != message.CommandTimedOut {
			t.Errorf("stop: %v", err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("the stop took %v", took)
		}
	})
}

func TestFrozenGroupDoesNotHoldTheCommands(t *testing.T) {
	h, ctx := kittest.Host(t, true), kittest.Context(t)
	file := filepath.Join(t.TempDir(), "pids")
	a := kittest.Open(t, h, Kit{}, settings(program(t, tree), "env", "PIDS="+file))
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	ids := pids(t, file, 2)
	_, path, _ := a.Guard()
	freeze(t, path)
	if h := a.Check(ctx, kit.Light); h.Status != cluster.InService {
		t.Errorf("the check stands still with the service: %v", h)
	}
	if err := a.Start(ctx, ""); err != nil {
		t.Errorf("start: %v", err)
	}
	allGone(t, ids)
	freeze(t, path)
	if err := a.Stop(ctx); err != nil {
		t.Errorf("stop: %v", err)
	}
}

func TestValidate(t *testing.T) {
	h := kittest.Host(t, false)
	for want, s := range map[string]map[string]string{
		message.NotExecutable:   {"check": "/nonexistent"},
		message.NoSuchUser:      {"check": "/bin/true", "user": "nobody-of-that-name"},
		message.NoSuchDirectory: {"check": "/bin/true", "directory": "/nonexistent"},
	} {
		a := kittest.Open(t, h, Kit{}, s)
		if err := a.Validate(t.Context()); code(err) != want {
			t.Errorf("%v, want %s", err, want)
		}
		if h := a.Ready(t.Context()); h.Status != cluster.Failed || h.Reason.Code != want {
			t.Errorf("readiness %v, want %s", h, want)
		}
	}
	if _, err := kit.Parse(Kit{}, map[string]string{"check": "/x", "start": "/x"}); code(err) != message.SettingMissing {
		t.Errorf("start without stop: %v", err)
	}
}
func freeze(t *testing.T, path string) {
	t.Helper()
	if err := cgroup.At(path).Freeze(kittest.Context(t), true); err != nil {
		t.Fatal(err)
	}
}
