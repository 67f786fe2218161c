package qemu

import (
	"fmt"
	"strconv"
	"strings"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

// Binary is QEMU's program.
const Binary = "qemu-system-x86_64"

// File descriptors in QEMU's process: the first that exec gives to ExtraFiles.
const (
	qmpFD     = 3
	controlFD = 4
	memoryFD  = 5
)

// PCI slots of the board's only bus. They are said and not left to QEMU, so that
// a device that comes back finds its place and no other moves.
const (
	serialSlot    = 2
	watchdogSlot  = 3
	firstDiskSlot = 4
	mostDisks     = 10
	firstNICSlot  = firstDiskSlot + mostDisks
	mostNICs      = 16
)

// drive is a disk as QEMU has it: a node of the format driver above a node of the
// file. Faults go between the two.
type drive struct {
	machine.Disk
	slot  int
	state machine.DiskState
	// top and file are the nodes' names; a move to another file makes new ones.
	top, file string
	moves     int
}

func newDrives(disks []machine.Disk) []*drive {
	var all []*drive
	for i, d := range disks {
		all = append(all, &drive{
			Disk: d, slot: firstDiskSlot + i, state: machine.DiskGood,
			top: "top-" + d.Name, file: "file-" + d.Name,
		})
	}
	return all
}

// device is the id of the disk's virtio device.
func (d *drive) device() string { return "disk-" + d.Name }

func (d *drive) fileOptions() map[string]any {
	return map[string]any{
		"driver": "file", "node-name": d.file, "filename": d.Path,
		// During a migration two processes have it open.
		"locking":   "off",
		"read-only": d.ReadOnly,
		"cache":     d.cache(),
	}
}

func (d *drive) cache() map[string]any {
	return map[string]any{"direct": d.Shared, "no-flush": false}
}

// topOptions is the format node above the node named below.
func (d *drive) topOptions(below string) map[string]any {
	return map[string]any{
		"driver": "raw", "node-name": d.top, "file": below,
		"read-only": d.ReadOnly, "cache": d.cache(),
	}
}

func (d *drive) deviceOptions() map[string]any {
	o := map[string]any{
		"driver": "virtio-blk-pci", "id": d.device(), "drive": d.top,
		"bus": "pci.0", "addr": fmt.Sprintf("%#x", d.slot),
	}
	if d.Shared {
		o["share-rw"] = true
	}
	return o
}

func nicDevice(name string) string { return "nic-" + name }

// check says what is wrong with a configuration before QEMU does.
func check(c machine.Config) error {
	switch {
	case c.Name == "" || c.Dir == "" || c.Kernel == "":
		return fmt.Errorf("machine %q: it needs a name, a directory and a kernel", c.Name)
	case c.MemoryMiB < 64:
		return fmt.Errorf("machine %s: %d MiB of memory are too little for a kernel", c.Name, c.MemoryMiB)
	case len(c.Disks) > mostDisks || len(c.NICs) > mostNICs:
		return fmt.Errorf("machine %s: %d disks and %d cards, at most %d and %d", c.Name, len(c.Disks), len(c.NICs), mostDisks, mostNICs)
	}
	seen := make(map[string]bool)
	for _, d := range c.Disks {
		if seen[d.Name] || !wellFormed(d.Name) {
			return fmt.Errorf("machine %s: disk name %q is taken twice or has more than letters and digits", c.Name, d.Name)
		}
		seen[d.Name] = true
	}
	clear(seen)
	for _, n := range c.NICs {
		if seen[n.Name] || !wellFormed(n.Name) {
			return fmt.Errorf("machine %s: card name %q is taken twice or has more than letters and digits", c.Name, n.Name)
		}
		seen[n.Name] = true
	}
	return nil
}

// wellFormed reports whether a name can be part of a QEMU id of at most 31 bytes.
func wellFormed(name string) bool {
	ok := func(r rune) bool {
		return r >= 'a' && r <= 'z' || r >= 'A' && r <= 'Z' || r >= '0' && r <= '9' || r == '-' || r == '_'
	}
	return name != "" && len(name) <= 16 && strings.IndexFunc(name, func(r rune) bool { return !ok(r) }) < 0
}

// host is what the command line needs to know of the hypervisor's machine.
type host struct {
	// tscKHz is the rate of its time stamp counter: without it a guest measures
	// the rate itself, and under load it gets it wrong up to seven times.
	tscKHz int
}

// commandLine is how QEMU is called. The processor is stopped at first, so that
// nothing of the guest is missed. incoming waits for a migration instead, and is
// stopped as well when it is there.
func commandLine(c machine.Config, drives []*drive, h host, console string, incoming bool) []string {
	a := []string{
		"-name", c.Name,
		"-M", "pc,memory-backend=memory", "-accel", "tcg,thread=multi", "-cpu", "max",
		"-m", strconv.Itoa(c.MemoryMiB),
		"-object", fmt.Sprintf("memory-backend-file,id=memory,size=%dM,share=on,mem-path=/proc/self/fd/%d", c.MemoryMiB, memoryFD),
		"-nodefaults", "-no-user-config", "-display", "none", "-S",
		// The guest's idea of a reset is the lab's reboot, see Ended.
		"-action", "reboot=shutdown,shutdown=poweroff,panic=shutdown,watchdog=reset",
		"-kernel", c.Kernel,
		"-append", kernelWords(c, h),
		"-chardev", fmt.Sprintf("socket,id=qmp,fd=%d", qmpFD), "-mon", "chardev=qmp,mode=control",
		"-chardev", "file,id=console,append=on,path=" + comma(console), "-serial", "chardev:console",
		"-device", fmt.Sprintf("virtio-serial-pci,bus=pci.0,addr=%#x", serialSlot),
		"-chardev", fmt.Sprintf("socket,id=ctl,fd=%d", controlFD), "-device", "virtserialport,chardev=ctl,name=ctl",
		"-device", "pvpanic",
	}
	if c.Initrd != "" {
		a = append(a, "-initrd", c.Initrd)
	}
	if c.Watchdog {
		a = append(a, "-device", fmt.Sprintf("i6300esb,id=watchdog,bus=pci.0,addr=%#x", watchdogSlot))
	}
	for _, d := range drives {
		a = append(a, "-blockdev", jsonText(d.fileOptions()), "-blockdev", jsonText(d.topOptions(d.file)),
			"-device", jsonText(d.deviceOptions()))
	}
	for i, n := range c.NICs {
		a = append(a, "-netdev", fmt.Sprintf("tap,id=net-%s,ifname=%s,script=no,downscript=no", n.Name, n.Tap),
			"-device", fmt.Sprintf("virtio-net-pci,netdev=net-%s,mac=%s,id=%s,romfile=,bus=pci.0,addr=%#x",
				n.Name, n.MAC, nicDevice(n.Name), firstNICSlot+i))
	}
	if incoming {
		a = append(a, "-incoming", "defer")
	}
	return a
}

// comma doubles commas, which separate QEMU's options.
func comma(path string) string { return strings.ReplaceAll(path, ",", ",,") }

// kernelWords is the kernel's command line.
func kernelWords(c machine.Config, h host) string {
	words := []string{
		"console=ttyS0", "quiet", "panic=-1", "mitigations=off", "cryptomgr.notests", "no_timer_check",
		"rcupdate.rcu_expedited=1", "random.trust_cpu=on", "net.ifnames=0", "unknown_nmi_panic",
	}
	if h.tscKHz > 0 {
		words = append(words, "tsc=reliable", "tsc_early_khz="+strconv.Itoa(h.tscKHz))
	}
	return strings.Join(append(words, c.Append...), " ")
}
