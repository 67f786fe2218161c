package service

import (
	"os"
	"os/exec"
	"strings"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func want(t *testing.T, h kit.Health, status cluster.Status, code string) {
	t.Helper()
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func refused(t *testing.T, err error, code, words string) {
	t.Helper()
	if !message.Has(err, code) || !strings.Contains(err.Error(), words) {
		t.Errorf("got %v, want %s with %q", err, code, words)
	}
}

func TestLife(t *testing.T) {
	ctx, p := t.Context(), newPeer(t)
	p.now(func() { p.file = "enabled" })
	a := p.open()
	if err := a.Validate(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.UnitInactive)
	want(t, a.Ready(ctx), cluster.Failed, message.UnitEnabled)
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	// It is the cluster's before it is started.
	if got, wanted := p.said(), "disable web@1.service false; disable web@1.service true; reload; reload; start web@1.service replace"; got != wanted {
		t.Errorf("calls: %s\nwant:  %s", got, wanted)
	}
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	if found, err := a.Adopt(ctx); !found || err != nil {
		t.Error(found, err)
	}
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if got, wanted := p.said(), "stop web@1.service replace"; got != wanted {
		t.Errorf("calls: %s\nwant:  %s", got, wanted)
	}
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.UnitInactive)
	if err := a.Stop(ctx); err != nil || p.said() != "" {
		t.Error("a second stop did something: ", err)
	}
	if h := a.Ready(ctx); h.Reason.Code != "" {
		t.Error(h)
	}
}

func TestDropIn(t *testing.T) {
	p := newPeer(t)
	a := p.open()
	dir := a.Resource.(*Service).m.(systemdManager).dropIns
	if err := a.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	b, err := os.ReadFile(dir + "/web@1.service.d/50-perdure.conf")
	if err != nil || !strings.Contains(string(b), "Restart=no") {
		t.Errorf("%s, %v", b, err)
	}
	p.said()
	system := newPeer(t).open("restart", "system")
	if err := system.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	if _, err := os.Stat(system.Resource.(*Service).m.(systemdManager).dropIns + "/web@1.service.d"); err == nil {
		t.Error("restart=system changes the unit")
	}
}

func TestBadUnits(t *testing.T) {
	ctx := t.Context()
	t.Run("not there", func(t *testing.T) {
		p := newPeer(t)
		p.now(func() { p.st = State{Loaded: "not-found", Active: "inactive", Sub: "dead"} })
		a := p.open()
		refused(t, a.Validate(ctx), message.UnitMissing, "not-found")
		refused(t, a.Start(ctx, ""), message.UnitMissing, "not-found")
		if err := a.Stop(ctx); err != nil {
			t.Error("what isn't there can't run: ", err)
		}
	})
	t.Run("masked", func(t *testing.T) {
		p := newPeer(t)
		p.now(func() { p.st.Loaded = "masked" })
		refused(t, p.open().Start(ctx, ""), message.UnitMissing, "masked")
	})
	t.Run("doesn't start", func(t *testing.T) {
		p := newPeer(t)
		p.now(func() { p.onStart = "failed" })
		a := p.open()
		refused(t, a.Start(ctx, ""), message.UnitNotStarted, "exit-code")
		want(t, a.Check(ctx, kit.Light), cluster.Failed, message.UnitFailed)
		p.now(func() { p.onStart = "" })
		p.said()
		if err := a.Start(ctx, ""); err != nil {
			t.Error(err)
		}
		if got := p.said(); !strings.HasPrefix(got, "reset web@1.service; start") {
			t.Errorf("a failed unit is started without being reset: %s", got)
		}
	})
	t.Run("start hangs", func(t *testing.T) {
		p := newPeer(t)
		p.now(func() { p.hang = true })
		a := p.open("start.timeout", "500ms")
		begun := time.Now()
		refused(t, a.Start(ctx, ""), message.UnitRefused, "isn't done")
		if took := time.Since(begun); took > 10*time.Second {
			t.Errorf("took %v", took)
		}
	})
	t.Run("stop hangs and it is killed", func(t *testing.T) {
		p := newPeer(t)
		a := p.open("stop.timeout", "2s")
		if err := a.Start(ctx, ""); err != nil {
			t.Fatal(err)
		}
		p.now(func() { p.hang = true })
		p.said()
		if err := a.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if got := p.said(); got != "stop web@1.service replace; kill web@1.service all 9; reset web@1.service" {
			t.Error(got)
		}
	})
	t.Run("no bus", func(t *testing.T) {
		a := kittest.Open(t, kittest.Host(t, false), onBus{"unix:path=/nonexistent/bus", t.TempDir()}, settingsOf())
		refused(t, a.Start(ctx, ""), message.ManagerSilent, "")
		want(t, a.Check(ctx, kit.Light), cluster.Unknown, message.ManagerSilent)
		refused(t, a.Stop(ctx), message.ManagerSilent, "")
	})
}

// Changes come without being asked for; a unit that flaps is a few events of
// each state, not a flood.
func TestEvents(t *testing.T) {
	ctx, p := t.Context(), newPeer(t)
	a := p.open()
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	events := kittest.Events(t, a)
	<-p.subscribed // the connection that listens; go-systemd subscribes before
	p.become("failed", "failed", "signal")
	h := kittest.Next(t, events).Health
	want(t, h, cluster.Failed, message.UnitFailed)
	if !strings.Contains(h.String(), "signal") {
		t.Error(h)
	}
	p.become("active", "running", "success")
	want(t, kittest.Next(t, events).Health, cluster.InService, "")
	p.become("inactive", "dead", "success")
	want(t, kittest.Next(t, events).Health, cluster.Failed, message.UnitStopped)
	p.become("activating", "auto-restart", "exit-code")
	want(t, kittest.Next(t, events).Health, cluster.Failed, message.UnitFailed)
	for range 200 {
		p.become("activating", "auto-restart", "exit-code")
	}
	p.become("active", "running", "success")
	seen := 0
	for kittest.Next(t, events).Health.Status != cluster.InService {
		if seen++; seen > 5 {
			t.Fatal("each repetition is an event")
		}
	}
}

func TestEnabledAgain(t *testing.T) {
	p := newPeer(t)
	a := p.open()
	if err := a.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	p.now(func() { p.file = "enabled" }) // as a package upgrade does it
	want(t, a.Check(t.Context(), kit.Light), cluster.Degraded, message.UnitEnabled)
}

func TestNames(t *testing.T) {
	for unit, good := range map[string]bool{"nginx": true, "postgresql@15-main": true, `dev-disk-by\x2duuid.mount`: true,
		"../x": false, "a b": false, "": false, ".x": false, "-x": false, "a/b": false, strings.Repeat("x", 201): false} {
		if _, err := kit.Parse(Kit{}, map[string]string{"unit": unit}); (err == nil) != good {
			t.Errorf("%q: %v", unit, err)
		}
	}
	if fullName("nginx") != "nginx.service" || fullName("a.timer") != "a.timer" || fullName("app-1.2") != "app-1.2.service" {
		t.Error("endings")
	}
}

// TestRealSystemd runs where systemd is process 1, as in the machines of the lab.
func TestRealSystemd(t *testing.T) {
	if b, err := os.ReadFile("/proc/1/comm"); err != nil || strings.TrimSpace(string(b)) != "systemd" || os.Geteuid() != 0 {
		t.Skip("SKIPPED: systemd is not process 1 here, or this is not root; the tests above speak to a peer on a real bus")
	}
	const unit = "perdure-kit-test.service"
	path := "/run/systemd/system/" + unit
	if err := os.WriteFile(path, []byte("[Service]\nExecStart=/bin/sleep 600\nRestart=always\n"), 0o644); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		os.Remove(path)
		os.RemoveAll(path + ".d")
		exec.Command("systemctl", "daemon-reload").Run()
	})
	if out, err := exec.Command("systemctl", "daemon-reload").CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	ctx := t.Context()
	a := kittest.Open(t, kittest.Host(t, false), Kit{}, map[string]string{"unit": unit})
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	events := kittest.Events(t, a)
	if out, err := exec.Command("systemctl", "kill", "-s", "KILL", unit).CombinedOutput(); err != nil {
		t.Fatalf("%v: %s", err, out)
	}
	want(t, kittest.Next(t, events).Health, cluster.Failed, message.UnitFailed)
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.UnitInactive)
}
