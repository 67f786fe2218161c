//go:build !linux

package qemu

import (
	"context"
	"errors"
	"io"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

// Machine is a virtual machine in QEMU; only on Linux.
type Machine struct{ done chan struct{} }

var _ machine.Machine = (*Machine)(nil)

var errOnlyLinux = errors.New("the VM lab runs on Linux only")

// New fails.
func New(machine.Config) (*Machine, error) { return nil, errOnlyLinux }

// Available fails.
func Available() error { return errOnlyLinux }

// Boot implements [machine.Machine].
func (m *Machine) Boot(context.Context) error { return errOnlyLinux }

// Control implements [machine.Machine].
func (m *Machine) Control() io.ReadWriteCloser { return nil }

// Done implements [machine.Machine].
func (m *Machine) Done() <-chan struct{} { return m.done }

// Ended implements [machine.Machine].
func (m *Machine) Ended() string { return "" }

// PowerOff implements [machine.Machine].
func (m *Machine) PowerOff(context.Context) error { return errOnlyLinux }

// Console implements [machine.Machine].
func (m *Machine) Console() string { return "" }
