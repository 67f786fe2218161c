package qemu

import (
	"net"
	"slices"
	"strings"
	"testing"

	"github.com/google/go-cmp/cmp"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/qmp"
)

func sample() machine.Config {
	return machine.Config{
		Name: "a", MemoryMiB: 256, Kernel: "vmlinux", Initrd: "initrd", Append: []string{"quick"}, Watchdog: true, Dir: "/d,1",
		Disks: []machine.Disk{{Name: "root", Path: "/root", ReadOnly: true}, {Name: "san", Path: "/san", Shared: true}},
		NICs:  []machine.NIC{{Name: "public", Tap: "t0", MAC: net.HardwareAddr{2, 0, 0, 0, 0, 1}}},
	}
}

func TestCommandLine(t *testing.T) {
	c := sample()
	got := commandLine(c, newDrives(c.Disks), host{tscKHz: 2100000}, "/d,1/console", true)
	// The order of disks and cards is what the guest sees.
	want := []string{
		"-name", "a", "-M", "pc,memory-backend=memory", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256",
		"-object", "memory-backend-file,id=memory,size=256M,share=on,mem-path=/proc/self/fd/5",
		"-nodefaults", "-no-user-config", "-display", "none", "-S",
		"-action", "reboot=shutdown,shutdown=poweroff,panic=shutdown,watchdog=reset",
		"-kernel", "vmlinux",
		"-append", "console=ttyS0 quiet panic=-1 mitigations=off cryptomgr.notests no_timer_check rcupdate.rcu_expedited=1 " +
			"random.trust_cpu=on net.ifnames=0 unknown_nmi_panic tsc=reliable tsc_early_khz=2100000 quick",
		"-chardev", "socket,id=qmp,fd=3", "-mon", "chardev=qmp,mode=control",
		"-chardev", "file,id=console,append=on,path=/d,,1/console", "-serial", "chardev:console",
		"-device", "virtio-serial-pci,bus=pci.0,addr=0x2",
		"-chardev", "socket,id=ctl,fd=4", "-device", "virtserialport,chardev=ctl,name=ctl",
		"-device", "pvpanic", "-initrd", "initrd", "-device", "i6300esb,id=watchdog,bus=pci.0,addr=0x3",
		"-blockdev", `{"cache":{"direct":false,"no-flush":false},"driver":"file","filename":"/root","locking":"off","node-name":"file-root","read-only":true}`,
		"-blockdev", `{"cache":{"direct":false,"no-flush":false},"driver":"raw","file":"file-root","node-name":"top-root","read-only":true}`,
		"-device", `{"addr":"0x4","bus":"pci.0","drive":"top-root","driver":"virtio-blk-pci","id":"disk-root"}`,
		"-blockdev", `{"cache":{"direct":true,"no-flush":false},"driver":"file","filename":"/san","locking":"off","node-name":"file-san","read-only":false}`,
		"-blockdev", `{"cache":{"direct":true,"no-flush":false},"driver":"raw","file":"file-san","node-name":"top-san","read-only":false}`,
		"-device", `{"addr":"0x5","bus":"pci.0","drive":"top-san","driver":"virtio-blk-pci","id":"disk-san","share-rw":true}`,
		"-netdev", "tap,id=net-public,ifname=t0,script=no,downscript=no",
		"-device", "virtio-net-pci,netdev=net-public,mac=02:00:00:00:00:01,id=nic-public,romfile=,bus=pci.0,addr=0xe",
		"-incoming", "defer",
	}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Error(diff)
	}
	if plain := commandLine(machine.Config{}, nil, host{}, "", false); slices.Contains(plain, "-incoming") || strings.Contains(strings.Join(plain, " "), "tsc") {
		t.Errorf("plain: %q", plain)
	}
}

func TestCheck(t *testing.T) {
	if err := check(sample()); err != nil {
		t.Error(err)
	}
	for name, spoil := range map[string]func(*machine.Config){
		"no name":   func(c *machine.Config) { c.Name = "" },
		"memory":    func(c *machine.Config) { c.MemoryMiB = 16 },
		"disks":     func(c *machine.Config) { c.Disks = make([]machine.Disk, mostDisks+1) },
		"cards":     func(c *machine.Config) { c.NICs = make([]machine.NIC, mostNICs+1) },
		"twice":     func(c *machine.Config) { c.Disks[1].Name = "root" },
		"bad disk":  func(c *machine.Config) { c.Disks[1].Name = "a,b" },
		"bad card":  func(c *machine.Config) { c.NICs[0].Name = "" },
		"long name": func(c *machine.Config) { c.NICs[0].Name = strings.Repeat("x", 17) },
	} {
		c := sample()
		spoil(&c)
		if check(c) == nil {
			t.Errorf("%s: accepted", name)
		}
	}
}

func TestVerdict(t *testing.T) {
	shutdown := func(reason string) qmp.Event {
		return qmp.Event{Name: "SHUTDOWN", Data: []byte(`{"guest": true, "reason": "` + reason + `"}`)}
	}
	dog, panicked := qmp.Event{Name: "WATCHDOG"}, qmp.Event{Name: "GUEST_PANICKED"}
	for _, tt := range []struct {
		events []qmp.Event
		want   string
	}{
		{nil, endedKilled},
		{[]qmp.Event{shutdown("guest-shutdown")}, endedPoweredOff},
		{[]qmp.Event{shutdown("guest-reset")}, endedReset},
		{[]qmp.Event{shutdown("guest-panic")}, endedPanic},
		{[]qmp.Event{shutdown("host-qmp-quit")}, endedQuit},
		{[]qmp.Event{shutdown("host-signal")}, endedKilled},
		{[]qmp.Event{dog, shutdown("guest-reset")}, endedWatchdog},
		{[]qmp.Event{dog}, endedKilled},
		{[]qmp.Event{panicked, shutdown("guest-reset")}, endedPanic},
		{[]qmp.Event{shutdown("guest-reset"), shutdown("guest-shutdown")}, endedReset},
		{[]qmp.Event{{Name: "SHUTDOWN"}}, endedKilled},
	} {
		var v verdict
		for _, e := range tt.events {
			v.see(e)
		}
		if got := v.ended(); got != tt.want {
			t.Errorf("%+v: %q, want %q", tt.events, got, tt.want)
		}
	}
}
