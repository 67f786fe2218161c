package agent

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/inside"
	"github.com/perdure-ha/perdure/internal/lab/procs"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// Where things are in a guest.
const (
	// ProgramPath is the program under test.
	ProgramPath = "/usr/local/bin/perdure"
	// StateDir is where perdure keeps its state: on a disk of its own.
	StateDir = "/var/lib/perdure/state"
	savedDir = "/var/lib/perdure/saved"
	// WebDir holds the web server's files. It is new at every boot.
	WebDir = "/run/web"

	cgroupMount = "/sys/fs/cgroup"
	// NodeGroup is the cgroup of everything that isn't the agent: what a freeze
	// stops. initGroup is a leaf of it, so that perdure may hand controllers to
	// groups beside it.
	NodeGroup = cgroupMount + "/node"
	initGroup = NodeGroup + "/init"

	// SystemdStateDir is perdure's own default, used under systemd.
	SystemdStateDir = "/var/lib/perdure"
	// systemdSlice holds the agent under systemd, programsGroup what it starts.
	systemdSlice  = "lab.slice"
	programsGroup = cgroupMount + "/lab-programs"
	// systemdUnit is what perdure install writes.
	systemdUnit = "perdure.service"
)

// node is this guest as a target of faults.
type node struct {
	inside.Node
	// systemd: it is process 1, and runs perdure.
	systemd bool
	// programs is the cgroup of what the agent starts.
	programs string
}

var (
	_ fault.Freezer   = (*node)(nil)
	_ fault.Processes = (*node)(nil)
	_ fault.State     = (*node)(nil)
	_ fault.Guardians = (*node)(nil)
)

func newNode(name string, systemd bool) *node {
	n := &node{systemd: systemd, programs: initGroup,
		Node: inside.Node{Name: name, Perdure: ProgramPath, StateDir: StateDir, SavedDir: savedDir, Processes: processes}}
	if systemd {
		n.programs, n.StateDir, n.SavedDir = programsGroup, SystemdStateDir, SystemdStateDir+".saved"
	}
	return n
}

// processes lists all programs of the node: not the kernel's threads, which have
// no arguments, nor the agent.
func processes() ([]procs.Process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var all []procs.Process
	for _, dir := range dirs {
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil || pid == 1 || pid == os.Getpid() {
			continue
		}
		p, ok, err := procs.Read(pid)
		if err != nil {
			return nil, err
		}
		if ok && p.Argv[0] != "" && p.State != 'Z' {
			all = append(all, p)
		}
	}
	return all, nil
}

func (n *node) useWeb(w Web) (argv []string, err error) {
	server, err := webserver.Find()
	if err != nil {
		return nil, err
	}
	w.Site.Dir = WebDir
	if err := os.MkdirAll(WebDir, 0o700); err != nil {
		return nil, fmt.Errorf("make the web server's directory: %w", err)
	}
	n.Resource, n.Site = w.Resource, w.Site
	if argv, err = server.Prepare(w.Site, WebDir); err != nil {
		return nil, err
	}
	return argv, n.Node.FailStart(w.Resource, w.FailStart)
}

// Freeze stops everything but the agent; the kernel goes on.
func (n *node) Freeze(ctx context.Context, _ string) error { return n.setFrozen(ctx, true) }

// Thaw continues it.
func (n *node) Thaw(ctx context.Context, _ string) error { return n.setFrozen(ctx, false) }

// userland are the cgroups of everything that isn't the agent.
func (n *node) userland() ([]string, error) {
	if !n.systemd {
		return []string{NodeGroup}, nil
	}
	all, err := filepath.Glob(cgroupMount + "/*/cgroup.freeze")
	var groups []string
	for _, file := range all {
		// Process 1 and the agent go on; all that they started doesn't.
		if group := filepath.Dir(file); filepath.Base(group) != systemdSlice && filepath.Base(group) != "init.scope" {
			groups = append(groups, group)
		}
	}
	return groups, err
}

func (n *node) setFrozen(ctx context.Context, frozen bool) error {
	groups, err := n.userland()
	if err != nil {
		return err
	}
	for _, group := range groups {
		if err := setFrozen(ctx, group, frozen); err != nil {
			return err
		}
	}
	return nil
}

func setFrozen(ctx context.Context, group string, frozen bool) error {
	value := map[bool]string{false: "0", true: "1"}[frozen]
	if err := os.WriteFile(filepath.Join(group, "cgroup.freeze"), []byte(value), 0o600); err != nil {
		return err
	}
	ticker := time.NewTicker(2 * time.Millisecond)
	defer ticker.Stop()
	for {
		events, err := os.ReadFile(filepath.Join(group, "cgroup.events"))
		if err != nil {
			return err
		}
		if strings.Contains(string(events), "frozen "+value) {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the freeze of %s: %w", group, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// KillResource and the other methods are those of package fault, for this node
// alone: its name was looked at by whoever forwarded the fault.
func (n *node) KillResource(_ context.Context, _, resource string, mainOnly bool) error {
	return n.Kill(resource, mainOnly)
}

// HangResource stops or continues a resource's processes.
func (n *node) HangResource(_ context.Context, _, resource string, hang bool) error {
	return n.Hang(resource, hang)
}

// HangWorkers stops all but the main one.
func (n *node) HangWorkers(_ context.Context, _, resource string) error {
	return n.Node.HangWorkers(resource)
}

// FailStart makes starts fail, or ends that.
func (n *node) FailStart(_ context.Context, _, resource string, fail bool) error {
	return n.Node.FailStart(resource, fail)
}

// KillDaemon ends the daemon (or witness) by SIGKILL.
func (n *node) KillDaemon(context.Context, string) error { return n.Node.KillDaemon() }

// KillGuardian ends the guardian by SIGKILL.
func (n *node) KillGuardian(context.Context, string) error {
	return n.Signal("guardian", syscall.SIGKILL)
}

// HangGuardian stops the guardian's process, or continues it.
func (n *node) HangGuardian(_ context.Context, _ string, hang bool) error {
	if hang {
		return n.Signal("guardian", syscall.SIGSTOP)
	}
	return n.Signal("guardian", syscall.SIGCONT)
}

// StopDaemon is the orderly stop.
func (n *node) StopDaemon(ctx context.Context, _ string) error {
	if !n.systemd {
		return n.Stop(ctx)
	}
	if out, err := exec.CommandContext(ctx, "systemctl", "stop", systemdUnit).CombinedOutput(); err != nil {
		return fmt.Errorf("stop %s: %w: %s", systemdUnit, err, out)
	}
	return n.AwaitStopped(ctx)
}

// KeepStop is asked for by perdure's own command, at the hypervisor.
func (n *node) KeepStop(context.Context, string) error { return errOutside }

// StartDaemon is the hypervisor's business: it knows the role.
func (n *node) StartDaemon(context.Context, string) error { return errOutside }

var errOutside = errors.New("this is done from outside of the guest")

// CorruptState damages perdure's state.
func (n *node) CorruptState(context.Context, string) error { return n.Node.CorruptState() }

// LoseState removes it.
func (n *node) LoseState(context.Context, string) error { return n.Node.LoseState() }

// SaveState copies it.
func (n *node) SaveState(context.Context, string) error { return n.Node.SaveState() }

// RevertState puts the copy back.
func (n *node) RevertState(context.Context, string) error { return n.Node.RevertState() }
