package vm

import (
	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/vm/agent"
	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/qemu"
	"github.com/perdure-ha/perdure/internal/lab/vm/uml"
)

// kind is what the lab must know of a kind of machine.
type kind interface {
	// make makes a machine that is off.
	make(machine.Config) (machine.Machine, error)
	// words are the agent's on the kernel's command line: where its devices are.
	words() []string
	// watchdog is the module of the guest's watchdog.
	watchdog() string
	// gate reports whether the kernel can gate addresses.
	gate() bool
	// can reports whether machines of this kind can do a fault that not every kind
	// can.
	can(fault.Kind) bool
}

func kindOf(k Kind) kind {
	if k == QEMU {
		return qemuKind{}
	}
	return umlKind{}
}

type umlKind struct{}

func (umlKind) make(c machine.Config) (machine.Machine, error) { return uml.New(c), nil }
func (umlKind) watchdog() string                               { return "softdog" }

// gate: Debian's kernel has nftables for bridges only.
func (umlKind) gate() bool { return false }
func (umlKind) words() []string {
	return []string{agent.WordRoot + uml.DiskDevice(0), agent.WordState + uml.DiskDevice(1), agent.WordControl + uml.Control}
}

func (umlKind) can(k fault.Kind) bool {
	switch k {
	case fault.LinkDown, fault.LinkUp, fault.Suspend, fault.NMI, fault.Snapshot, fault.Revert,
		fault.Migrate, fault.MigrateAll, fault.MoveDisk,
		fault.DiskError, fault.DiskHang, fault.DiskGone, fault.DiskMend:
		return false
	}
	return true
}

type qemuKind struct{}

func (qemuKind) make(c machine.Config) (machine.Machine, error) { return qemu.New(c) }
func (qemuKind) watchdog() string                               { return "i6300esb" }
func (qemuKind) gate() bool                                     { return true }
func (qemuKind) can(fault.Kind) bool                            { return true }
func (qemuKind) words() []string {
	return []string{agent.WordRoot + "/dev/vda", agent.WordState + "/dev/vdb", agent.WordControl + "port:ctl"}
}
