package uml

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

// killWait bounds the wait for a killed process.
const killWait = 10 * time.Second

// Machine is a user-mode-linux.
type Machine struct {
	cfg machine.Config

	mu      sync.Mutex
	cmd     *exec.Cmd
	control *os.File
	done    chan struct{}
	ended   string
	off     bool // power was taken away
}

var (
	_ machine.Machine = (*Machine)(nil)
	_ machine.Pauser  = (*Machine)(nil)
)

// New makes a machine that is off.
func New(cfg machine.Config) *Machine {
	done := make(chan struct{})
	close(done)
	return &Machine{cfg: cfg, done: done}
}

// Control device of the guest.
const Control = "/dev/ttyS0"

// DiskDevice is the guest's name of its n-th disk, from 0.
func DiskDevice(n int) string { return "/dev/ubd" + string(rune('a'+n)) }

// Console is the file with what the kernel said.
func (m *Machine) Console() string { return filepath.Join(m.cfg.Dir, "console.log") }

// args are those of the kernel.
func (m *Machine) args() []string {
	c := m.cfg
	args := []string{
		fmt.Sprintf("mem=%dM", c.MemoryMiB), "umid=" + c.Name, "uml_dir=" + c.Dir + "/", "initrd=" + c.Initrd,
		// The first console is standard output, the first serial line the agent's.
		"con=null", "con0=null,fd:1", "ssl=null", "ssl0=fd:3,fd:3",
		"quiet", "panic=-1", "random.trust_cpu=on", "net.ifnames=0",
		// A self-test of parity code that nobody here uses takes a second.
		"raid6.benchmark=0",
	}
	for i, d := range c.Disks {
		flags := ""
		if d.ReadOnly {
			flags += "r"
		}
		if d.Shared {
			flags += "c"
		}
		args = append(args, fmt.Sprintf("ubd%d%s=%s", i, flags, d.Path))
	}
	for i, n := range c.NICs {
		args = append(args, fmt.Sprintf("eth%d=tuntap,%s,%s", i, n.Tap, n.MAC))
	}
	return append(args, c.Append...)
}

// Boot starts the kernel.
func (m *Machine) Boot(context.Context) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.done:
	default:
		return fmt.Errorf("boot %s: it is on already", m.cfg.Name)
	}
	// What an earlier boot left there makes the kernel refuse the name.
	if err := os.RemoveAll(filepath.Join(m.cfg.Dir, m.cfg.Name)); err != nil {
		return fmt.Errorf("boot %s: %w", m.cfg.Name, err)
	}
	console, err := os.Create(m.Console())
	if err != nil {
		return fmt.Errorf("boot %s: %w", m.cfg.Name, err)
	}
	defer console.Close()
	ours, theirs, err := socketPair()
	if err != nil {
		return fmt.Errorf("boot %s: %w", m.cfg.Name, err)
	}
	defer theirs.Close()
	cmd := exec.Command(m.cfg.Kernel, m.args()...)
	cmd.Dir = m.cfg.Dir
	cmd.Stdout, cmd.Stderr = console, console
	cmd.ExtraFiles = []*os.File{theirs}
	cmd.Env = append(os.Environ(), "HOME="+m.cfg.Dir, "TMPDIR="+memoryDir())
	if err := m.cfg.Start(cmd); err != nil {
		ours.Close()
		return fmt.Errorf("boot %s: %w", m.cfg.Name, err)
	}
	m.cmd, m.control, m.done, m.off, m.ended = cmd, ours, make(chan struct{}), false, ""
	go m.wait(cmd, ours, m.done)
	return nil
}

// memoryDir is where the guest's memory is a file: in memory where that can be.
func memoryDir() string {
	var fs unix.Statfs_t
	if unix.Statfs("/dev/shm", &fs) == nil && fs.Type == unix.TMPFS_MAGIC {
		return "/dev/shm"
	}
	return os.TempDir()
}

// socketPair is a byte stream with two ends.
func socketPair() (ours, theirs *os.File, err error) {
	fds, err := unix.Socketpair(unix.AF_UNIX, unix.SOCK_STREAM|unix.SOCK_CLOEXEC, 0)
	if err != nil {
		return nil, nil, os.NewSyscallError("socketpair", err)
	}
	if err := unix.SetNonblock(fds[0], true); err != nil {
		return nil, nil, err
	}
	return os.NewFile(uintptr(fds[0]), "control"), os.NewFile(uintptr(fds[1]), "control"), nil
}

// wait sees the machine's end and cleans up behind it.
func (m *Machine) wait(cmd *exec.Cmd, control *os.File, done chan struct{}) {
	err := cmd.Wait()
	// The guest's programs are processes beside the kernel, and would stay, stopped.
	_ = syscall.Kill(-cmd.Process.Pid, syscall.SIGKILL)
	m.mu.Lock()
	defer m.mu.Unlock()
	m.ended = m.why(err)
	_ = control.Close()
	close(done)
}

// why reads from the console how the machine ended.
func (m *Machine) why(err error) string {
	if m.off {
		return "powered off"
	}
	console, _ := os.ReadFile(m.Console())
	for _, sign := range []struct{ text, why string }{
		{"Initiating panic", "reset by watchdog"}, // softdog with soft_panic
		{"watchdog: ", "reset by watchdog"},
		{"Initiating system reboot", "reset by watchdog"},
		{"Kernel panic", "panic"},
	} {
		if bytes.Contains(console, []byte(sign.text)) {
			return sign.why
		}
	}
	if err != nil {
		return "killed"
	}
	return "halted"
}

// Control is the stream to the agent of this boot.
func (m *Machine) Control() io.ReadWriteCloser {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.control
}

// Done is closed when the machine has ended.
func (m *Machine) Done() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.done
}

// Ended says how.
func (m *Machine) Ended() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.ended
}

// signal sends a signal to the kernel's process alone: one to a program of the
// guest would make the kernel panic.
func (m *Machine) signal(s syscall.Signal) error {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.done:
		return fmt.Errorf("machine %s: %w", m.cfg.Name, machine.ErrOff)
	default:
	}
	if s == syscall.SIGKILL {
		m.off = true
	}
	return m.cmd.Process.Signal(s)
}

// PowerOff takes the power away.
func (m *Machine) PowerOff(ctx context.Context) error {
	done := m.Done()
	if err := m.signal(syscall.SIGKILL); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	select {
	case <-done:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("power off %s: %w", m.cfg.Name, context.Cause(ctx))
	}
}

// Pause stops the machine; its clock, which is the hypervisor's, goes on.
func (m *Machine) Pause(context.Context) error { return m.signal(syscall.SIGSTOP) }

// Continue ends a pause.
func (m *Machine) Continue(context.Context) error { return m.signal(syscall.SIGCONT) }
