package fault

import (
	"context"
	"fmt"
	"time"
)

// Apply carries a fault out. A freeze with a duration returns after the thaw.
func Apply(ctx context.Context, lab any, f Fault) error {
	if err := f.Check(); err != nil {
		return err
	}
	act, ok := actOf(lab, f)
	if !ok {
		return fmt.Errorf("%s: %w", f, ErrUnsupported)
	}
	if err := act(ctx); err != nil {
		return fmt.Errorf("%s: %w", f, err)
	}
	return nil
}

// Can reports whether a lab has means for a fault.
func Can(lab any, f Fault) bool {
	_, ok := actOf(lab, f)
	return ok
}

type act func(context.Context) error

// actOf finds the lab's means for a fault.
func actOf(lab any, f Fault) (act, bool) {
	if s, ok := lab.(Selective); ok && !s.Can(f.Kind) {
		return nil, false
	}
	switch f.Kind {
	case PowerOff, PowerOn:
		return powerAct(lab, f)
	case PowerOffHost, PowerOnHost:
		return hostAct(lab, f)
	case Panic, NMI:
		return kernelAct(lab, f)
	case Freeze, Thaw:
		return freezeAct(lab, f)
	case Pause, Suspend, Continue, Snapshot, Revert, Migrate, MigrateAll, MoveDisk:
		return machineAct(lab, f)
	case PortDown, PortUp:
		p, ok := lab.(Ports)
		return func(ctx context.Context) error {
			return p.SetPort(ctx, f.Node, f.Network, f.Kind == PortUp)
		}, ok
	case SwitchDown, SwitchUp:
		s, ok := lab.(Switches)
		return func(ctx context.Context) error { return s.SetSwitch(ctx, f.Network, f.Kind == SwitchUp) }, ok
	case Loss, Delay:
		return impairAct(lab, f)
	case DiskError, DiskHang, DiskGone, DiskMend:
		return diskAct(lab, f)
	case Cut, OneWay, Isolate, Heal:
		return networkAct(lab, f)
	case LinkDown, LinkUp:
		l, ok := lab.(Links)
		return func(ctx context.Context) error {
			return l.SetLink(ctx, f.Node, f.Network, f.Kind == LinkUp)
		}, ok
	case Kill, KillMain, Hang, HangWorkers, Resume, FailStart, MendStart:
		return processAct(lab, f)
	case KillDaemon, KillGuardian, StopDaemon, KeepStop, StartDaemon:
		return daemonAct(lab, f)
	case HangGuardian, ResumeGuardian:
		g, ok := lab.(Guardians)
		return func(ctx context.Context) error { return g.HangGuardian(ctx, f.Node, f.Kind == HangGuardian) }, ok
	case JoinAnew:
		m, ok := lab.(Members)
		return func(ctx context.Context) error { return m.JoinAnew(ctx, f.Node) }, ok
	case CorruptState, LoseState, SaveState, RevertState:
		return stateAct(lab, f)
	case Switchover:
		s, ok := lab.(Switcher)
		return func(ctx context.Context) error { return s.Switchover(ctx, f.Resource, f.Node) }, ok
	}
	return nil, false
}

func powerAct(lab any, f Fault) (act, bool) {
	p, ok := lab.(Power)
	if f.Kind == PowerOn {
		return func(ctx context.Context) error { return p.PowerOn(ctx, f.Node) }, ok
	}
	return func(ctx context.Context) error { return p.PowerOff(ctx, f.Node) }, ok
}

func hostAct(lab any, f Fault) (act, bool) {
	h, ok := lab.(Hosts)
	if f.Kind == PowerOnHost {
		return func(ctx context.Context) error { return h.PowerOnHost(ctx, f.Node) }, ok
	}
	return func(ctx context.Context) error { return h.PowerOffHost(ctx, f.Node) }, ok
}

func kernelAct(lab any, f Fault) (act, bool) {
	k, ok := lab.(Kernels)
	if f.Kind == NMI {
		return func(ctx context.Context) error { return k.NMI(ctx, f.Node) }, ok
	}
	return func(ctx context.Context) error { return k.Panic(ctx, f.Node) }, ok
}

func freezeAct(lab any, f Fault) (act, bool) {
	z, ok := lab.(Freezer)
	if f.Kind == Thaw {
		return func(ctx context.Context) error { return z.Thaw(ctx, f.Node) }, ok
	}
	return func(ctx context.Context) error { return stopped(ctx, f, z.Freeze, z.Thaw) }, ok
}

// stopped stops a node, and lets it go on after the fault's time if it has one.
func stopped(ctx context.Context, f Fault, stop, goOn func(context.Context, string) error) error {
	if err := stop(ctx, f.Node); err != nil || f.For == 0 {
		return err
	}
	timer := time.NewTimer(f.For)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		// A frozen node can't even be cleaned up by itself.
	}
	return goOn(context.WithoutCancel(ctx), f.Node)
}

func machineAct(lab any, f Fault) (act, bool) {
	m, ok := lab.(Machines)
	if !ok {
		return nil, false
	}
	return func(ctx context.Context) error {
		switch f.Kind {
		case Pause:
			return stopped(ctx, f, m.Pause, m.Continue)
		case Suspend:
			return stopped(ctx, f, m.Suspend, m.Continue)
		case Continue:
			return m.Continue(ctx, f.Node)
		case Snapshot:
			return m.Snapshot(ctx, f.Node)
		case Revert:
			return m.Revert(ctx, f.Node)
		case MoveDisk:
			return m.MoveDisk(ctx, f.Node, f.Resource)
		}
		return m.Migrate(ctx, f.Node, f.Kind == MigrateAll)
	}, true
}

func impairAct(lab any, f Fault) (act, bool) {
	i, ok := lab.(Impairer)
	if f.Kind == Delay {
		return func(ctx context.Context) error { return i.Delay(ctx, f.Node, f.Network, DelayMillis) }, ok
	}
	return func(ctx context.Context) error { return i.Loss(ctx, f.Node, f.Network, LossPercent) }, ok
}

func diskAct(lab any, f Fault) (act, bool) {
	d, ok := lab.(Disks)
	if f.Kind == DiskMend {
		return func(ctx context.Context) error { return d.MendDisk(ctx, f.Node, f.Resource) }, ok
	}
	return func(ctx context.Context) error { return d.BreakDisk(ctx, f.Node, f.Resource, f.Kind) }, ok
}

func networkAct(lab any, f Fault) (act, bool) {
	n, ok := lab.(Network)
	switch f.Kind {
	case Cut:
		return func(ctx context.Context) error {
			if err := n.Block(ctx, f.Node, f.Peer, f.Network); err != nil {
				return err
			}
			return n.Block(ctx, f.Peer, f.Node, f.Network)
		}, ok
	case OneWay:
		return func(ctx context.Context) error { return n.Block(ctx, f.Node, f.Peer, f.Network) }, ok
	case Isolate:
		return func(ctx context.Context) error { return n.BlockAll(ctx, f.Node, f.Network) }, ok
	}
	return func(ctx context.Context) error { return n.Heal(ctx) }, ok
}

func processAct(lab any, f Fault) (act, bool) {
	p, ok := lab.(Processes)
	switch f.Kind {
	case Kill, KillMain:
		return func(ctx context.Context) error {
			return p.KillResource(ctx, f.Node, f.Resource, f.Kind == KillMain)
		}, ok
	case HangWorkers:
		return func(ctx context.Context) error { return p.HangWorkers(ctx, f.Node, f.Resource) }, ok
	case Hang, Resume:
		return func(ctx context.Context) error {
			return p.HangResource(ctx, f.Node, f.Resource, f.Kind == Hang)
		}, ok
	}
	return func(ctx context.Context) error {
		return p.FailStart(ctx, f.Node, f.Resource, f.Kind == FailStart)
	}, ok
}

func daemonAct(lab any, f Fault) (act, bool) {
	d, ok := lab.(Daemons)
	if !ok {
		return nil, false
	}
	do := map[Kind]func(context.Context, string) error{
		KillDaemon: d.KillDaemon, KillGuardian: d.KillGuardian,
		StopDaemon: d.StopDaemon, KeepStop: d.KeepStop, StartDaemon: d.StartDaemon,
	}[f.Kind]
	return func(ctx context.Context) error { return do(ctx, f.Node) }, true
}

func stateAct(lab any, f Fault) (act, bool) {
	s, ok := lab.(State)
	if !ok {
		return nil, false
	}
	do := map[Kind]func(context.Context, string) error{
		CorruptState: s.CorruptState, LoseState: s.LoseState,
		SaveState: s.SaveState, RevertState: s.RevertState,
	}[f.Kind]
	return func(ctx context.Context) error { return do(ctx, f.Node) }, true
}
