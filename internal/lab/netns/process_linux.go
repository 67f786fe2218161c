package netns

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"time"
)

// Process is a process that the lab started on a node.
type Process struct {
	Name string
	cmd  *exec.Cmd
	done chan struct{}
	err  error
}

// PID is its process id.
func (p *Process) PID() int { return p.cmd.Process.Pid }

// Done is closed when it has ended.
func (p *Process) Done() <-chan struct{} { return p.done }

// Err is how it ended; only after Done.
func (p *Process) Err() error { return p.err }

// Signal sends a signal.
func (p *Process) Signal(s syscall.Signal) error { return p.cmd.Process.Signal(s) }

// Start starts a process on the node. Its output goes to the log file of that
// name. It belongs to the node and dies with its power.
func (n *Node) Start(name string, argv ...string) (*Process, error) {
	log, err := os.OpenFile(n.LogFile(name), os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return nil, fmt.Errorf("open log of %s on %s: %w", name, n.Name, err)
	}
	defer log.Close()
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Stdout, cmd.Stderr = log, log
	p := &Process{Name: name, cmd: cmd, done: make(chan struct{})}
	release, err := n.start(cmd)
	if err != nil {
		return nil, fmt.Errorf("start %s on %s: %w", name, n.Name, err)
	}
	go func() {
		defer release()
		p.err = cmd.Wait()
		close(p.done)
	}()
	return p, nil
}

// Run runs a command on the node to its end and returns what it printed.
func (n *Node) Run(ctx context.Context, argv ...string) (string, error) {
	cmd := exec.CommandContext(ctx, argv[0], argv[1:]...)
	cmd.WaitDelay = time.Second
	var out, errOut bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &errOut
	release, err := n.start(cmd)
	if err != nil {
		return "", fmt.Errorf("run %s on %s: %w", strings.Join(argv, " "), n.Name, err)
	}
	defer release()
	if err := cmd.Wait(); err != nil {
		if ctx.Err() != nil {
			err = context.Cause(ctx)
		}
		return out.String(), &RunError{Node: n.Name, Argv: argv, Stderr: errOut.String(), Err: err}
	}
	return out.String(), nil
}

// RunError is a command on a node that failed.
type RunError struct {
	Node   string
	Argv   []string
	Stderr string
	Err    error
}

func (e *RunError) Error() string {
	text := fmt.Sprintf("run %s on %s: %v", strings.Join(e.Argv, " "), e.Node, e.Err)
	if said := strings.TrimSpace(e.Stderr); said != "" {
		text += ": " + said
	}
	return text
}

func (e *RunError) Unwrap() error { return e.Err }

// start starts cmd inside the node: namespaces by the thread that forks,
// cgroup by the kernel at birth, so that no moment is outside. The caller must
// Wait and then call release.
func (n *Node) start(cmd *exec.Cmd) (release func(), err error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.space == nil {
		return nil, errOff
	}
	group, err := os.Open(string(n.initCgroup()))
	if err != nil {
		return nil, fmt.Errorf("open cgroup: %w", err)
	}
	defer group.Close()
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), n.env()...)
	cmd.SysProcAttr = &syscall.SysProcAttr{
		// Ctrl-C in a terminal is for the lab, not for its machines.
		Setsid:      true,
		UseCgroupFD: true, CgroupFD: int(group.Fd()),
		Pdeathsig: syscall.SIGKILL,
	}
	if err := n.space.do(cmd.Start); err != nil {
		return nil, err
	}
	n.procs.Add(1)
	return n.procs.Done, nil
}

// env is what perdure on the node needs to know.
func (n *Node) env() []string {
	return []string{
		"PERDURE_STATE_DIR=" + n.StateDir(),
		"PERDURE_RUN_DIR=/run/perdure",
		"PERDURE_CGROUP_ROOT=" + string(n.cg),
	}
}

// found is a process of a node as seen in /proc.
type found struct {
	pid, parent int
	argv        []string
}

// processes lists all processes of the node, whoever started them.
func (n *Node) processes() ([]found, error) {
	pids, err := n.cg.pids()
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", n.Name, err)
	}
	var all []found
	for _, pid := range pids {
		dir := fmt.Sprintf("/proc/%d", pid)
		stat, err := os.ReadFile(filepath.Join(dir, "stat"))
		if err != nil {
			continue // gone meanwhile
		}
		cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
		if err != nil {
			continue
		}
		_, parent, _, err := parseStat(string(stat))
		if err != nil {
			return nil, err
		}
		all = append(all, found{pid: pid, parent: parent,
			argv: strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")})
	}
	return all, nil
}

// tree returns the process and its descendants.
func tree(all []found, root int) []int {
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		for _, p := range all {
			if p.parent == pids[i] {
				pids = append(pids, p.pid)
			}
		}
	}
	return pids
}

// signalAll sends a signal to processes; one that is gone already is fine.
func signalAll(pids []int, s syscall.Signal) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("send %v to %d: %w", s, pid, err))
		}
	}
	return errors.Join(errs...)
}

// awaitProcesses waits until perdure's processes on the node are as wanted.
func (n *Node) awaitProcesses(ctx context.Context, wanted func([]found) bool) error {
	ticker := time.NewTicker(5 * time.Millisecond)
	defer ticker.Stop()
	for {
		ps, err := n.perdureProcesses("")
		if err != nil || wanted(ps) {
			return err
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for perdure on %s (%d processes): %w", n.Name, len(ps), context.Cause(ctx))
		case <-ticker.C:
		}
	}
}
