package qemu

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"sync"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

// Machine is a virtual machine in QEMU.
type Machine struct {
	console string
	host    host

	// act is held by the one act at a time.
	act sync.Mutex

	mu      sync.Mutex
	config  machine.Config // where it runs now: a migration changes it
	drives  []*drive
	life    *life
	process *process // of the present life; nil before the first boot
	// saved are the snapshots by name.
	saved map[string]snapshot
}

// life is from a boot to an end, over all migrations.
type life struct {
	control *control // nil before the first boot
	// memory is the guest's: a file without a name, which the target of a
	// migration inherits too.
	memory *os.File
	done   chan struct{}
	// ended is why, once done is closed.
	ended string
}

var (
	_ machine.Machine     = (*Machine)(nil)
	_ machine.Pauser      = (*Machine)(nil)
	_ machine.Carrier     = (*Machine)(nil)
	_ machine.Interrupter = (*Machine)(nil)
	_ machine.Suspender   = (*Machine)(nil)
)

// Available says why no machine can run here, or nil.
func Available() error {
	if _, err := exec.LookPath(Binary); err != nil {
		return fmt.Errorf("QEMU is not there: %w", err)
	}
	return nil
}

// New describes a machine; Boot starts it.
func New(c machine.Config) (*Machine, error) {
	if err := check(c); err != nil {
		return nil, err
	}
	h, err := readHost()
	if err != nil {
		return nil, err
	}
	never := &life{done: make(chan struct{}), ended: ""}
	close(never.done)
	return &Machine{
		console: filepath.Join(c.Dir, "console.log"), host: h, config: c,
		drives: newDrives(c.Disks), life: never, saved: make(map[string]snapshot),
	}, nil
}

// readHost reads the counter's rate: bogomips are twice the rate in MHz where the
// kernel took the counter for its delay loops.
func readHost() (host, error) {
	text, err := os.ReadFile("/proc/cpuinfo")
	if err != nil {
		return host{}, fmt.Errorf("read the processor's rate: %w", err)
	}
	for l := range strings.SplitSeq(string(text), "\n") {
		if name, value, ok := strings.Cut(l, ":"); ok && strings.TrimSpace(name) == "bogomips" {
			rate, err := strconv.ParseFloat(strings.TrimSpace(value), 64)
			if err != nil {
				return host{}, fmt.Errorf("read the processor's rate: %w", err)
			}
			return host{tscKHz: int(rate * 500)}, nil
		}
	}
	return host{}, nil
}

// Boot implements [machine.Machine]. Disks that were broken are good again, as
// when somebody repaired them while the power was off.
func (m *Machine) Boot(ctx context.Context) error {
	m.act.Lock()
	defer m.act.Unlock()
	l, p, err := m.launch(ctx, false)
	if err != nil {
		return fmt.Errorf("boot %s: %w", m.config.Name, err)
	}
	m.adopt(l, p)
	if err := p.execute(ctx, "cont", nil, nil); err != nil {
		return errors.Join(fmt.Errorf("boot %s: %w", m.config.Name, err), p.kill(context.WithoutCancel(ctx), endedKilled))
	}
	return nil
}

// launch starts a process and a life, with the processor stopped.
func (m *Machine) launch(ctx context.Context, incoming bool) (*life, *process, error) {
	if p := m.current(); p != nil && !p.isDone() {
		return nil, nil, errors.New("it runs")
	}
	for _, d := range m.drives {
		d.state = machine.DiskGood
		d.top, d.file, d.moves = "top-"+d.Name, "file-"+d.Name, 0
	}
	l, err := newLife(m.config.MemoryMiB)
	if err != nil {
		return nil, nil, err
	}
	p, err := startProcess(ctx, m.config, commandLine(m.config, m.drives, m.host, m.console, incoming), l)
	if err != nil {
		l.control.Close()
		l.release()
		return nil, nil, err
	}
	return l, p, nil
}

func newLife(memoryMiB int) (*life, error) {
	c, err := newControl()
	if err != nil {
		return nil, err
	}
	fd, err := unix.MemfdCreate("guest", unix.MFD_CLOEXEC)
	if err == nil {
		err = unix.Ftruncate(fd, int64(memoryMiB)<<20)
	}
	l := &life{control: c, memory: os.NewFile(uintptr(fd), "memory"), done: make(chan struct{})}
	if err != nil {
		c.Close()
		l.release()
		return nil, fmt.Errorf("make the guest's memory: %w", err)
	}
	return l, nil
}

// release gives back what QEMU inherited. The control stream ends for its reader,
// after what is still in it.
func (l *life) release() {
	l.control.far.Close()
	l.memory.Close()
}

// adopt makes a process the machine's.
func (m *Machine) adopt(l *life, p *process) {
	m.mu.Lock()
	m.life, m.process = l, p
	m.mu.Unlock()
	go m.attend(l, p)
}

// attend ends a life with its process, unless another process has taken over.
func (m *Machine) attend(l *life, p *process) {
	<-p.done
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.process != p {
		return
	}
	l.ended = p.ended
	l.release()
	close(l.done)
}

func (m *Machine) current() *process {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.process
}

// running is the process, if there is one that lives.
func (m *Machine) running() (*process, error) {
	p := m.current()
	if p == nil || p.isDone() {
		return nil, machine.ErrOff
	}
	return p, nil
}

// do is an act at the running machine.
func (m *Machine) do(act string, f func(p *process) error) error {
	m.act.Lock()
	defer m.act.Unlock()
	p, err := m.running()
	if err == nil {
		err = f(p)
	}
	if err != nil {
		return fmt.Errorf("%s of %s: %w", act, m.config.Name, err)
	}
	return nil
}

// Control implements [machine.Machine]. The stream goes on over migrations.
func (m *Machine) Control() io.ReadWriteCloser {
	m.mu.Lock()
	defer m.mu.Unlock()
	if m.life.control == nil {
		return nil
	}
	return m.life.control
}

// Done implements [machine.Machine].
func (m *Machine) Done() <-chan struct{} {
	m.mu.Lock()
	defer m.mu.Unlock()
	return m.life.done
}

// Ended implements [machine.Machine]: also "reset", when the guest rebooted
// itself, as softdog does.
func (m *Machine) Ended() string {
	m.mu.Lock()
	defer m.mu.Unlock()
	select {
	case <-m.life.done:
		return m.life.ended
	default:
		return ""
	}
}

// Console implements [machine.Machine].
func (m *Machine) Console() string { return m.console }

// PowerOff implements [machine.Machine]. It does not wait for another act.
func (m *Machine) PowerOff(ctx context.Context) error {
	p := m.current()
	if p == nil {
		return nil
	}
	if err := p.kill(ctx, endedKilled); err != nil {
		return fmt.Errorf("power off %s: %w", m.config.Name, err)
	}
	<-m.Done()
	return nil
}
