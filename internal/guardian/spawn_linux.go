package guardian

import (
	"fmt"
	"os"
	"os/exec"
	"os/signal"
	"strconv"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/platform/cgroup"
)

// daemonFD is where the daemon finds its end of the socket.
const daemonFD = 3

// spawner starts daemons and reaps every child: as subreaper the guardian
// inherits what a dead daemon leaves, and nobody else would.
type spawner struct {
	mu       sync.Mutex // held from the fork until the child is known
	children map[int]*process
	signals  chan os.Signal
	done     chan struct{}
}

func newSpawner() *spawner {
	s := &spawner{children: make(map[int]*process), signals: make(chan os.Signal, 1), done: make(chan struct{})}
	signal.Notify(s.signals, unix.SIGCHLD)
	go func() {
		defer close(s.done)
		s.reap() // what ended before
		for range s.signals {
			s.reap()
		}
	}()
	return s
}

func (s *spawner) close() {
	signal.Stop(s.signals)
	close(s.signals)
	<-s.done
}

// reap collects all children that have ended.
func (s *spawner) reap() {
	s.mu.Lock()
	defer s.mu.Unlock()
	for {
		var ws unix.WaitStatus
		pid, err := unix.Wait4(-1, &ws, unix.WNOHANG, nil)
		if err == unix.EINTR {
			continue
		}
		if err != nil || pid <= 0 {
			return
		}
		if p := s.children[pid]; p != nil {
			delete(s.children, pid)
			p.ended <- describe(ws)
		}
	}
}

func describe(ws unix.WaitStatus) string {
	if ws.Signaled() {
		return ws.Signal().String()
	}
	return "exit " + strconv.Itoa(ws.ExitStatus())
}

// process is a daemon by its number, which stays its own until it is reaped.
type process struct {
	s     *spawner
	pid   int
	ended chan string
}

func (p *process) status() <-chan string { return p.ended }
func (p *process) terminate() error      { return p.signal(unix.SIGTERM) }
func (p *process) kill() error           { return p.signal(unix.SIGKILL) }

func (p *process) signal(sig unix.Signal) error {
	p.s.mu.Lock()
	defer p.s.mu.Unlock()
	if p.s.children[p.pid] != p {
		return nil // it has ended
	}
	return unix.Kill(p.pid, sig)
}

// spawn starts a program in a group of its own, by which a next guardian finds it.
func (s *spawner) spawn(c Config, program []string, group string) (child, link, error) {
	ours, theirs, err := newPackets()
	if err != nil {
		return nil, nil, err
	}
	defer func() { _ = theirs.Close() }()
	path, err := exec.LookPath(program[0])
	if err != nil {
		_ = ours.Close()
		return nil, nil, err
	}
	null, err := os.Open(os.DevNull)
	if err != nil {
		_ = ours.Close()
		return nil, nil, err
	}
	defer func() { _ = null.Close() }()
	attr := &os.ProcAttr{
		Env:   environ(strconv.Itoa(daemonFD)),
		Files: []*os.File{null, os.Stdout, os.Stderr, theirs},
		Sys:   &syscall.SysProcAttr{Setpgid: true},
	}
	s.mu.Lock()
	defer s.mu.Unlock()
	p, err := startInGroup(path, c, program, group, attr)
	if err != nil {
		_ = ours.Close()
		return nil, nil, err
	}
	d := &process{s: s, pid: p.Pid, ended: make(chan string, 1)}
	s.children[p.Pid] = d
	_ = p.Release()
	ordinary(d.pid)
	return d, ours, nil
}

// startInGroup starts a program in its group; where that can't be, without.
func startInGroup(path string, c Config, program []string, group string, attr *os.ProcAttr) (*os.Process, error) {
	if tree := cgroup.Find(c.Instance); tree.Path() != "" {
		if g, err := tree.Group(group); err == nil {
			if dir, err := g.Open(); err == nil {
				defer func() { _ = dir.Close() }()
				in := *attr
				sys := *attr.Sys
				sys.UseCgroupFD, sys.CgroupFD = true, int(dir.Fd())
				in.Sys = &sys
				if p, err := os.StartProcess(path, program, &in); err == nil {
					return p, nil
				}
			}
		}
	}
	p, err := os.StartProcess(path, program, attr)
	if err != nil {
		return nil, fmt.Errorf("start %s: %w", path, err)
	}
	return p, nil
}

// Dial takes the daemon's end of the connection, which it inherited.
func Dial(fd uintptr) (*Client, error) {
	l, err := packetsOf(fd)
	if err != nil {
		return nil, err
	}
	return newClient(l), nil
}

// DialLease takes the volume-server's end of the connection, which it inherited.
func DialLease(fd uintptr) (*Lease, error) {
	l, err := packetsOf(fd)
	if err != nil {
		return nil, err
	}
	return &Lease{l}, nil
}
