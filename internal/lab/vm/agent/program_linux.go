package agent

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// program is something that a request runs.
type program struct {
	// input waits to be written. It is closed when the program has ended.
	input chan request
	// started is closed when cmd, in and terminal are set, or never will be.
	started chan struct{}
	cmd     *exec.Cmd
	// in is its standard input, or the other side of its terminal.
	in io.WriteCloser
	// terminal is set if it has one.
	terminal *os.File
}

// mostInput is how many requests with input may wait for a program that doesn't
// read. Whoever sends waits for each reply, so that there is hardly ever a second.
const mostInput = 16

// command prepares a program of the node: it belongs to what a freeze stops.
func (g *guest) command(argv []string) (*exec.Cmd, func(), error) {
	if len(argv) == 0 {
		return nil, nil, errors.New("run what?")
	}
	group, err := os.Open(g.node.programs)
	if err != nil {
		return nil, nil, fmt.Errorf("open the node's cgroup: %w", err)
	}
	cmd := exec.Command(argv[0], argv[1:]...)
	cmd.Dir = "/"
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(group.Fd())}
	return cmd, func() { group.Close() }, nil
}

// run runs a program to its end.
func (g *guest) run(q request) (code int, err error) {
	cmd, release, err := g.command(q.Argv)
	if err != nil {
		return 0, err
	}
	defer release()
	if q.Terminal != nil {
		return g.runAtTerminal(q, cmd)
	}
	cmd.Stdout = &output{g: g, id: q.ID}
	cmd.Stderr = &output{g: g, id: q.ID, isErr: true}
	in, err := cmd.StdinPipe()
	if err != nil {
		return 0, err
	}
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	if len(q.Data) > 0 {
		_, _ = in.Write(q.Data) // a program need not read
	}
	if q.End {
		_ = in.Close()
	}
	g.begun(q.ID, cmd, in, nil)
	return exitCode(cmd.Wait())
}

func exitCode(err error) (int, error) {
	var exit *exec.ExitError
	if errors.As(err, &exit) {
		if s, ok := exit.Sys().(syscall.WaitStatus); ok && s.Signaled() {
			return 128 + int(s.Signal()), nil // as a shell says it
		}
		return exit.ExitCode(), nil
	}
	return 0, err
}

// runAtTerminal gives the program a terminal of its own.
func (g *guest) runAtTerminal(q request, cmd *exec.Cmd) (code int, err error) {
	side, name, err := openTerminal()
	if err != nil {
		return 0, err
	}
	defer side.Close()
	resize(side, *q.Terminal)
	tty, err := os.OpenFile(name, os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return 0, err
	}
	cmd.Stdin, cmd.Stdout, cmd.Stderr = tty, tty, tty
	cmd.Env = append(os.Environ(), "TERM=xterm")
	cmd.SysProcAttr.Setctty = true
	err = cmd.Start()
	tty.Close()
	if err != nil {
		return 0, err
	}
	g.begun(q.ID, cmd, side, side)
	var copying sync.WaitGroup
	copying.Go(func() { _, _ = io.Copy(&output{g: g, id: q.ID}, side) }) // ends with the last program at the terminal
	code, err = exitCode(cmd.Wait())
	copying.Wait()
	return code, err
}

// openTerminal makes a pseudo-terminal. Source: pts(4).
func openTerminal() (side *os.File, name string, err error) {
	side, err = os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		return nil, "", err
	}
	n, err := unix.IoctlGetInt(int(side.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(side.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		side.Close()
		return nil, "", fmt.Errorf("make a terminal: %w", err)
	}
	return side, "/dev/pts/" + strconv.Itoa(n), nil
}

func resize(side *os.File, s Size) {
	_ = unix.IoctlSetWinsize(int(side.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: s.Rows, Col: s.Columns})
}

// start starts a program that nobody waits for.
func (g *guest) start(q request) (pid int, err error) {
	cmd, release, err := g.command(q.Argv)
	if err != nil {
		return 0, err
	}
	defer release()
	log, err := os.OpenFile(q.Path, os.O_CREATE|os.O_APPEND|os.O_WRONLY, 0o600)
	if err != nil {
		return 0, fmt.Errorf("open the log: %w", err)
	}
	defer log.Close()
	cmd.Stdout, cmd.Stderr = log, log
	if err := cmd.Start(); err != nil {
		return 0, err
	}
	go func() { _ = cmd.Wait() }() // how it ends is in the log
	return cmd.Process.Pid, nil
}

// steer gives input to what runs, or ends it.
func (g *guest) steer(q request) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.running[q.Target]
	if cancel := g.asking[q.Target]; cancel != nil && q.Op == opStop {
		cancel()
	}
	switch {
	case q.Op == opInput:
		if p != nil {
			select {
			case p.input <- q:
				return
			default:
			}
		}
		g.send(reply{ID: q.ID, Last: true, Failure: "the program takes no input"})
	case p == nil || p.cmd == nil:
	case q.Op == opResize:
		if p.terminal != nil && q.Terminal != nil {
			resize(p.terminal, *q.Terminal)
		}
	case q.Op == opStop:
		_ = syscall.Kill(-p.cmd.Process.Pid, syscall.SIGKILL) // its session
	}
}

// hold makes room for a program that is about to be started, so that no input is
// lost that comes before.
func (g *guest) hold(id uint64) {
	p := &program{input: make(chan request, mostInput), started: make(chan struct{})}
	g.mu.Lock()
	g.running[id] = p
	g.mu.Unlock()
	go g.feed(p)
}

// begun says that the program of a request runs.
func (g *guest) begun(id uint64, cmd *exec.Cmd, in io.WriteCloser, terminal *os.File) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.running[id]
	p.cmd, p.in, p.terminal = cmd, in, terminal
	close(p.started)
}

func (g *guest) release(id uint64) {
	g.mu.Lock()
	defer g.mu.Unlock()
	p := g.running[id]
	delete(g.running, id)
	close(p.input)
	if p.cmd == nil {
		close(p.started)
	}
}

// feed writes input beside everything else, because a program need not read. The
// reply comes when it was taken.
func (g *guest) feed(p *program) {
	<-p.started
	for q := range p.input {
		r := reply{ID: q.ID, Last: true}
		if p.in == nil {
			r.Failure = "the program was not started"
			g.send(r)
			continue
		}
		if _, err := p.in.Write(q.Data); err != nil {
			r.Failure = err.Error()
		}
		if q.End && p.terminal == nil {
			_ = p.in.Close()
		}
		g.send(r)
	}
}

// output sends what a program prints.
type output struct {
	g     *guest
	id    uint64
	isErr bool
}

func (o *output) Write(p []byte) (int, error) {
	for rest := p; len(rest) > 0; {
		part := rest[:min(len(rest), chunk)]
		rest = rest[len(part):]
		r := reply{ID: o.id, Out: part}
		if o.isErr {
			r.Out, r.Err = nil, part
		}
		o.g.send(r)
	}
	return len(p), nil
}
