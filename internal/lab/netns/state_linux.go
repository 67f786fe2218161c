package netns

import (
	"context"
	"fmt"
	"path/filepath"

	"github.com/perdure-ha/perdure/internal/lab/disk"
)

// stoppedNode returns a node on which no perdure runs, so that its state may be
// touched.
func (l *Lab) stoppedNode(node string) (*Node, error) {
	n, err := l.Node(node)
	if err != nil || !n.On() {
		return n, err
	}
	running, err := n.perdureProcesses("")
	if err != nil {
		return nil, err
	}
	if len(running) > 0 {
		return nil, fmt.Errorf("state of %s: perdure runs (pid %d); stop it or switch the node off first", node, running[0].PID)
	}
	return n, nil
}

// savedDir holds the copy of a node's state.
func (n *Node) savedDir() string { return filepath.Join(n.dir, "state.saved") }

// CorruptState damages a node's state.
func (l *Lab) CorruptState(_ context.Context, node string) error {
	n, err := l.stoppedNode(node)
	if err != nil {
		return err
	}
	if err := disk.Corrupt(n.StateDir()); err != nil {
		return fmt.Errorf("corrupt state of %s: %w", node, err)
	}
	return nil
}

// LoseState removes a node's state.
func (l *Lab) LoseState(_ context.Context, node string) error {
	n, err := l.stoppedNode(node)
	if err != nil {
		return err
	}
	return disk.Lose(n.StateDir())
}

// SaveState copies a node's state, as a snapshot of its disk would. The node
// may run: what isn't synced yet may be missing.
func (l *Lab) SaveState(_ context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return disk.Copy(n.savedDir(), n.StateDir())
}

// RevertState puts the copy back.
func (l *Lab) RevertState(_ context.Context, node string) error {
	n, err := l.stoppedNode(node)
	if err != nil {
		return err
	}
	if err := disk.Copy(n.StateDir(), n.savedDir()); err != nil {
		return fmt.Errorf("revert state of %s: %w", node, err)
	}
	return nil
}
