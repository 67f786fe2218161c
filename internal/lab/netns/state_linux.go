package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"path/filepath"
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
		return nil, fmt.Errorf("state of %s: perdure runs (pid %d); stop it or switch the node off first", node, running[0].pid)
	}
	return n, nil
}

// savedDir holds the copy of a node's state.
func (n *Node) savedDir() string { return filepath.Join(n.dir, "state.saved") }

// CorruptState damages the largest file of a node's state in the middle of what
// is written of it: its end may be reserved and empty.
func (l *Lab) CorruptState(_ context.Context, node string) error {
	n, err := l.stoppedNode(node)
	if err != nil {
		return err
	}
	var largest string
	var size int64
	err = filepath.WalkDir(n.StateDir(), func(path string, d fs.DirEntry, err error) error {
		if err != nil || !d.Type().IsRegular() {
			return err
		}
		info, err := d.Info()
		if err == nil && info.Size() > size {
			largest, size = path, info.Size()
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("corrupt state of %s: %w", node, err)
	}
	if largest == "" {
		return fmt.Errorf("corrupt state of %s: no file with content in %s", node, n.StateDir())
	}
	f, err := os.OpenFile(largest, os.O_RDWR, 0)
	if err != nil {
		return fmt.Errorf("corrupt state of %s: %w", node, err)
	}
	defer f.Close()
	content, err := io.ReadAll(f)
	if err != nil {
		return fmt.Errorf("corrupt state of %s: %w", node, err)
	}
	content = bytes.TrimRight(content, "\x00")
	// Every bit of up to 64 bytes is turned.
	part := content[len(content)/2 : min(len(content)/2+64, len(content))]
	at := int64(len(content) / 2)
	for i := range part {
		part[i] ^= 0xff
	}
	if _, err := f.WriteAt(part, at); err != nil {
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
	return errors.Join(os.RemoveAll(n.StateDir()), os.MkdirAll(n.StateDir(), 0o700))
}

// SaveState copies a node's state, as a snapshot of its disk would. The node
// may run: what isn't synced yet may be missing.
func (l *Lab) SaveState(_ context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return replaceTree(n.savedDir(), n.StateDir())
}

// RevertState puts the copy back.
func (l *Lab) RevertState(_ context.Context, node string) error {
	n, err := l.stoppedNode(node)
	if err != nil {
		return err
	}
	if _, err := os.Stat(n.savedDir()); err != nil {
		return fmt.Errorf("revert state of %s: nothing was saved: %w", node, err)
	}
	return replaceTree(n.StateDir(), n.savedDir())
}

// replaceTree makes to a copy of from, modes included.
func replaceTree(to, from string) error {
	if err := os.RemoveAll(to); err != nil {
		return err
	}
	return filepath.WalkDir(from, func(path string, d fs.DirEntry, err error) error {
		if err != nil {
			return err
		}
		rel, err := filepath.Rel(from, path)
		if err != nil {
			return err
		}
		info, err := d.Info()
		if err != nil {
			return err
		}
		target := filepath.Join(to, rel)
		switch {
		case d.IsDir():
			return os.MkdirAll(target, info.Mode().Perm())
		case !d.Type().IsRegular():
			return nil // sockets
		}
		content, err := os.ReadFile(path)
		if err != nil {
			return err
		}
		return os.WriteFile(target, content, info.Mode().Perm())
	})
}
