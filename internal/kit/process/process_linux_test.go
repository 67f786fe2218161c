package process

import (
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
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// both runs a test with groups and without: the second way is what containers
// without a cgroup file system get.
func both(t *testing.T, f func(t *testing.T, h kit.Host)) {
	t.Run("groups", func(t *testing.T) { f(t, kittest.Host(t, true)) })
	t.Run("no groups", func(t *testing.T) { f(t, kittest.Host(t, false)) })
}

func settings(command string, more ...string) map[string]string {
	m := map[string]string{"command": kit.JoinWords([]string{"/bin/sh", "-c", command}), "stop.grace": "2s"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return m
}

func state(t *testing.T, a *kit.Agent) proc.ID {
	t.Helper()
	var id proc.ID
	if ok, err := a.Instance().LoadState(stateFile, &id); !ok || err != nil {
		t.Fatal("no state file", err)
	}
	return id
}

func code(err error) string {
	if e, ok := message.From(err); ok {
		return e.Code()
	}
	return fmt.Sprint(err)
}

// want checks the health, light and without a reason unless code is given.
func want(t *testing.T, a *kit.Agent, status cluster.Status, code string) {
	t.Helper()
	h := a.Check(t.Context(), kit.Light)
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func TestStartCheckStop(t *testing.T) {
	both(t, func(t *testing.T, h kit.Host) {
		ctx := kittest.Context(t)
		a := kittest.Open(t, h, Kit{}, settings(`echo hello; trap "echo bye; exit 0" TERM; while :; do sleep 0.01; done`))
		want(t, a, cluster.OutOfService, message.ProcessNotRunning)
		if err := a.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
		want(t, a, cluster.InService, "")
		id := state(t, a)
		out := filepath.Join(a.Instance().RunDir, "output")
		kittest.Eventually(t, "output is in the file", func() bool { b, _ := os.ReadFile(out); return string(b) == "hello\n" })
		if err := a.Start(ctx, ""); err != nil || state(t, a) != id {
			t.Errorf("a second start: %v, process %v instead of %v", err, state(t, a), id)
		}
		if err := a.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if id.Alive() {
			t.Error("alive after the stop")
		}
		if b, _ := os.ReadFile(out); string(b) != "hello\nbye\n" {
			t.Errorf("output %q: it was not asked to end", b)
		}
		want(t, a, cluster.OutOfService, message.ProcessNotRunning)
		if err := a.Stop(ctx); err != nil {
			t.Errorf("a second stop: %v", err)
		}
	})
}

func TestKilledProcessIsNoticedAtOnce(t *testing.T) {
	both(t, func(t *testing.T, h kit.Host) {
		ctx := kittest.Context(t)
		a := kittest.Open(t, h, Kit{}, settings("exec sleep 60"))
		events := kittest.Events(t, a)
		if err := a.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
		killed := time.Now()
		kill(t, state(t, a))
		e := kittest.Next(t, events)
		if e.Health.Status != cluster.Failed || e.Health.Reason.Code != message.ProcessEnded || !strings.Contains(e.Health.String(), "killed") {
			t.Errorf("event %v", e.Health)
		}
		if took := e.At.Sub(killed); took > 100*time.Millisecond {
			t.Errorf("noticed after %v, want less than 100 ms", took)
		} else {
			t.Logf("noticed after %v", took)
		}
		want(t, a, cluster.Failed, message.ProcessEnded)
		// Local recovery.
		if err := a.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		begun := time.Now()
		if err := a.Start(ctx, cluster.ReleasedStopped); err != nil {
			t.Fatal(err)
		}
		t.Logf("started again in %v", time.Since(begun))
		want(t, a, cluster.InService, "")
		if err := a.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		select {
		case e := <-events:
			t.Errorf("an event for our own stop: %v", e.Health)
		default:
		}
	})
}

func TestStopKillsTheWholeTree(t *testing.T) {
	both(t, func(t *testing.T, h kit.Host) {
		ctx := kittest.Context(t)
		pids := filepath.Join(t.TempDir(), "pids")
		// It ignores the signal; one child ignores it as well, one has a session of
		// its own and lost its parent.
		script := filepath.Join(t.TempDir(), "tree.sh")
		text := `trap "" TERM
			sh -c 'trap "" TERM; while :; do sleep 0.1; done' & echo $! >>$1
			sh -c 'setsid sleep 63 & echo $!' >>$1
			echo ok >>$1
			while :; do sleep 0.1; done`
		if err := os.WriteFile(script, []byte(text), 0o600); err != nil {
			t.Fatal(err)
		}
		a := kittest.Open(t, h, Kit{}, map[string]string{"command": kit.JoinWords([]string{"/bin/sh", script, pids}), "stop.grace": "100ms"})
		if err := a.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
		kittest.Eventually(t, "the children run", func() bool {
			b, _ := os.ReadFile(pids)
			text = string(b)
			return strings.HasSuffix(text, "ok\n")
		})
		ids := []proc.ID{state(t, a)}
		for _, word := range strings.Fields(strings.TrimSuffix(text, "ok\n")) {
			var pid int
			fmt.Sscan(word, &pid)
			id, err := proc.Identify(pid)
			if err != nil {
				t.Fatal(err)
			}
			ids = append(ids, id)
		}
		if err := a.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		for _, id := range ids {
			if id.Alive() {
				t.Errorf("process %d lives after the stop", id.PID)
			}
		}
	})
}

func TestRestartedDaemonAdopts(t *testing.T) {
	both(t, func(t *testing.T, h kit.Host) {
		ctx := kittest.Context(t)
		set := settings("exec sleep 60")
		first, err := h.Open(Kit{}, "web", "r1", set)
		if err != nil {
			t.Fatal(err)
		}
		if err := first.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
		id := state(t, first)
		if err := first.Close(); err != nil {
			t.Fatal(err)
		}
		if !id.Alive() {
			t.Fatal("close ended the program")
		}
		second := kittest.Open(t, h, Kit{}, set)
		want(t, second, cluster.Unknown, message.ProcessNotAdopted)
		if ok, err := second.Adopt(ctx); !ok || err != nil {
			t.Fatalf("adopt: %v, %v", ok, err)
		}
		want(t, second, cluster.InService, "")
		events := kittest.Events(t, second)
		kill(t, id)
		if e := kittest.Next(t, events); e.Health.Reason.Code != message.ProcessEnded {
			t.Errorf("event %v", e.Health)
		}
		if ok, err := second.Adopt(ctx); ok || err != nil {
			t.Errorf("adopted the dead: %v, %v", ok, err)
		}
		if err := second.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if ok, err := second.Adopt(ctx); ok || err != nil {
			t.Errorf("adopted nothing: %v, %v", ok, err)
		}
	})
}

// A daemon that knows nothing must still end what an earlier one left.
func TestStopWithoutAdoption(t *testing.T) {
	both(t, func(t *testing.T, h kit.Host) {
		ctx := kittest.Context(t)
		set := settings("exec sleep 60")
		first, _ := h.Open(Kit{}, "web", "r1", set)
		if err := first.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
		id := state(t, first)
		first.Close()
		second := kittest.Open(t, h, Kit{}, set)
		second.Instance().DropState(stateFile)
		if err := second.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if id.Alive() {
			t.Error("alive after the stop")
		}
	})
}

func TestStoppedProcessHasFailed(t *testing.T) {
	h, ctx := kittest.Host(t, false), kittest.Context(t)
	a := kittest.Open(t, h, Kit{}, settings("exec sleep 60", "stop.grace", "50ms"))
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	halt(t, state(t, a))
	kittest.Eventually(t, "stopped", func() bool { return a.Check(ctx, kit.Light).Reason.Code == message.ProcessStopped })
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestFrozen(t *testing.T) {
	h, ctx := kittest.Host(t, true), kittest.Context(t)
	a := kittest.Open(t, h, Kit{}, settings("exec sleep 60"))
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	id := state(t, a)
	p := a.Resource.(*Process)
	if _, path, _ := a.Guard(); path == "" || path != p.group().Path() {
		t.Fatalf("guard names the group %q", path)
	}
	if err := p.group().Freeze(ctx, true); err != nil {
		t.Fatal(err)
	}
	want(t, a, cluster.Unknown, message.ProcessFrozen)
	begun := time.Now()
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if took := time.Since(begun); took > time.Second {
		t.Errorf("stop of the frozen took %v: it waited for processes that can't hear", took)
	}
	if id.Alive() {
		t.Error("alive")
	}
	if err := a.Start(ctx, ""); err != nil {
		t.Fatalf("start where the last one was frozen: %v", err)
	}
	want(t, a, cluster.InService, "")
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestPidless(t *testing.T) {
	h, ctx := kittest.Host(t, true), kittest.Context(t)
	set := settings("setsid sleep 60 >/dev/null & exit 0", "pidless", "yes")
	a := kittest.Open(t, h, Kit{}, set)
	events := kittest.Events(t, a)
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	want(t, a, cluster.InService, "")
	again := kittest.Open(t, h, Kit{}, set)
	want(t, again, cluster.Unknown, message.ProcessNotAdopted)
	if ok, err := again.Adopt(ctx); !ok || err != nil {
		t.Errorf("adopt: %v, %v", ok, err)
	}
	again.Close()
	group := a.Resource.(*Process).group()
	var pids []int
	kittest.Eventually(t, "only the background process is left", func() bool { pids, _ = group.Procs(); return len(pids) == 1 })
	id, err := proc.Identify(pids[0])
	if err != nil {
		t.Fatal(err)
	}
	killed := time.Now()
	kill(t, id)
	e := kittest.Next(t, events)
	if e.Health.Reason.Code != message.ProcessEnded || e.At.Sub(killed) > 100*time.Millisecond {
		t.Errorf("event %v after %v", e.Health, e.At.Sub(killed))
	}
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, a, cluster.OutOfService, message.ProcessNotRunning)
}

func TestRotation(t *testing.T) {
	h, ctx := kittest.Host(t, false), kittest.Context(t)
	a := kittest.Open(t, h, Kit{}, settings("while :; do echo 0123456789012345678901234567890123456789; done"))
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	out := a.Resource.(*Process).output()
	kittest.Eventually(t, "rotated", func() bool {
		a.Check(ctx, kit.Light)
		st, err := os.Stat(out.Path + ".1")
		return err == nil && st.Size() <= out.Max
	})
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

func TestSettings(t *testing.T) {
	_, err := kit.Parse(Kit{}, map[string]string{"command": "x", "stop.grace": "30s", "stop.timeout": "30s"})
	if code(err) != message.SettingsContradict {
		t.Error(err)
	}
	_, err = kit.Parse(Kit{}, map[string]string{"comand": "x"})
	for _, code := range []string{message.SettingMisspelt, message.SettingMissing} {
		if err == nil || !strings.Contains(err.Error(), code) {
			t.Errorf("%v, want %s", err, code)
		}
	}
}
