package qemu

import (
	"context"
	"syscall"
)

// Pause implements [machine.Pauser] by SIGSTOP: QEMU's clocks are the host's, so
// the guest's go on. What it should have done meanwhile it does at once when it
// goes on.
func (m *Machine) Pause(context.Context) error {
	return m.do("pause", func(p *process) error { return p.cmd.Process.Signal(syscall.SIGSTOP) })
}

// Suspend implements [machine.Suspender] by QMP's stop: the time stamp counter
// and QEMU's virtual clock stand, and with them all timers of the guest and its
// hardware watchdog. The clock on the board (RTC) goes on with the host's.
func (m *Machine) Suspend(ctx context.Context) error {
	return m.do("suspension", func(p *process) error { return p.execute(ctx, "stop", nil, nil) })
}

// Continue implements [machine.Pauser] and [machine.Suspender]: it ends both. A
// machine that runs goes on running.
func (m *Machine) Continue(ctx context.Context) error {
	return m.do("continuation", func(p *process) error {
		if err := p.cmd.Process.Signal(syscall.SIGCONT); err != nil {
			return err
		}
		return p.execute(ctx, "cont", nil, nil)
	})
}

// SetCarrier implements [machine.Carrier].
func (m *Machine) SetCarrier(ctx context.Context, nic string, up bool) error {
	return m.do("carrier of "+nic, func(p *process) error {
		return p.execute(ctx, "set_link", map[string]any{"name": nicDevice(nic), "up": up}, nil)
	})
}

// NMI implements [machine.Interrupter]. The kernel is told to panic then, by
// unknown_nmi_panic.
func (m *Machine) NMI(ctx context.Context) error {
	return m.do("NMI", func(p *process) error { return p.execute(ctx, "inject-nmi", nil, nil) })
}
