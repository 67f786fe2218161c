package netns

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"os/exec"
	"strings"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/procs"
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
	if err := n.space.Do(cmd.Start); err != nil {
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

// processes lists all processes of the node, whoever started them.
func (n *Node) processes() ([]procs.Process, error) {
	pids, err := n.cg.PIDs()
	if err != nil {
		return nil, fmt.Errorf("list processes of %s: %w", n.Name, err)
	}
	var all []procs.Process
	for _, pid := range pids {
		p, ok, err := procs.Read(pid)
		if err != nil {
			return nil, err
		}
		if ok {
			all = append(all, p)
		}
	}
	return all, nil
}
