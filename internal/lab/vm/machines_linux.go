package vm

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"

	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/vm/agent"
	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

// PowerOffHost takes the power from the host where a node lives.
func (l *Lab) PowerOffHost(ctx context.Context, node string) error {
	h, err := l.hostOf(node)
	if err != nil {
		return err
	}
	h.off = true
	// The uplinks first: nobody says farewell.
	var errs []error
	for _, network := range Networks() {
		errs = append(errs, l.fabric.setPort(portName(h.name, network), false))
	}
	on := slices.DeleteFunc(l.nodesOn(h), func(n *Node) bool { return !n.On() })
	return errors.Join(append(errs, l.each(ctx, on, (*Node).powerOff))...)
}

// PowerOnHost gives it back; its machines boot.
func (l *Lab) PowerOnHost(ctx context.Context, node string) error {
	h, err := l.hostOf(node)
	if err != nil {
		return err
	}
	h.off = false
	for _, network := range Networks() {
		if err := l.fabric.setPort(portName(h.name, network), true); err != nil {
			return err
		}
	}
	off := slices.DeleteFunc(l.nodesOn(h), (*Node).On)
	return l.each(ctx, off, (*Node).powerOn)
}

// Panic makes a node's kernel panic, and waits until the machine is gone.
func (l *Lab) Panic(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	a, err := n.Agent()
	if err != nil {
		return err
	}
	ended := n.Machine().Done()
	asked := make(chan error, 1)
	// The kernel doesn't come back from this, so nobody answers.
	go func() { asked <- a.Sysrq(ctx, "c") }()
	return l.awaitEnd(ctx, n, ended, asked)
}

// NMI sends a non-maskable interrupt, at which a guest panics.
func (l *Lab) NMI(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	i, ok := n.Machine().(machine.Interrupter)
	if !ok {
		return fmt.Errorf("NMI to %s: %w", node, fault.ErrUnsupported)
	}
	ended := n.Machine().Done()
	asked := make(chan error, 1)
	asked <- i.NMI(ctx)
	return l.awaitEnd(ctx, n, ended, asked)
}

func (l *Lab) awaitEnd(ctx context.Context, n *Node, ended <-chan struct{}, asked <-chan error) error {
	ctx, cancel := context.WithTimeout(ctx, actWait)
	defer cancel()
	for {
		select {
		case <-ended:
			return nil
		case err := <-asked:
			if err != nil && !errors.Is(err, agent.ErrEnded) {
				return err
			}
			asked = nil
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of %s: %w", n.Name, context.Cause(ctx))
		}
	}
}

// AwaitEnd waits until a node's machine has ended by itself, and says why.
func (l *Lab) AwaitEnd(ctx context.Context, node string) (why string, err error) {
	n, err := l.Node(node)
	if err != nil {
		return "", err
	}
	m := n.Machine()
	select {
	case <-m.Done():
		return m.Ended(), nil
	case <-ctx.Done():
		return "", fmt.Errorf("wait for the end of %s: %w", node, context.Cause(ctx))
	}
}

// Pause stops a whole machine while its clock goes on.
func (l *Lab) Pause(ctx context.Context, node string) error {
	return withMachine(l, node, "pause", func(p machine.Pauser) error { return p.Pause(ctx) })
}

// Suspend stops it with its clock.
func (l *Lab) Suspend(ctx context.Context, node string) error {
	return withMachine(l, node, "suspend", func(s machine.Suspender) error { return s.Suspend(ctx) })
}

// Continue ends both.
func (l *Lab) Continue(ctx context.Context, node string) error {
	return withMachine(l, node, "continue", func(p machine.Pauser) error { return p.Continue(ctx) })
}

// snapshotName is that of the one snapshot that a machine has here.
const snapshotName = "lab"

// Snapshot keeps a machine's memory, clock and disks.
func (l *Lab) Snapshot(ctx context.Context, node string) error {
	return withMachine(l, node, "snapshot", func(s machine.Snapshotter) error { return s.Snapshot(ctx, snapshotName) })
}

// Revert goes back to it.
func (l *Lab) Revert(ctx context.Context, node string) error {
	return withMachine(l, node, "revert", func(s machine.Snapshotter) error { return s.Revert(ctx, snapshotName) })
}

// withMachine does what not every kind can.
func withMachine[T any](l *Lab, node, what string, do func(T) error) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.on {
		return fmt.Errorf("%s %s: %w", what, node, machine.ErrOff)
	}
	able, ok := n.machine.(T)
	if !ok {
		return fmt.Errorf("%s %s: %w", what, node, fault.ErrUnsupported)
	}
	return do(able)
}

// Migrate moves a running machine to the next host that has power, with its disks
// if all is set.
func (l *Lab) Migrate(ctx context.Context, node string, all bool) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	to, err := l.nextHost(n)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	m, ok := n.machine.(machine.Migrator)
	if !ok || !n.on {
		return fmt.Errorf("migrate %s: %w", node, fault.ErrUnsupported)
	}
	for _, network := range n.networks {
		if err := to.addTap(portName(n.Name, network), network); err != nil {
			return err
		}
	}
	there := n.config(to)
	n.moves++
	// Each hypervisor has files of its own for a machine.
	there.Dir = filepath.Join(n.dir, fmt.Sprintf("at-%s-%d", to.name, n.moves))
	if err := os.Mkdir(there.Dir, 0o700); err != nil {
		return fmt.Errorf("migrate %s: %w", node, err)
	}
	move := m.Migrate
	if all {
		there.Disks[1].Path = filepath.Join(n.dir, fmt.Sprintf("state.%d.raw", n.moves))
		move = m.MigrateAll
	}
	cost, err := move(ctx, there)
	from := n.host
	if err != nil {
		from = to // it stayed
	} else {
		n.host, n.migration = to, cost
		if all {
			n.disk = there.Disks[1].Path
		}
	}
	for _, network := range n.networks {
		err = errors.Join(err, from.removePort(portName(n.Name, network)))
	}
	return err
}

// Migration is what the node's last migration cost.
func (n *Node) Migration() machine.Migration {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.migration
}

// nextHost is the next host that has power.
func (l *Lab) nextHost(n *Node) (*Host, error) {
	i := slices.Index(l.hosts, n.host)
	for k := 1; k < len(l.hosts); k++ {
		if h := l.hosts[(i+k)%len(l.hosts)]; !h.off {
			return h, nil
		}
	}
	return nil, fmt.Errorf("migrate %s: no other host has power", n.Name)
}

// MoveDisk moves a disk of a running machine to another file.
func (l *Lab) MoveDisk(ctx context.Context, node, disk string) error {
	if disk != stateDiskName {
		return fmt.Errorf("move disk %s of %s: only %s can be moved", disk, node, stateDiskName)
	}
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return withMachine(l, node, "move a disk of", func(m machine.Migrator) error {
		n.moves++
		path := filepath.Join(n.dir, fmt.Sprintf("state.%d.raw", n.moves))
		if err := m.MoveDisk(ctx, disk, path); err != nil {
			return err
		}
		n.disk = path
		return nil
	})
}

// BreakDisk breaks a disk.
func (l *Lab) BreakDisk(ctx context.Context, node, disk string, how fault.Kind) error {
	states := map[fault.Kind]machine.DiskState{
		fault.DiskError: machine.DiskError, fault.DiskHang: machine.DiskHang, fault.DiskGone: machine.DiskGone,
	}
	return l.setDisk(ctx, node, disk, states[how])
}

// MendDisk makes it good again.
func (l *Lab) MendDisk(ctx context.Context, node, disk string) error {
	return l.setDisk(ctx, node, disk, machine.DiskGood)
}

func (l *Lab) setDisk(ctx context.Context, node, disk string, state machine.DiskState) error {
	return withMachine(l, node, "break a disk of", func(b machine.DiskBreaker) error { return b.SetDisk(ctx, disk, state) })
}
