package service

import (
	"bufio"
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"

	systemd "github.com/coreos/go-systemd/v22/dbus"
	"github.com/godbus/dbus/v5"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
)

// peer speaks systemd's interface on a real bus: the objects, methods, signals
// and properties that org.freedesktop.systemd1(5) documents, as far as the kit
// uses them. It plays one unit.
type peer struct {
	t     *testing.T
	conn  *dbus.Conn
	addr  string
	calls []string

	mu   sync.Mutex
	st   State
	file string
	jobs uint32
	// onStart and onStop say how jobs end; empty: done. hang: they never do.
	onStart, onStop string
	hang            bool
	subscribed      chan struct{}
}

const (
	managerPath  = dbus.ObjectPath("/org/freedesktop/systemd1")
	managerIface = "org.freedesktop.systemd1.Manager"
	unitIface    = "org.freedesktop.systemd1.Unit"
	serviceIface = "org.freedesktop.systemd1.Service"
	testUnit     = "web@1.service"
)

const busConfig = `<!DOCTYPE busconfig PUBLIC "-//freedesktop//DTD D-Bus Bus Configuration 1.0//EN" "http://www.freedesktop.org/standards/dbus/1.0/busconfig.dtd">
<busconfig><type>system</type><listen>unix:path=%s</listen><auth>EXTERNAL</auth>
<policy context="default"><allow user="*"/><allow own="*"/><allow send_destination="*" eavesdrop="true"/><allow receive_sender="*"/></policy></busconfig>`

// startBus runs a dbus-daemon of the test's own.
func startBus(t *testing.T) string {
	t.Helper()
	path, err := exec.LookPath("dbus-daemon")
	if err != nil {
		t.Skip("SKIPPED: dbus-daemon is not installed")
	}
	dir := t.TempDir()
	conf := filepath.Join(dir, "bus.conf")
	if err := os.WriteFile(conf, fmt.Appendf(nil, busConfig, filepath.Join(dir, "bus")), 0o600); err != nil {
		t.Fatal(err)
	}
	c := exec.Command(path, "--config-file="+conf, "--nofork", "--print-address")
	c.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		c.Process.Kill()
		c.Wait()
	})
	line, err := bufio.NewReader(out).ReadString('\n')
	if err != nil {
		t.Fatal("dbus-daemon says nothing: ", err)
	}
	return strings.TrimSpace(line)
}

func newPeer(t *testing.T) *peer {
	t.Helper()
	p := &peer{t: t, addr: startBus(t), st: State{Loaded: "loaded", Active: "inactive", Sub: "dead"}, file: "disabled", subscribed: make(chan struct{}, 16)}
	conn, err := dbus.Connect(p.addr)
	if err != nil {
		t.Fatal(err)
	}
	p.conn = conn
	t.Cleanup(func() { conn.Close() })
	if err := conn.Export(p, managerPath, managerIface); err != nil {
		t.Fatal(err)
	}
	if err := conn.Export(properties{p}, p.path(), "org.freedesktop.DBus.Properties"); err != nil {
		t.Fatal(err)
	}
	if reply, err := conn.RequestName("org.freedesktop.systemd1", dbus.NameFlagDoNotQueue); err != nil || reply != dbus.RequestNameReplyPrimaryOwner {
		t.Fatal(reply, err)
	}
	return p
}

func (p *peer) path() dbus.ObjectPath {
	return managerPath + "/unit/" + dbus.ObjectPath(systemd.PathBusEscape(testUnit))
}

// properties is the Properties interface of the unit's object.
type properties struct{ p *peer }

func (o properties) GetAll(iface string) (map[string]dbus.Variant, *dbus.Error) {
	o.p.mu.Lock()
	defer o.p.mu.Unlock()
	switch iface {
	case unitIface:
		return map[string]dbus.Variant{"LoadState": dbus.MakeVariant(o.p.st.Loaded), "ActiveState": dbus.MakeVariant(o.p.st.Active),
			"SubState": dbus.MakeVariant(o.p.st.Sub), "UnitFileState": dbus.MakeVariant(o.p.file)}, nil
	case serviceIface:
		return map[string]dbus.Variant{"Result": dbus.MakeVariant(o.p.st.Result), "ControlGroup": dbus.MakeVariant(o.p.st.Group)}, nil
	}
	return nil, dbus.MakeFailedError(fmt.Errorf("no interface %s", iface))
}

// become changes the unit's state and tells whoever has subscribed.
func (p *peer) become(active, sub, result string) {
	p.mu.Lock()
	p.st.Active, p.st.Sub, p.st.Result = active, sub, result
	p.mu.Unlock()
	p.conn.Emit(p.path(), "org.freedesktop.DBus.Properties.PropertiesChanged", unitIface,
		map[string]dbus.Variant{"ActiveState": dbus.MakeVariant(active), "SubState": dbus.MakeVariant(sub)}, []string{})
}

// now changes how the peer behaves from here on.
func (p *peer) now(change func()) {
	p.mu.Lock()
	defer p.mu.Unlock()
	change()
}

// ends is how a job ends.
func (p *peer) ends(how *string) string {
	p.mu.Lock()
	defer p.mu.Unlock()
	return *how
}

func (p *peer) note(call string) {
	p.mu.Lock()
	p.calls = append(p.calls, call)
	p.mu.Unlock()
}

// said is what was asked for since the last time, without questions.
func (p *peer) said() string {
	p.mu.Lock()
	defer p.mu.Unlock()
	text := strings.Join(p.calls, "; ")
	p.calls = nil
	return text
}

// job answers with a path and ends later, as systemd does.
func (p *peer) job(unit, result, active, sub string) (dbus.ObjectPath, *dbus.Error) {
	p.mu.Lock()
	p.jobs++
	id, hang := p.jobs, p.hang
	p.mu.Unlock()
	path := managerPath + dbus.ObjectPath(fmt.Sprintf("/job/%d", id))
	if hang {
		return path, nil
	}
	go func() {
		if result == "" || result == "done" {
			p.become(active, sub, "success")
			result = "done"
		} else {
			p.become("failed", "failed", "exit-code")
		}
		p.conn.Emit(managerPath, managerIface+".JobRemoved", id, path, unit, result)
	}()
	return path, nil
}

func (p *peer) StartUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	p.note("start " + unit + " " + mode)
	return p.job(unit, p.ends(&p.onStart), "active", "running")
}

func (p *peer) StopUnit(unit, mode string) (dbus.ObjectPath, *dbus.Error) {
	p.note("stop " + unit + " " + mode)
	return p.job(unit, p.ends(&p.onStop), "inactive", "dead")
}

func (p *peer) KillUnit(unit, who string, signal int32) *dbus.Error {
	p.note(fmt.Sprintf("kill %s %s %d", unit, who, signal))
	p.become("failed", "failed", "signal")
	return nil
}

func (p *peer) DisableUnitFiles(units []string, runtime bool) ([]struct{ Kind, From, To string }, *dbus.Error) {
	p.note(fmt.Sprintf("disable %s %v", strings.Join(units, ","), runtime))
	p.mu.Lock()
	p.file = "disabled"
	p.mu.Unlock()
	return []struct{ Kind, From, To string }{{"unlink", "/etc/systemd/system/multi-user.target.wants/" + testUnit, ""}}, nil
}

func (p *peer) Reload() *dbus.Error { p.note("reload"); return nil }

func (p *peer) ResetFailedUnit(unit string) *dbus.Error {
	p.note("reset " + unit)
	p.become("inactive", "dead", "success")
	return nil
}

func (p *peer) Subscribe() *dbus.Error {
	p.subscribed <- struct{}{}
	return nil
}

// open makes a resource that speaks to the peer.
func (p *peer) open(settings ...string) *kit.Agent {
	p.t.Helper()
	dropIns := p.t.TempDir()
	return kittest.Open(p.t, kittest.Host(p.t, false), onBus{p.addr, dropIns}, settingsOf(settings...))
}

func settingsOf(settings ...string) map[string]string {
	m := map[string]string{"unit": "web@1", "check.timeout": "20s"}
	for i := 0; i < len(settings); i += 2 {
		m[settings[i]] = settings[i+1]
	}
	return m
}

// onBus is the kit with another bus and another place for drop-ins.
type onBus struct{ addr, dropIns string }

func (onBus) Name() string            { return Kit{}.Name() }
func (onBus) About() kit.Text         { return Kit{}.About() }
func (onBus) Settings() []kit.Setting { return Kit{}.Settings() }
func (b onBus) New(in kit.Instance) (kit.Resource, error) {
	return newService(in, systemdManager{dropIns: b.dropIns, log: in.Log, dial: func(ctx context.Context) (*systemd.Conn, error) {
		return systemd.NewConnection(func() (*dbus.Conn, error) { return dbus.Connect(b.addr, dbus.WithContext(ctx)) })
	}}), nil
}
