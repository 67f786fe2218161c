package local

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/disk"
	"github.com/perdure-ha/perdure/internal/lab/procs"
)

// PowerOff kills all processes of a node at once.
func (l *Lab) PowerOff(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.on {
		return fmt.Errorf("switch off %s: it is off", node)
	}
	n.on = false
	return n.killAll(context.WithoutCancel(ctx))
}

// PowerOn boots a node.
func (l *Lab) PowerOn(_ context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return n.boot()
}

// Freeze stops all processes of a node.
func (l *Lab) Freeze(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return n.signalAll(ctx, syscall.SIGSTOP, isStopped)
}

// Thaw continues them.
func (l *Lab) Thaw(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return n.signalAll(ctx, syscall.SIGCONT, func(p procs.Process) bool { return !isStopped(p) })
}

// stopped returns a node on which no perdure runs.
func (l *Lab) stopped(node string) (*Node, error) {
	n, err := l.Node(node)
	if err != nil {
		return nil, err
	}
	all, err := n.processes()
	if err != nil {
		return nil, err
	}
	if running := procs.Perdure(all, l.opts.Perdure, ""); len(running) > 0 {
		return nil, fmt.Errorf("state of %s: perdure runs (pid %d); stop it or switch the node off first", node, running[0].PID)
	}
	return n, nil
}

// CorruptState damages a node's state.
func (l *Lab) CorruptState(_ context.Context, node string) error {
	n, err := l.stopped(node)
	if err != nil {
		return err
	}
	return disk.Corrupt(n.StateDir())
}

// LoseState removes it.
func (l *Lab) LoseState(_ context.Context, node string) error {
	n, err := l.stopped(node)
	if err != nil {
		return err
	}
	return disk.Lose(n.StateDir())
}

func (n *Node) savedDir() string { return filepath.Join(n.dir, "state.saved") }

// SaveState copies it.
func (l *Lab) SaveState(_ context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return disk.Copy(n.savedDir(), n.StateDir())
}

// RevertState puts the copy back.
func (l *Lab) RevertState(_ context.Context, node string) error {
	n, err := l.stopped(node)
	if err != nil {
		return err
	}
	return disk.Copy(n.StateDir(), n.savedDir())
}

func (l *Lab) signalPerdure(node, role string, s syscall.Signal) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	all, err := n.processes()
	if err != nil {
		return err
	}
	mine := procs.Perdure(all, l.opts.Perdure, role)
	if len(mine) == 0 {
		return fmt.Errorf("no perdure %s runs on %s", role, node)
	}
	return procs.Signal(procs.IDs(mine), s)
}

// KillDaemon ends the daemon by SIGKILL.
func (l *Lab) KillDaemon(_ context.Context, node string) error {
	return l.signalPerdure(node, "daemon", syscall.SIGKILL)
}

// KillGuardian ends the guardian by SIGKILL.
func (l *Lab) KillGuardian(_ context.Context, node string) error {
	return l.signalPerdure(node, "guardian", syscall.SIGKILL)
}

// StopDaemon stops perdure in order and waits for its end.
func (l *Lab) StopDaemon(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	role := n.role
	if err := l.signalPerdure(node, role, syscall.SIGTERM); err != nil {
		return err
	}
	return n.awaitNoPerdure(ctx)
}

// KeepStop stops perdure as for an upgrade, with the services left running.
func (l *Lab) KeepStop(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	if _, err := n.Perdure(ctx, "node", "stop", "--keep"); err != nil {
		return err
	}
	return n.awaitNoPerdure(ctx)
}

func (n *Node) awaitNoPerdure(ctx context.Context) error {
	ticker := time.NewTicker(10 * time.Millisecond)
	defer ticker.Stop()
	for {
		all, err := n.processes()
		if err != nil {
			return err
		}
		if len(procs.Perdure(all, n.lab.opts.Perdure, "")) == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for perdure on %s to end: %w", n.Name, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// StartDaemon starts perdure again.
func (l *Lab) StartDaemon(_ context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.on || n.role == "" {
		return fmt.Errorf("start perdure on %s: the node is off or in no cluster", node)
	}
	return n.startPerdure()
}

// Switchover asks the node that shall take over.
func (l *Lab) Switchover(ctx context.Context, hierarchy, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	_, err = n.Perdure(ctx, "switchover", hierarchy, "--to", node)
	return err
}

// JoinAnew removes a node whose state is gone and lets it join again.
func (l *Lab) JoinAnew(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	if _, err := l.stopped(node); err != nil {
		if err := l.StopDaemon(ctx, node); err != nil {
			return errors.Join(errors.New("stop what runs there"), err)
		}
	}
	return l.op.JoinAnew(ctx, n)
}
