package local

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"os/exec"
	"path/filepath"
	"slices"
	"strings"
	"sync"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/disk"
	"github.com/perdure-ha/perdure/internal/lab/procs"
)

// Node is one node of the lab.
type Node struct {
	Name string
	lab  *Lab
	host byte
	dir  string

	mu sync.Mutex // held over a change of power
	on bool
	// role is what is started at a boot: "guardian", "witness", or nothing yet.
	role string
	// resource is the name of the resource that the faults reach; furnish puts
	// its files into the run directory, and failStart makes its starts fail.
	resource  string
	furnish   func() error
	failStart bool
	started   sync.WaitGroup
}

// NodeName is the node's name.
func (n *Node) NodeName() string { return n.Name }

// StateDir is where perdure keeps its state.
func (n *Node) StateDir() string { return filepath.Join(n.dir, "state") }

// RunDir is empty after a boot.
func (n *Node) RunDir() string { return filepath.Join(n.dir, "run") }

func (n *Node) service() netip.AddrPort { return netip.AddrPortFrom(n.lab.addr(n.host), servicePort) }

// On reports whether the node is switched on.
func (n *Node) On() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.on
}

// PathArgs name the node's comm paths: two, as a safe cluster has, though nothing
// can fail here that both don't share.
func (n *Node) PathArgs() []string {
	return []string{
		"--path", fmt.Sprintf("one=%s:%d", n.lab.addr(n.host), perdurePort),
		"--path", fmt.Sprintf("two=%s:%d", n.lab.addr(n.host+hostSecond), perdurePort),
	}
}

// env is this process's, with what perdure on the node needs to know.
func (n *Node) env() []string {
	env := slices.DeleteFunc(os.Environ(), func(e string) bool { return strings.HasPrefix(e, "PERDURE_") })
	return append(env, n.vars()...)
}

func (n *Node) vars() []string {
	return []string{
		"PERDURE_STATE_DIR=" + n.StateDir(),
		"PERDURE_RUN_DIR=" + n.RunDir(),
		"PERDURE_INSTANCE=" + filepath.Base(n.lab.dir) + "-" + n.Name,
		// There is no such group: everybody's rights must do.
		"PERDURE_CGROUP_ROOT=" + filepath.Join(n.dir, "no-cgroups"),
	}
}

// boot makes the node as after a power-on: an empty run directory.
func (n *Node) boot() error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.on {
		return fmt.Errorf("boot %s: the node is on already", n.Name)
	}
	err := disk.Lose(n.RunDir())
	for _, dir := range []string{n.StateDir(), filepath.Join(n.dir, "log")} {
		err = errors.Join(err, os.MkdirAll(dir, 0o700))
	}
	if err == nil && n.furnish != nil {
		err = errors.Join(n.furnish(), n.markFailStart())
	}
	if err == nil && n.role != "" {
		err = n.startPerdure()
	}
	if err != nil {
		return fmt.Errorf("boot %s: %w", n.Name, err)
	}
	n.on = true
	return nil
}

// startPerdure starts what the node's role is.
func (n *Node) startPerdure() error {
	log, err := os.OpenFile(filepath.Join(n.dir, "log", "perdure.log"), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return fmt.Errorf("open log of %s: %w", n.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(n.lab.opts.Perdure, n.role)
	cmd.Stdout, cmd.Stderr = log, log
	cmd.Dir, cmd.Env = "/", n.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true} // Ctrl-C is for the lab
	if err := cmd.Start(); err != nil {
		return fmt.Errorf("start perdure on %s: %w", n.Name, err)
	}
	n.started.Go(func() { _ = cmd.Wait() }) // how it ends is the log's business
	return nil
}

// Perdure runs a command of perdure on the node.
func (n *Node) Perdure(ctx context.Context, args ...string) (string, error) {
	cmd := exec.CommandContext(ctx, n.lab.opts.Perdure, args...)
	cmd.WaitDelay = time.Second
	cmd.Dir, cmd.Env = "/", n.env()
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	if err := cmd.Run(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out.String(), fmt.Errorf("perdure %s on %s: %w: %s", strings.Join(args, " "), n.Name, err, strings.TrimSpace(errOut.String()))
	}
	return out.String(), nil
}

// mine reports whether an entry of a process's environment says that it belongs
// to the node: the services' entries name a directory below its run directory.
func (n *Node) mine(entry string) bool {
	name, dir, _ := strings.Cut(entry, "=")
	return (name == "PERDURE_RUN_DIR" || name == "PERDURE_SERVICE") &&
		(dir == n.RunDir() || strings.HasPrefix(dir, n.RunDir()+"/"))
}

// processes lists the node's processes.
func (n *Node) processes() ([]procs.Process, error) {
	all, err := procs.Marked(n.mine)
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", n.Name, err)
	}
	return all, nil
}

// signalWait bounds the wait for signalled processes.
const signalWait = 5 * time.Second

// signalAll signals all processes of the node, and those that they start
// meanwhile, until each that is left is as wanted.
func (n *Node) signalAll(ctx context.Context, s syscall.Signal, wanted func(procs.Process) bool) error {
	ctx, cancel := context.WithTimeout(ctx, signalWait)
	defer cancel()
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		all, err := n.processes()
		if err != nil {
			return err
		}
		left := slices.DeleteFunc(all, wanted)
		if len(left) == 0 {
			return nil
		}
		if err := procs.Signal(procs.IDs(left), s); err != nil {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("send %v to the %d processes of %s: %w", s, len(left), n.Name, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// killAll ends all processes of the node. They are stopped first, so that none
// sees another one die.
func (n *Node) killAll(ctx context.Context) error {
	stopped := n.signalAll(ctx, syscall.SIGSTOP, isStopped)
	killed := n.signalAll(ctx, syscall.SIGKILL, func(procs.Process) bool { return false })
	if killed != nil {
		return errors.Join(stopped, killed)
	}
	n.started.Wait()
	return nil
}

func isStopped(p procs.Process) bool { return p.State == 'T' }

// Enter returns the path of a script that runs perdure on the node.
func (n *Node) Enter() (string, error) {
	path := filepath.Join(n.lab.dir, n.Name+".sh")
	text := "#!/bin/sh\nexec env"
	for _, v := range n.vars() {
		text += fmt.Sprintf(" %q", v)
	}
	text += fmt.Sprintf(" %q \"$@\"\n", n.lab.opts.Perdure)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		return "", fmt.Errorf("write the script for %s: %w", n.Name, err)
	}
	return path, nil
}
