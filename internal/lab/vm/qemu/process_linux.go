package qemu

import (
	"bytes"
	"context"
	"fmt"
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/qmp"
)

const (
	// startPatience is for QEMU to open its monitor: 0.3 s alone, more where many
	// start at once.
	startPatience = 30 * time.Second
	// killPatience is for a killed process to be gone: its memory is given back.
	killPatience = 20 * time.Second
)

// process is one run of QEMU.
type process struct {
	cmd    *exec.Cmd
	qmp    *qmp.Client
	stderr string // its file
	done   chan struct{}

	mu sync.Mutex
	// ended is why, once done is closed. Set before, it stands.
	ended string
}

// startProcess starts QEMU for a life.
func startProcess(ctx context.Context, c machine.Config, argv []string, l *life) (*process, error) {
	ours, theirs, err := socketPair("qmp")
	if err != nil {
		return nil, err
	}
	defer theirs.Close()
	p := &process{stderr: filepath.Join(c.Dir, "qemu.err"), done: make(chan struct{})}
	log, err := os.OpenFile(p.stderr, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
	if err != nil {
		ours.Close()
		return nil, fmt.Errorf("open QEMU's log: %w", err)
	}
	defer log.Close()
	fmt.Fprintf(log, "%s%s %s\n", prompt, Binary, strings.Join(argv, " "))
	p.cmd = exec.Command(Binary, argv...)
	p.cmd.Stdout, p.cmd.Stderr = log, log
	p.cmd.ExtraFiles = []*os.File{theirs, l.control.far, l.memory}
	start := c.Start
	if start == nil {
		start = (*exec.Cmd).Start
	}
	if err := start(p.cmd); err != nil {
		ours.Close()
		return nil, fmt.Errorf("start QEMU: %w", err)
	}
	theirs.Close() // its end must be the process's alone, or an end is never heard
	_ = os.WriteFile(filepath.Join(c.Dir, "qemu.pid"), fmt.Appendln(nil, p.cmd.Process.Pid), 0o600)
	ctx, cancel := context.WithTimeout(ctx, startPatience)
	defer cancel()
	p.qmp, err = qmp.New(ctx, ours)
	if err != nil {
		_ = p.cmd.Process.Kill()
		_ = p.cmd.Wait()
		return nil, fmt.Errorf("speak with QEMU: %w%s", err, p.tail())
	}
	go p.watch(p.qmp.Subscribe("WATCHDOG", "GUEST_PANICKED", "SHUTDOWN"))
	return p, nil
}

// watch hears how it ends and waits for the process.
func (p *process) watch(sub *qmp.Subscription) {
	var v verdict
	for e := range sub.Events() {
		v.see(e)
	}
	_ = p.cmd.Wait()
	p.qmp.Close()
	p.end(v.ended())
	close(p.done)
}

// end says why it ends; who says it first is believed.
func (p *process) end(why string) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.ended == "" {
		p.ended = why
	}
}

// kill takes the process away and waits until it is gone.
func (p *process) kill(ctx context.Context, why string) error {
	p.end(why)
	if err := p.cmd.Process.Signal(syscall.SIGKILL); err != nil && !p.isDone() {
		return fmt.Errorf("kill QEMU: %w", err)
	}
	ctx, cancel := context.WithTimeout(ctx, killPatience)
	defer cancel()
	select {
	case <-p.done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the end of QEMU: %w", context.Cause(ctx))
	}
}

func (p *process) isDone() bool {
	select {
	case <-p.done:
		return true
	default:
		return false
	}
}

// execute runs a QMP command; if QEMU has ended, what it said last is in the error.
func (p *process) execute(ctx context.Context, command string, arguments, result any) error {
	err := p.qmp.Execute(ctx, command, arguments, result)
	if err != nil && p.qmp.Err() != nil {
		return fmt.Errorf("%w%s", err, p.tail())
	}
	return err
}

// tailBytes is how much of QEMU's last words is in an error.
const tailBytes = 1000

// prompt stands before each command line in the log.
const prompt = "$ "

// tail is what QEMU said last, for the end of an error.
func (p *process) tail() string {
	text, err := os.ReadFile(p.stderr)
	if err != nil {
		return ""
	}
	if i := bytes.LastIndex(text, []byte("\n"+prompt)); i >= 0 {
		text = text[i+1:]
	}
	_, said, _ := bytes.Cut(text, []byte("\n")) // the command line stays in the file
	if said = bytes.TrimSpace(said); len(said) == 0 {
		return ""
	}
	return ": " + string(said[max(0, len(said)-tailBytes):])
}

// socketPair is a stream whose second end a process is to inherit.
func socketPair(name string) (net.Conn, *os.File, error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	file := os.NewFile(uintptr(fds[0]), name)
	defer file.Close()
	theirs := os.NewFile(uintptr(fds[1]), name)
	conn, err := net.FileConn(file)
	if err != nil {
		theirs.Close()
		return nil, nil, fmt.Errorf("make a socket pair: %w", err)
	}
	return conn, theirs, nil
}
