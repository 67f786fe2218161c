package inside

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/disk"
	"github.com/perdure-ha/perdure/internal/lab/procs"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// Node is one node as its own processes and files.
type Node struct {
	Name string
	// Perdure is the path of the binary that runs here.
	Perdure string
	// StateDir and SavedDir hold perdure's state and the copy of it.
	StateDir, SavedDir string
	// Resource is the one that faults know, and Site its server.
	Resource string
	Site     webserver.Site
	// Processes lists all processes of the node, whoever started them.
	Processes func() ([]procs.Process, error)
}

// ErrRunning says that perdure runs where it must not.
var ErrRunning = errors.New("perdure runs")

// Running finds perdure's processes by their first argument; role "" finds all
// that run for long.
func (n *Node) Running(role string) ([]procs.Process, error) {
	all, err := n.Processes()
	if err != nil {
		return nil, err
	}
	return procs.Perdure(all, n.Perdure, role), nil
}

// Signal sends a signal to perdure's processes of a role.
func (n *Node) Signal(role string, s syscall.Signal) error {
	mine, err := n.Running(role)
	if err != nil {
		return err
	}
	if len(mine) == 0 {
		return fmt.Errorf("no perdure %s runs on %s", role, n.Name)
	}
	return procs.Signal(procs.IDs(mine), s)
}

// KillDaemon ends the daemon (or witness) by SIGKILL.
func (n *Node) KillDaemon() error {
	err := n.Signal("daemon", syscall.SIGKILL)
	if err != nil {
		if witness := n.Signal("witness", syscall.SIGKILL); witness == nil {
			return nil
		}
	}
	return err
}

// Stop ends perdure in order: whoever is the parent of all is told, and ends the
// rest.
func (n *Node) Stop(ctx context.Context) error {
	mine, err := n.Running("")
	if err != nil {
		return err
	}
	top := slices.DeleteFunc(mine, func(p procs.Process) bool { return p.Argv[1] == "daemon" })
	if len(top) == 0 {
		return fmt.Errorf("perdure doesn't run on %s", n.Name)
	}
	if err := procs.Signal(procs.IDs(top), syscall.SIGTERM); err != nil {
		return err
	}
	return n.AwaitStopped(ctx)
}

// AwaitStopped waits until no perdure runs.
func (n *Node) AwaitStopped(ctx context.Context) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		ps, err := n.Running("")
		if err != nil || len(ps) == 0 {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the end of perdure on %s (%d processes): %w", n.Name, len(ps), context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// tree finds a resource's processes, the main one first.
func (n *Node) tree(resource string) ([]int, error) {
	if n.Resource != resource {
		return nil, fmt.Errorf("the lab knows no resource %q on %s, only %q", resource, n.Name, n.Resource)
	}
	file := n.Site.Pidfile()
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", resource, n.Name, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: pid file %s: %w", resource, n.Name, file, err)
	}
	all, err := n.Processes()
	if err != nil {
		return nil, err
	}
	// The number may be an old one and belong to somebody else now.
	if !slices.ContainsFunc(all, func(p procs.Process) bool { return p.PID == pid }) {
		return nil, fmt.Errorf("%s doesn't run on %s: pid %d is gone", resource, n.Name, pid)
	}
	return procs.Tree(all, pid), nil
}

// Kill ends a resource's processes without warning, or only the main one.
func (n *Node) Kill(resource string, mainOnly bool) error {
	pids, err := n.tree(resource)
	if err != nil {
		return err
	}
	if mainOnly {
		pids = pids[:1]
	}
	return procs.Signal(pids, syscall.SIGKILL)
}

// Hang stops a resource's processes, or continues them.
func (n *Node) Hang(resource string, hang bool) error {
	pids, err := n.tree(resource)
	if err != nil {
		return err
	}
	if hang {
		return procs.Signal(pids, syscall.SIGSTOP)
	}
	return procs.Signal(pids, syscall.SIGCONT)
}

// HangWorkers stops a resource's processes except the main one.
func (n *Node) HangWorkers(resource string) error {
	pids, err := n.tree(resource)
	if err != nil {
		return err
	}
	if len(pids) < 2 {
		return fmt.Errorf("%s on %s is one process alone: it has no workers", resource, n.Name)
	}
	return procs.Signal(pids[1:], syscall.SIGSTOP)
}

// FailStart makes starts of the resource fail, or ends that.
func (n *Node) FailStart(resource string, fail bool) error {
	if n.Resource != resource {
		return fmt.Errorf("the lab knows no resource %q on %s, only %q", resource, n.Name, n.Resource)
	}
	file := n.Site.FailFile()
	if fail {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return fmt.Errorf("make the start fail on %s: %w", n.Name, err)
		}
		return nil
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("mend the start on %s: %w", n.Name, err)
	}
	return nil
}

// Starts counts the starts of the server since the site was made.
func (n *Node) Starts() (int, error) {
	text, err := os.ReadFile(n.Site.StartsFile())
	if err != nil && !errors.Is(err, os.ErrNotExist) {
		return 0, fmt.Errorf("count starts on %s: %w", n.Name, err)
	}
	return strings.Count(string(text), "\n"), nil
}

// stopped reports an error while perdure runs: its state must not be touched.
func (n *Node) stopped() error {
	running, err := n.Running("")
	if err != nil {
		return err
	}
	if len(running) > 0 {
		return fmt.Errorf("state of %s: %w (pid %d); stop it or switch the node off first", n.Name, ErrRunning, running[0].PID)
	}
	return nil
}

// CorruptState damages perdure's state.
func (n *Node) CorruptState() error {
	if err := n.stopped(); err != nil {
		return err
	}
	if err := disk.Corrupt(n.StateDir); err != nil {
		return fmt.Errorf("corrupt state of %s: %w", n.Name, err)
	}
	return nil
}

// LoseState removes it.
func (n *Node) LoseState() error {
	if err := n.stopped(); err != nil {
		return err
	}
	return disk.Lose(n.StateDir)
}

// SaveState copies it, as a snapshot of the disk would. Perdure may run: what
// isn't synced yet may be missing.
func (n *Node) SaveState() error { return disk.Copy(n.SavedDir, n.StateDir) }

// RevertState puts the copy back.
func (n *Node) RevertState() error {
	if err := n.stopped(); err != nil {
		return err
	}
	if err := disk.Copy(n.StateDir, n.SavedDir); err != nil {
		return fmt.Errorf("revert state of %s: %w", n.Name, err)
	}
	return nil
}
