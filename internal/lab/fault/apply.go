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
	switch f.Kind {
	case PowerOff, PowerOn:
		return powerAct(lab, f)
	case Freeze, Thaw:
		return freezeAct(lab, f)
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

func freezeAct(lab any, f Fault) (act, bool) {
	z, ok := lab.(Freezer)
	if f.Kind == Thaw {
		return func(ctx context.Context) error { return z.Thaw(ctx, f.Node) }, ok
	}
	return func(ctx context.Context) error {
		if err := z.Freeze(ctx, f.Node); err != nil || f.For == 0 {
			return err
		}
		timer := time.NewTimer(f.For)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			// A frozen node can't even be cleaned up by itself.
		}
		return z.Thaw(context.WithoutCancel(ctx), f.Node)
	}, ok
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
