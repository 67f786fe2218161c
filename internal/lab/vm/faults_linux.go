package vm

import (
	"context"
	"errors"
	"fmt"

	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/outside"
	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

var (
	_ fault.Power     = (*Lab)(nil)
	_ fault.Freezer   = (*Lab)(nil)
	_ fault.Network   = (*Lab)(nil)
	_ fault.Processes = (*Lab)(nil)
	_ fault.Daemons   = (*Lab)(nil)
	_ fault.State     = (*Lab)(nil)
	_ fault.Guardians = (*Lab)(nil)
	_ fault.Switcher  = (*Lab)(nil)
	_ fault.Members   = (*Lab)(nil)
	_ fault.Selective = (*Lab)(nil)
	_ fault.Links     = (*Lab)(nil)
	_ fault.Ports     = (*Lab)(nil)
	_ fault.Switches  = (*Lab)(nil)
	_ fault.Impairer  = (*Lab)(nil)
	_ fault.Hosts     = (*Lab)(nil)
	_ fault.Kernels   = (*Lab)(nil)
	_ fault.Machines  = (*Lab)(nil)
	_ fault.Disks     = (*Lab)(nil)
)

// Can reports whether the lab's machines can do it.
func (l *Lab) Can(k fault.Kind) bool { return l.kind.can(k) }

// PowerOff takes a node's power away.
func (l *Lab) PowerOff(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return n.powerOff(ctx)
}

// PowerOn boots a node. One that went down by itself, by a panic say, is cleaned up
// behind first.
func (l *Lab) PowerOn(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	if n.On() && l.down(n) {
		if err := n.powerOff(ctx); err != nil {
			return err
		}
	}
	return n.powerOn(ctx)
}

// BootReset boots the machines that their watchdogs have reset.
func (l *Lab) BootReset(ctx context.Context) error {
	var reset []*Node
	for _, n := range l.nodes {
		if n.On() && l.down(n) && n.Machine().Ended() == machine.EndedByWatchdog {
			reset = append(reset, n)
		}
	}
	return l.each(ctx, reset, func(n *Node, ctx context.Context) error { return l.PowerOn(ctx, n.Name) })
}

// down reports whether the machine ended by itself.
func (l *Lab) down(n *Node) bool {
	m := n.Machine()
	select {
	case <-m.Done():
		return true
	default:
		return false
	}
}

// inside carries a fault out by the node's agent.
func (l *Lab) inside(ctx context.Context, f fault.Fault) error {
	n, err := l.Node(f.Node)
	if err != nil {
		return err
	}
	a, err := n.Agent()
	if err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, actWait)
	defer cancel()
	return a.Apply(ctx, f)
}

// Freeze stops a node's userland; its kernel goes on.
func (l *Lab) Freeze(ctx context.Context, node string) error {
	return l.inside(ctx, fault.Fault{Kind: fault.Freeze, Node: node})
}

// Thaw continues it. A machine that its watchdog has reset meanwhile boots.
func (l *Lab) Thaw(ctx context.Context, node string) error {
	if n, err := l.Node(node); err == nil && n.On() && l.down(n) {
		return l.PowerOn(ctx, node)
	}
	return l.inside(ctx, fault.Fault{Kind: fault.Thaw, Node: node})
}

// BreakGate takes the address gate away from a node, again and again until ctx ends.
func (l *Lab) BreakGate(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	a, err := n.Agent()
	if err != nil {
		return err
	}
	return a.BreakGate(ctx)
}

// KillResource ends a resource's processes without warning.
func (l *Lab) KillResource(ctx context.Context, node, resource string, mainOnly bool) error {
	kind := fault.Kill
	if mainOnly {
		kind = fault.KillMain
	}
	return l.inside(ctx, fault.Fault{Kind: kind, Node: node, Resource: resource})
}

// HangResource stops a resource's processes, or continues them.
func (l *Lab) HangResource(ctx context.Context, node, resource string, hang bool) error {
	kind := fault.Resume
	if hang {
		kind = fault.Hang
	}
	return l.inside(ctx, fault.Fault{Kind: kind, Node: node, Resource: resource})
}

// HangWorkers stops a resource's processes except the main one.
func (l *Lab) HangWorkers(ctx context.Context, node, resource string) error {
	return l.inside(ctx, fault.Fault{Kind: fault.HangWorkers, Node: node, Resource: resource})
}

// FailStart makes starts of the resource fail on a node, over boots, until fail is
// false.
func (l *Lab) FailStart(ctx context.Context, node, resource string, fail bool) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	n.failStart = fail
	on := n.on
	n.mu.Unlock()
	if !on {
		return nil
	}
	kind := fault.MendStart
	if fail {
		kind = fault.FailStart
	}
	return l.inside(ctx, fault.Fault{Kind: kind, Node: node, Resource: resource})
}

// KillDaemon ends the daemon (or witness) by SIGKILL.
func (l *Lab) KillDaemon(ctx context.Context, node string) error {
	return l.inside(ctx, fault.Fault{Kind: fault.KillDaemon, Node: node})
}

// KillGuardian ends the guardian by SIGKILL.
func (l *Lab) KillGuardian(ctx context.Context, node string) error {
	return l.inside(ctx, fault.Fault{Kind: fault.KillGuardian, Node: node})
}

// HangGuardian stops the guardian's process, or continues it. A machine that its
// watchdog has reset meanwhile boots.
func (l *Lab) HangGuardian(ctx context.Context, node string, hang bool) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	switch {
	case hang:
		return l.inside(ctx, fault.Fault{Kind: fault.HangGuardian, Node: node})
	case !n.On() || l.down(n):
		return l.PowerOn(ctx, node)
	}
	return l.inside(ctx, fault.Fault{Kind: fault.ResumeGuardian, Node: node})
}

// StopDaemon stops perdure in order and waits for its end.
func (l *Lab) StopDaemon(ctx context.Context, node string) error {
	return l.inside(ctx, fault.Fault{Kind: fault.StopDaemon, Node: node})
}

// KeepStop stops perdure as for an upgrade, with the services left running.
func (l *Lab) KeepStop(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	_, err = n.Perdure(ctx, "node", "stop", "--keep")
	return err
}

// StartDaemon starts perdure again as the last boot did.
func (l *Lab) StartDaemon(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.on || n.role == "" {
		return fmt.Errorf("start perdure on %s: the node is off or in no cluster", node)
	}
	return n.startPerdure(ctx)
}

// later has something done inside at once, or at the next boot, before perdure
// starts.
func (l *Lab) later(ctx context.Context, f fault.Fault) error {
	n, err := l.Node(f.Node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	on := n.on
	if !on {
		n.before = append(n.before, f)
	}
	n.mu.Unlock()
	if !on {
		return nil
	}
	return l.inside(ctx, f)
}

// CorruptState damages a node's state.
func (l *Lab) CorruptState(ctx context.Context, node string) error {
	return l.later(ctx, fault.Fault{Kind: fault.CorruptState, Node: node})
}

// LoseState removes a node's state.
func (l *Lab) LoseState(ctx context.Context, node string) error {
	return l.later(ctx, fault.Fault{Kind: fault.LoseState, Node: node})
}

// SaveState copies a node's disk as a snapshot does: the guest's own caches are
// written first, and the machine stands still meanwhile.
func (l *Lab) SaveState(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.on {
		if _, err := n.client.Run(ctx, "sync"); err != nil {
			return err
		}
		if p, ok := n.machine.(machine.Pauser); ok {
			if err := p.Pause(ctx); err != nil {
				return err
			}
			defer func() { _ = p.Continue(ctx) }()
		}
	}
	return copyDisk(n.savedDisk(), n.stateDisk())
}

// RevertState puts the copy back. The node must be off.
func (l *Lab) RevertState(_ context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.on {
		return fmt.Errorf("revert the disk of %s: switch the node off first", node)
	}
	return copyDisk(n.stateDisk(), n.savedDisk())
}

// everywhere applies losses at all hosts, because machines move, and at the
// fabric.
func (l *Lab) everywhere(losses []loss) error {
	errs := []error{l.fabric.lose(losses)}
	for _, h := range l.hosts {
		errs = append(errs, h.lose(losses))
	}
	return errors.Join(errs...)
}

// port is where a station hears a network.
func (l *Lab) port(station, network string) string {
	if station == outside.Client {
		return outside.Client
	}
	return portName(station, network)
}

// macOf is a station's hardware address in a network.
func (l *Lab) lossOf(from, to, network string) (loss, error) {
	i := networkIndex(network)
	source := mac(i, hostOut)
	if from != outside.Client {
		n, err := l.Node(from)
		if err != nil {
			return loss{}, err
		}
		source = mac(i, n.number)
	}
	if to != outside.Client {
		if _, err := l.Node(to); err != nil {
			return loss{}, err
		}
	}
	return loss{from: source, port: l.port(to, network)}, nil
}

// Block loses the frames from one node to another. The station "client" may be
// named as well.
func (l *Lab) Block(_ context.Context, from, to, network string) error {
	networks, err := networksOf(network)
	if err != nil {
		return err
	}
	var losses []loss
	for _, network := range networks {
		lost, err := l.lossOf(from, to, network)
		if err != nil {
			return err
		}
		losses = append(losses, lost)
	}
	return l.everywhere(losses)
}

// BlockAll loses all frames from and to a node, the outside client's included.
// Only the probes still reach it.
func (l *Lab) BlockAll(_ context.Context, node, network string) error {
	networks, err := networksOf(network)
	if err != nil {
		return err
	}
	others := []string{outside.Client}
	for _, n := range l.nodes {
		if n.Name != node {
			others = append(others, n.Name)
		}
	}
	var losses []loss
	for _, network := range networks {
		for _, other := range others {
			for _, pair := range [][2]string{{node, other}, {other, node}} {
				lost, err := l.lossOf(pair[0], pair[1], network)
				if err != nil {
					return err
				}
				losses = append(losses, lost)
			}
		}
	}
	return l.everywhere(losses)
}

// Heal ends all cuts, gives all carriers and ports back, and takes all
// impairments away.
func (l *Lab) Heal(ctx context.Context) error {
	errs := []error{l.fabric.heal()}
	for _, network := range Networks() {
		errs = append(errs, l.SetSwitch(ctx, network, true))
	}
	for _, h := range l.hosts {
		errs = append(errs, h.heal())
	}
	for _, n := range l.nodes {
		if n.On() && !l.down(n) {
			errs = append(errs, l.healNode(ctx, n))
		}
	}
	return errors.Join(errs...)
}

func (l *Lab) healNode(ctx context.Context, n *Node) error {
	var errs []error
	for _, network := range Networks() {
		errs = append(errs, n.host.setPort(portName(n.Name, network), true))
		if c, ok := n.Machine().(machine.Carrier); ok {
			errs = append(errs, c.SetCarrier(ctx, network, true))
		}
	}
	if n.takeImpaired() {
		errs = append(errs, l.unimpair(ctx, n))
	}
	return errors.Join(errs...)
}
