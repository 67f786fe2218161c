package libvirt

import (
	"os"
	"os/exec"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

// onRunner is the kit with a runner that plays virsh.
type onRunner struct {
	Kit
	r *kittest.Runner
}

func (k onRunner) New(in kit.Instance) (kit.Resource, error) {
	in.Runner = k.r
	return k.Kit.New(in)
}

// player plays one machine.
type player struct {
	state   string // empty: not defined
	refuse  string // the command that fails
	ignores bool   // shutdown has no effect
}

func (p *player) answer(c kit.Command) (kit.Result, error) {
	r := kit.Result{Command: c.Line()}
	if c.Action == p.refuse {
		r.ExitCode, r.Tail = 1, "error: no disk"
		return r, nil
	}
	if p.state == "" && c.Action != "define" {
		r.ExitCode, r.Output = 1, "error: failed to get domain 'vm'\n"
		return r, nil
	}
	switch c.Action {
	case "domstate":
		r.Output = p.state + "\n"
	case "define":
		p.state = "shut off"
	case "start", "resume":
		p.state = "running"
	case "destroy":
		p.state = "shut off"
	case "shutdown":
		if !p.ignores {
			p.state = "shut off"
		}
	}
	return r, nil
}

func open(t *testing.T, p *player, more ...string) (*kit.Agent, *kittest.Runner) {
	r := &kittest.Runner{Answer: p.answer}
	m := map[string]string{"domain": "vm"}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	return kittest.Open(t, kittest.Host(t, false), onRunner{r: r}, m), r
}

// short is the commands without what is the same in all.
func short(r *kittest.Runner) string {
	var out []string
	for line := range strings.SplitSeq(r.Lines(), "\n") {
		_, args, _ := strings.Cut(line, "qemu:///system ")
		out = append(out, args)
	}
	return strings.Join(out, "; ")
}

func want(t *testing.T, h kit.Health, status cluster.Status, code string) {
	t.Helper()
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func TestCommands(t *testing.T) {
	ctx := t.Context()
	for _, c := range []struct {
		name          string
		p             player
		more          []string
		start, stop   string
		startFailsFor string
	}{
		{name: "life", p: player{state: "shut off"},
			start: "domstate vm; autostart --disable vm; start vm; domstate vm",
			stop:  "domstate vm; shutdown vm; domstate vm; domstate vm"},
		{name: "runs already", p: player{state: "running"},
			start: "domstate vm; autostart --disable vm; domstate vm", stop: "domstate vm; shutdown vm; domstate vm; domstate vm"},
		{name: "paused", p: player{state: "paused"},
			start: "domstate vm; autostart --disable vm; resume vm; domstate vm", stop: "domstate vm; shutdown vm; domstate vm; domstate vm"},
		{name: "defined here", p: player{}, more: []string{"config", "/srv/vm.xml"},
			start: "domstate vm; define /srv/vm.xml; autostart --disable vm; start vm; domstate vm",
			stop:  "domstate vm; shutdown vm; domstate vm; domstate vm"},
		{name: "off", p: player{state: "shut off"}, more: []string{"stop.mode", "off"},
			start: "domstate vm; autostart --disable vm; start vm; domstate vm", stop: "domstate vm; destroy vm; domstate vm"},
		{name: "not defined", p: player{}, start: "domstate vm", stop: "domstate vm; domstate vm", startFailsFor: message.DomainMissing},
		{name: "refused", p: player{state: "shut off", refuse: "start"},
			start: "domstate vm; autostart --disable vm; start vm", stop: "domstate vm; domstate vm", startFailsFor: message.DomainRefused},
	} {
		t.Run(c.name, func(t *testing.T) {
			a, r := open(t, &c.p, c.more...)
			err := a.Start(ctx, "")
			if c.startFailsFor == "" && err != nil || c.startFailsFor != "" && !message.Has(err, c.startFailsFor) {
				t.Error(err)
			}
			if got := short(r); got != c.start {
				t.Errorf("start: %s\nwant:  %s", got, c.start)
			}
			if err := a.Stop(ctx); err != nil {
				t.Error(err)
			}
			if got := short(r); got != c.stop {
				t.Errorf("stop: %s\nwant: %s", got, c.stop)
			}
		})
	}
}

// A guest that doesn't listen is turned off before the time is over.
func TestDeafGuest(t *testing.T) {
	p := &player{state: "shut off", ignores: true}
	a, r := open(t, p, "stop.timeout", "1s")
	if err := a.Start(t.Context(), ""); err != nil {
		t.Fatal(err)
	}
	r.Lines()
	if err := a.Stop(t.Context()); err != nil {
		t.Fatal(err)
	}
	if got := short(r); !strings.Contains(got, "shutdown vm") || !strings.Contains(got, "destroy vm") {
		t.Error(got)
	}
}

func TestStates(t *testing.T) {
	ctx := t.Context()
	p := &player{state: "shut off"}
	a, _ := open(t, p, "guest.ping", "yes")
	want(t, a.Check(ctx, kit.Light), cluster.OutOfService, message.DomainNotRunning)
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	want(t, a.Check(ctx, kit.Deep), cluster.InService, "")
	for _, st := range []string{"paused", "in shutdown", "shut off", "crashed", "pmsuspended", "no state", ""} {
		p.state = st
		want(t, a.Check(ctx, kit.Light), cluster.Failed, message.DomainFailed)
	}
	p.state, p.refuse = "running", "qemu-agent-command"
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	want(t, a.Check(ctx, kit.Deep), cluster.Failed, message.DomainRefused)
	p.refuse = "domstate"
	want(t, a.Check(ctx, kit.Light), cluster.Unknown, message.DomainMissing)
}

// The real virsh with libvirt's own test driver, whose machine "test" always
// runs and is forgotten after each command.
func TestVirsh(t *testing.T) {
	if _, err := exec.LookPath("virsh"); err != nil {
		t.Skip("SKIPPED: the package libvirt-clients is not installed")
	}
	if _, err := os.Stat("/usr/lib/x86_64-linux-gnu/libvirt.so.0"); err != nil {
		t.Log("libvirt is somewhere else; going on")
	}
	ctx := t.Context()
	a := kittest.Open(t, kittest.Host(t, false), Kit{}, map[string]string{"domain": "test", "uri": "test:///default", "check.timeout": "1m"})
	if err := a.Validate(ctx); err != nil {
		t.Fatal(err)
	}
	if err := a.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	absent := kittest.Open(t, kittest.Host(t, false), Kit{}, map[string]string{"domain": "nobody", "uri": "test:///default", "check.timeout": "1m"})
	if err := absent.Start(ctx, ""); !message.Has(err, message.DomainMissing) || strings.Contains(err.Error(), "error:") {
		t.Errorf("a machine that isn't defined: %v", err)
	}
	want(t, absent.Check(ctx, kit.Light), cluster.OutOfService, message.DomainNotRunning)
	bad := kittest.Open(t, kittest.Host(t, false), Kit{}, map[string]string{"domain": "test", "uri": "qemu+unix:///system?socket=/nonexistent", "check.timeout": "1m"})
	want(t, bad.Check(ctx, kit.Light), cluster.Unknown, message.DomainMissing)
}
