package vm

import (
	"context"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

// TestSystemd: perdure install's own unit on a node whose process 1 is systemd. The
// service outlives a killed daemon and a planned stop, whoever is killed comes back,
// a boot brings all of it back without anybody's help, and the watchdog that the
// guardian armed resets the machine when the guardian hangs.
func TestSystemd(t *testing.T) {
	l := openOne(t, Options{Systemd: true, Watchdog: true})
	ctx, n := t.Context(), l.nodes[0]
	if err := l.BuildCluster(ctx, ClusterOptions{}); err != nil {
		t.Fatal(err)
	}
	if err := l.Protect(ctx, "web", "nginx", []string{"n1"}); err != nil {
		t.Fatal(err)
	}
	awaitServed(t, l)
	if out := ask(t, n, "systemctl is-enabled perdure; systemctl is-active perdure; systemctl show -P KillMode perdure"); out != "enabled\nactive\nprocess" {
		t.Errorf("the unit is %q", out)
	}
	if out := ask(t, n, "cat /sys/class/watchdog/watchdog*/state"); !strings.Contains(out, "active") || strings.HasPrefix(out, "inactive") {
		t.Errorf("the watchdog is %q, not armed", out)
	}

	before := ask(t, n, "cat /run/web/web.pid; pgrep -f 'perdure daemon'")
	if err := fault.Apply(ctx, l, fault.Fault{Kind: fault.KillDaemon, Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	awaitServed(t, l)
	awaitOutput(t, n, "pgrep -f 'perdure daemon'", func(out string) bool { return out != "" && !strings.HasSuffix(before, out) })

	server := ask(t, n, "cat /run/web/web.pid")
	if err := fault.Apply(ctx, l, fault.Fault{Kind: fault.KeepStop, Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	awaitOutput(t, n, "systemctl is-active perdure || true", func(out string) bool { return out == "inactive" })
	awaitServed(t, l)
	if err := fault.Apply(ctx, l, fault.Fault{Kind: fault.StartDaemon, Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	awaitOutput(t, n, "systemctl is-active perdure || true", func(out string) bool { return out == "active" })
	awaitServed(t, l)
	if after := ask(t, n, "cat /run/web/web.pid"); after != server {
		t.Errorf("a planned stop restarted the server: its id was %s and is %s", server, after)
	}

	guardian := ask(t, n, "systemctl show -P MainPID perdure")
	if err := fault.Apply(ctx, l, fault.Fault{Kind: fault.KillGuardian, Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	awaitOutput(t, n, "systemctl show -P MainPID perdure", func(out string) bool { return out != "0" && out != guardian })
	awaitServed(t, l)

	if err := l.PowerOff(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	if err := l.PowerOn(ctx, "n1"); err != nil {
		t.Fatal(err)
	}
	awaitServed(t, l)
	if out := ask(t, n, "systemctl is-active perdure"); out != "active" {
		t.Errorf("after a boot the unit is %s", out)
	}

	awaitOutput(t, n, "cat /sys/class/watchdog/watchdog*/state", func(out string) bool { return strings.HasPrefix(out, "active") })
	if err := fault.Apply(ctx, l, fault.Fault{Kind: fault.HangGuardian, Node: "n1"}); err != nil {
		t.Fatal(err)
	}
	waiting, cancel := context.WithTimeout(ctx, time.Minute)
	defer cancel()
	if why, err := l.AwaitEnd(waiting, "n1"); err != nil || why != machine.EndedByWatchdog {
		t.Errorf("with its guardian hanging the machine ended: %q, %v", why, err)
	}
}
