package machine

import (
	"context"
	"errors"
	"io"
	"net"
	"os/exec"
)

// Disk is a raw file (or, with a kind that can, a URL of a SAN) that the guest
// sees as a block device.
type Disk struct {
	// Name is what faults call it: "root", "state", "data".
	Name string
	// Path is the file at the hypervisor.
	Path     string
	ReadOnly bool
	// Shared: other machines write it at the same time; nothing of it is cached.
	Shared bool
}

// NIC is a network card at a tap that exists already.
type NIC struct {
	// Name is what faults call it: the network.
	Name string
	Tap  string
	MAC  net.HardwareAddr
}

// Config describes a machine. Device order is the order of the lists: the first
// disk is the guest's first, the first card its eth0.
type Config struct {
	Name string
	// MemoryMiB is the guest's memory in MiB.
	MemoryMiB int
	// Kernel and Initrd are files of package image. Initrds are unpacked one
	// over the other.
	Kernel string
	Initrd string
	// Append are words added to the kernel's command line.
	Append []string
	Disks  []Disk
	NICs   []NIC
	// Watchdog adds a hardware watchdog where the kind has one.
	Watchdog bool
	// Dir holds sockets, console log and process id. It exists.
	Dir string
	// Start starts a process where the machine's hypervisor lives: in its network
	// namespace, and so that it ends with the lab.
	Start func(*exec.Cmd) error
}

// EndedByWatchdog is what Ended says of a machine that its watchdog has reset.
const EndedByWatchdog = "reset by watchdog"

// ErrOff says that the machine does not run.
var ErrOff = errors.New("the machine is off")

// Machine is a virtual machine. One act at a time; Done and Control may be used
// meanwhile.
type Machine interface {
	// Boot starts the machine and returns when its kernel was started; that the
	// guest is up is heard on the control channel.
	Boot(ctx context.Context) error
	// Control is the byte stream to the guest's agent of the present boot. It
	// works with every network cut, and ends (io.EOF) with the machine.
	Control() io.ReadWriteCloser
	// Done is closed when the machine has ended, for whatever reason. Ended says
	// why: "powered off", "panic", "reset by watchdog", "killed".
	Done() <-chan struct{}
	Ended() string
	// PowerOff takes the power away, at once, and waits until it is gone.
	PowerOff(ctx context.Context) error
	// Console is the file with what the guest's kernel said.
	Console() string
}

// What a kind may be able to do beside; found by assertion.

// Pauser stops the whole machine while its clock goes on.
type Pauser interface {
	Pause(ctx context.Context) error
	Continue(ctx context.Context) error
}

// Suspender stops the whole machine with its clock: thawed, the guest believes
// that no time has passed.
type Suspender interface {
	Suspend(ctx context.Context) error
	Continue(ctx context.Context) error
}

// Carrier gives and takes a card's carrier, which the guest's kernel notices.
type Carrier interface {
	SetCarrier(ctx context.Context, nic string, up bool) error
}

// Interrupter sends a non-maskable interrupt.
type Interrupter interface {
	NMI(ctx context.Context) error
}

// DiskState is what a disk does.
type DiskState string

// The states of a disk.
const (
	DiskGood DiskState = "good"
	// DiskError: every request fails with EIO.
	DiskError DiskState = "error"
	// DiskHang: requests are taken and never end.
	DiskHang DiskState = "hang"
	// DiskGone: the device is pulled out.
	DiskGone DiskState = "gone"
)

// DiskBreaker breaks disks and mends them.
type DiskBreaker interface {
	SetDisk(ctx context.Context, disk string, state DiskState) error
}

// Snapshotter keeps and restores the machine's memory, clock and disks.
type Snapshotter interface {
	Snapshot(ctx context.Context, name string) error
	Revert(ctx context.Context, name string) error
}

// Migration is what a live migration cost.
type Migration struct {
	// DowntimeMillis is the hypervisor's own figure in ms: how long the guest ran
	// nowhere.
	DowntimeMillis int64
	// TotalMillis is from the first byte to the end, in ms.
	TotalMillis int64
}

// Migrator moves a running machine to another hypervisor. to is its configuration
// there: taps, directory and Start of the target, and its disks if they move too.
type Migrator interface {
	// Migrate moves memory only: the disks are shared by both hypervisors.
	Migrate(ctx context.Context, to Config) (Migration, error)
	// MigrateAll moves the disks (those that are not read-only) as well.
	MigrateAll(ctx context.Context, to Config) (Migration, error)
	// MoveDisk moves a disk to another file while the machine runs in place.
	MoveDisk(ctx context.Context, disk, path string) error
}
