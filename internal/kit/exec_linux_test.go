package kit_test

import (
	"context"
	"errors"
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
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

// runners runs a test with groups and without.
func runners(t *testing.T, f func(t *testing.T, e kit.Exec)) {
	t.Run("groups", func(t *testing.T) {
		h := kittest.Host(t, true)
		f(t, kit.Exec{Dir: t.TempDir(), Service: h.Groups.PathOf("service", "h", "r"), Commands: h.Groups.PathOf("command", "h", "r")})
	})
	t.Run("no groups", func(t *testing.T) { f(t, kit.Exec{Dir: t.TempDir()}) })
}

func sh(script string) kit.Command {
	return kit.Command{Action: "check", Argv: []string{"/bin/sh", "-c", script}}
}

func codeOf(err error) string {
	if e, ok := message.From(err); ok {
		return e.Code()
	}
	return fmt.Sprint(err)
}

func TestRun(t *testing.T) {
	runners(t, func(t *testing.T, e kit.Exec) {
		e.Env = []string{"PERDURE_RESOURCE=r1"}
		os.Setenv("PERDURE_TEST_SECRET", "x")
		defer os.Unsetenv("PERDURE_TEST_SECRET")
		c := sh(`echo "$PERDURE_RESOURCE $PERDURE_ACTION $MORE [$PERDURE_TEST_SECRET] $(pwd)"; echo err >&2; exit 3`)
		c.Env = []string{"MORE=more"}
		r, err := e.Run(t.Context(), c)
		if err != nil || r.ExitCode != 3 || r.Tail != "r1 check more [] / | err" {
			t.Errorf("%+v, %v", r, err)
		}
		if got := r.Failed().Error(); !strings.Contains(got, "exit code 3") || !strings.Contains(got, "/bin/sh -c") {
			t.Error(got)
		}
		// The output of an earlier run isn't quoted.
		if r, err := e.Run(t.Context(), sh("echo again")); err != nil || r.ExitCode != 0 || r.Tail != "again" {
			t.Errorf("%+v, %v", r, err)
		}
	})
}

func TestRunFails(t *testing.T) {
	runners(t, func(t *testing.T, e kit.Exec) {
		ended, cancel := context.WithCancel(t.Context())
		cancel()
		if _, err := e.Run(ended, sh("exit 0")); codeOf(err) != message.CommandTimedOut {
			t.Errorf("the context is over: %v", err)
		}
		for _, c := range []struct {
			name string
			cmd  kit.Command
			code string
		}{
			{"no such program", kit.Command{Action: "x", Argv: []string{"no-such-program"}}, message.NotExecutable},
			{"no such user", kit.Command{Action: "x", Argv: []string{"true"}, User: "nobody-of-that-name"}, message.NoSuchUser},
			{"no such directory", kit.Command{Action: "x", Argv: []string{"true"}, Dir: "/nonexistent"}, message.CommandNotStarted},
			{"not a program", kit.Command{Action: "x", Argv: []string{"/etc/passwd"}}, message.NotExecutable},
			{"killed", sh("kill -KILL $$"), message.CommandKilled},
		} {
			if r, err := e.Run(t.Context(), c.cmd); codeOf(err) != c.code {
				t.Errorf("%s: %v (%+v), want %s", c.name, err, r, c.code)
			}
		}
	})
}

func TestTimeout(t *testing.T) {
	runners(t, func(t *testing.T, e kit.Exec) {
		c := sh(`trap "" TERM; echo begun; (setsid sh -c 'trap "" TERM; sleep 61' &) ; sleep 62`)
		c.Timeout = 200 * time.Millisecond
		begun := time.Now()
		r, err := e.Run(t.Context(), c)
		if codeOf(err) != message.CommandTimedOut || !errors.Is(err, context.DeadlineExceeded) || r.Tail != "begun" {
			t.Errorf("%+v, %v", r, err)
		}
		if took := time.Since(begun); took > 2*time.Second {
			t.Errorf("took %v", took)
		}
		if left := processes(t, e); left != "" {
			t.Errorf("left running: %s", left)
		}
		if lives, err := cgroup.At(e.Commands).Populated(); e.Commands != "" && (lives || err != nil) {
			t.Errorf("the group is populated: %v, %v", lives, err)
		}
	})
}

func TestNothingOutlivesACheck(t *testing.T) {
	runners(t, func(t *testing.T, e kit.Exec) {
		if _, err := e.Run(t.Context(), sh("setsid sleep 63 & exit 0")); err != nil {
			t.Fatal(err)
		}
		if left := processes(t, e); left != "" {
			t.Errorf("left running: %s", left)
		}
	})
}

func TestOutputIsBounded(t *testing.T) {
	e := kit.Exec{Dir: t.TempDir()}
	c := sh("i=0; while [ $i -lt 20000 ]; do echo 0123456789012345678901234567890123456789; i=$((i+1)); done; echo last")
	r, err := e.Run(t.Context(), c)
	if err != nil || !strings.HasSuffix(r.Tail, "last") {
		t.Errorf("%+v, %v", r, err)
	}
	if _, err := e.Run(t.Context(), sh("exit 0")); err != nil {
		t.Fatal(err)
	}
	for _, name := range []string{"check.out", "check.out.1"} {
		if st, err := os.Stat(filepath.Join(e.Dir, name)); err != nil || st.Size() > 1<<20 {
			t.Errorf("%s: %v, %v", name, st, err)
		}
	}
}

// processes lists what runs with this runner's mark in the environment.
func processes(t *testing.T, e kit.Exec) string {
	t.Helper()
	dirs, err := filepath.Glob("/proc/[0-9]*/environ")
	if err != nil {
		t.Fatal(err)
	}
	var found []string
	for _, f := range dirs {
		if b, err := os.ReadFile(f); err == nil && strings.Contains(string(b), "PERDURE_COMMAND="+e.Dir+"/") {
			found = append(found, f)
		}
	}
	return strings.Join(found, " ")
}

func TestHost(t *testing.T) {
	h := kittest.Host(t, false)
	for _, name := range []string{"", "../x", "a/b", ".x", "a\x00"} {
		if _, err := h.Open(openable{}, name, "r", map[string]string{"text": "x"}); codeOf(err) != message.RunDirUnusable {
			t.Errorf("hierarchy %q: %v", name, err)
		}
	}
	if _, err := h.Open(openable{}, "h", "r", nil); codeOf(err) != message.SettingMissing {
		t.Error(err)
	}
	a := kittest.Open(t, h, openable{}, map[string]string{"text": "x"})
	in := a.Instance()
	var got map[string]int
	if ok, err := in.LoadState("s.json", &got); ok || err != nil {
		t.Error(ok, err)
	}
	if err := in.SaveState("s.json", map[string]int{"a": 1}); err != nil {
		t.Fatal(err)
	}
	if ok, err := in.LoadState("s.json", &got); !ok || err != nil || got["a"] != 1 {
		t.Error(ok, err, got)
	}
	os.WriteFile(filepath.Join(in.RunDir, "s.json"), []byte("{broken"), 0o600)
	if ok, err := in.LoadState("s.json", &got); ok || err != nil {
		t.Errorf("a broken file: %v, %v", ok, err)
	}
	for range 2 {
		if err := in.DropState("s.json"); err != nil {
			t.Error(err)
		}
	}
	// What a resource doesn't have is found out by the agent.
	if ok, err := a.Adopt(t.Context()); ok || err != nil {
		t.Error(ok, err)
	}
	if ok, err := a.Recover(t.Context()); ok || err != nil {
		t.Error(ok, err)
	}
	if h := a.Ready(t.Context()); h.Status != cluster.OutOfService {
		t.Error(h)
	}
	if err := a.Start(t.Context(), ""); !errors.Is(err, context.DeadlineExceeded) {
		t.Errorf("start.timeout: %v", err)
	}
	a.Announce()
}

// openable makes resources that wait for their time-outs.
type openable struct{ sample }

func (openable) New(kit.Instance) (kit.Resource, error) { return waits{}, nil }
func (o openable) Settings() []kit.Setting {
	return append(o.sample.Settings(), kit.Setting{Name: "start.timeout", Type: kit.Duration, Default: "10ms", Min: "1ms", Max: "1s",
		Help: kit.Text{EN: "x", JA: "x"}, Example: "1s"})
}

type waits struct{}

func (waits) Start(ctx context.Context, _ cluster.Release) error { <-ctx.Done(); return ctx.Err() }
func (waits) Stop(ctx context.Context) error                     { <-ctx.Done(); return ctx.Err() }
func (waits) Check(context.Context, kit.Depth) kit.Health        { return kit.Healthy }
func (waits) Close() error                                       { return nil }

func TestFeed(t *testing.T) {
	var f kit.Feed
	for i := range 20 {
		f.Publish(kit.Because(cluster.Failed, message.KitOther, i))
	}
	ctx, cancel := context.WithCancel(t.Context())
	var got []string
	done := make(chan error)
	seen := make(chan struct{}, 100)
	go func() {
		done <- f.Watch(ctx, func(e kit.Event) { got = append(got, e.Health.Reason.Args[0]); seen <- struct{}{} })
	}()
	for range 16 {
		<-seen
	}
	f.Publish(kit.Because(cluster.Failed, message.KitOther, "live"))
	<-seen
	cancel()
	if err := <-done; !errors.Is(err, context.Canceled) {
		t.Error(err)
	}
	if strings.Join(got, " ") != "4 5 6 7 8 9 10 11 12 13 14 15 16 17 18 19 live" {
		t.Error(got)
	}
	f.Publish(kit.Healthy)
	f.Clear()
	ctx, cancel = context.WithTimeout(t.Context(), 20*time.Millisecond)
	defer cancel()
	f.Watch(ctx, func(e kit.Event) { t.Errorf("an old event: %v", e.Health) })
}
