package uml

import (
	"context"
	"errors"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

func TestArguments(t *testing.T) {
	m := New(machine.Config{
		Name: "n1", MemoryMiB: 192, Initrd: "/lab/initrd", Dir: "/lab/n1", Append: []string{"lab.name=n1"},
		Disks: []machine.Disk{{Name: "root", Path: "/cache/root", ReadOnly: true, Shared: true}, {Name: "state", Path: "/lab/state"}},
		NICs:  []machine.NIC{{Name: "mgmt", Tap: "n1.mgmt", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}},
	})
	got := strings.Join(m.args(), "\n")
	want := strings.Join([]string{
		"mem=192M", "umid=n1", "uml_dir=/lab/n1/", "initrd=/lab/initrd", "con=null", "con0=null,fd:1", "ssl=null", "ssl0=fd:3,fd:3",
		"quiet", "panic=-1", "random.trust_cpu=on", "net.ifnames=0", "raid6.benchmark=0",
		"ubd0rc=/cache/root", "ubd1=/lab/state", "eth0=tuntap,n1.mgmt,02:00:00:00:00:01", "lab.name=n1",
	}, "\n")
	if got != want {
		t.Errorf("got\n%s\nwant\n%s", got, want)
	}
	if DiskDevice(0) != "/dev/ubda" || DiskDevice(1) != "/dev/ubdb" {
		t.Errorf("disks are %s, %s", DiskDevice(0), DiskDevice(1))
	}
}

// TestEnds runs what isn't a kernel: every end has its reason, and the control
// channel ends with the machine.
func TestEnds(t *testing.T) {
	for _, c := range []struct{ script, want string }{
		{"exit 0", "halted"},
		{"echo Kernel panic - not syncing: test; exit 1", "panic"},
		{"echo 'watchdog: watchdog1: pretimeout'; echo Kernel panic; exit 1", "reset by watchdog"},
		{"kill -9 $$", "killed"},
		{"exec sleep 1000", "powered off"},
	} {
		t.Run(c.want, func(t *testing.T) {
			dir := t.TempDir()
			kernel := filepath.Join(dir, "kernel")
			if err := os.WriteFile(kernel, []byte("#!/bin/sh\n"+c.script+"\n"), 0o700); err != nil {
				t.Fatal(err)
			}
			m := New(machine.Config{Name: "n1", Kernel: kernel, Dir: dir, Start: (*exec.Cmd).Start})
			if err := m.Boot(t.Context()); err != nil {
				t.Fatal(err)
			}
			if c.want == "powered off" {
				if err := m.Boot(t.Context()); err == nil {
					t.Error("it was booted twice")
				}
				if err := m.Pause(t.Context()); err != nil {
					t.Error(err)
				}
				if err := m.PowerOff(context.Background()); err != nil {
					t.Fatal(err)
				}
			}
			<-m.Done()
			if m.Ended() != c.want {
				t.Errorf("it %s, want %s", m.Ended(), c.want)
			}
			if _, err := m.Control().Read(make([]byte, 1)); err == nil {
				t.Error("the control channel lives on")
			}
			if err := m.Pause(t.Context()); !errors.Is(err, machine.ErrOff) {
				t.Errorf("a machine that is off was paused: %v", err)
			}
		})
	}
}
