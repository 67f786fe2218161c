package server

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"math"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync/atomic"
	"testing"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/qemu"
	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
	"github.com/perdure-ha/perdure/internal/message"
)

// guestRole is what the test program is in the machine: process 1, which plays the
// application, or its child, the volume-server. Elsewhere it returns.
func guestRole() {
	switch {
	case os.Getpid() == 1:
		guestMain()
	case len(os.Args) == 2 && os.Args[1] == "serve":
		serveMain()
	}
}

const (
	backingDevice = "/dev/vda"
	deadTimeout   = 15 * time.Second
)

// TestKernelDisk boots a machine whose kernel has NBD and plays there what can't be
// played on this one: connect with two sockets, kill -9 of the server with a write
// under way and a new one that takes over, growth, a server that never comes back,
// dirty pages at the memory limit.
func TestKernelDisk(t *testing.T) {
	image := guestImage(t)
	dir := t.TempDir()
	disk := filepath.Join(dir, "disk")
	if err := os.WriteFile(disk, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(disk, 128<<20); err != nil {
		t.Fatal(err)
	}
	m, err := qemu.New(machine.Config{Name: "nbd", MemoryMiB: 256, Kernel: image.Kernel, Initrd: image.Initrd, Dir: dir, Append: []string{faultsWord},
		Disks: []machine.Disk{{Name: "data", Path: disk, Shared: true}}, Start: func(c *exec.Cmd) error { return c.Start() }})
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := m.PowerOff(context.Background()); err != nil {
			t.Error(err)
		}
	})
	if err := m.Boot(t.Context()); err != nil {
		t.Fatal(err)
	}
	end := time.After(8 * time.Minute)
	tick := time.NewTicker(100 * time.Millisecond)
	defer tick.Stop()
	for done, asked := false, 0; !done; {
		select {
		case <-m.Done():
			done = true
		case <-end:
			t.Error("the machine goes on")
			done = true
		case <-tick.C:
			// The guest asks for faults of its disk, one after another.
			text, _ := os.ReadFile(m.Console())
			states := []machine.DiskState{machine.DiskError, machine.DiskGood, machine.DiskGone}
			if n := strings.Count(string(text), wantsFault); n > asked && n <= len(states) {
				if err := m.SetDisk(t.Context(), "data", states[asked]); err != nil {
					t.Error(err)
				}
				asked++
			}
		}
	}
	judge(t, m.Console())
}

// wantsFault is what the guest says when the next fault may come; faultsWord on its
// kernel's command line says that there are any.
const (
	wantsFault = "GUEST may be broken"
	faultsWord = "perdure.faults"
)

// TestKernelDiskOnVHDX plays the same on the virtual disks of Hyper-V, fixed and
// growing, that qemu-img makes.
func TestKernelDiskOnVHDX(t *testing.T) {
	if os.Getenv("PERDURE_LAB_VHDX") == "" {
		t.Skip("SKIPPED: run by make lab-volume, which sets PERDURE_LAB_VHDX")
	}
	image := guestImage(t)
	for _, kind := range []string{"dynamic", "fixed"} {
		t.Run(kind, func(t *testing.T) {
			dir := t.TempDir()
			disk, console := filepath.Join(dir, "disk.vhdx"), filepath.Join(dir, "console")
			ctx, cancel := context.WithTimeout(t.Context(), 8*time.Minute)
			defer cancel()
			if out, err := exec.CommandContext(ctx, "qemu-img", "create", "-f", "vhdx", "-o", "subformat="+kind, disk, "128M").CombinedOutput(); err != nil {
				t.Skipf("SKIPPED: qemu-img makes no VHDX here: %v: %s", err, out)
			}
			out, err := exec.CommandContext(ctx, qemu.Binary, "-M", "pc", "-accel", "tcg,thread=multi", "-cpu", "max", "-m", "256", "-nodefaults", "-no-user-config",
				"-display", "none", "-no-reboot", "-kernel", image.Kernel, "-initrd", image.Initrd, "-serial", "file:"+console,
				"-append", "console=ttyS0 quiet panic=-1 mitigations=off no_timer_check random.trust_cpu=on",
				"-drive", "if=none,id=data,cache=none,format=vhdx,file="+disk, "-device", "virtio-blk-pci,drive=data").CombinedOutput()
			if err != nil {
				t.Errorf("QEMU: %v: %s", err, out)
			}
			judge(t, console)
			if out, err := exec.CommandContext(ctx, "qemu-img", "check", disk).CombinedOutput(); err != nil {
				t.Errorf("the virtual disk isn't sound: %v: %s", err, out)
			}
		})
	}
}

// guestImage builds what is booted, or skips the test.
func guestImage(t *testing.T) tinyguest.Image {
	t.Helper()
	if os.Getenv("PERDURE_LAB_VM") == "" {
		t.Skip("SKIPPED: virtual machines are booted by make lab, which sets PERDURE_LAB_VM")
	}
	if err := qemu.Available(); err != nil {
		t.Skip("SKIPPED, needs QEMU: ", err)
	}
	kernel, err := tinyguest.FindKernel()
	if err != nil {
		t.Skip("SKIPPED, needs a kernel: ", err)
	}
	dir := t.TempDir()
	program := filepath.Join(dir, "init")
	build := exec.CommandContext(t.Context(), "go", "test", "-c", "-o", program, ".")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build the guest: %v: %s", err, out)
	}
	image, err := tinyguest.Build(t.Context(), dir, kernel, program, append([]string{"nbd"}, tinyguest.Modules...))
	if err != nil {
		t.Fatal(err)
	}
	return image
}

// judge reads what the guest said on its console.
func judge(t *testing.T, console string) {
	t.Helper()
	text, _ := os.ReadFile(console)
	said := ""
	for _, l := range strings.Split(string(text), "\n") {
		if strings.Contains(l, "GUEST") {
			said += strings.TrimSpace(l) + "\n"
		}
	}
	t.Log("in the machine:\n" + said)
	if !strings.Contains(said, "GUEST all passed") {
		t.Errorf("the console's end:\n%s", text[max(0, len(text)-4000):])
	}
}

func say(format string, args ...any) { fmt.Printf("GUEST "+format+"\n", args...) }

// guestMain is process 1.
func guestMain() {
	err := guest()
	if err != nil {
		say("FAILED: %v", err)
	} else {
		say("all passed")
	}
	unix.Sync()
	_ = unix.Reboot(unix.LINUX_REBOOT_CMD_POWER_OFF)
	select {}
}

func guest() error {
	for _, m := range [][2]string{{"proc", "/proc"}, {"sysfs", "/sys"}, {"devtmpfs", "/dev"}, {"cgroup2", "/sys/fs/cgroup"}, {"tmpfs", "/run"}} {
		_ = os.MkdirAll(m[1], 0o755)
		if err := unix.Mount(m[0], m[1], m[0], 0, ""); err != nil && !errors.Is(err, unix.EBUSY) {
			return fmt.Errorf("mount %s: %w", m[1], err)
		}
	}
	modules, _ := filepath.Glob("/modules/*.ko")
	for _, path := range modules {
		f, err := os.Open(path)
		if err != nil {
			return err
		}
		if err := unix.FinitModule(int(f.Fd()), "", 0); err != nil && !errors.Is(err, unix.EEXIST) {
			fmt.Printf("load %s: %v\n", path, err)
		}
		_ = f.Close()
	}
	for _, step := range []struct {
		name string
		f    func() error
	}{
		{"connect, read, write, flush", connects}, {"kill -9 with a write under way", killed}, {"memory pressure", pressed}, {"no server comes back", abandoned}, {"the disk fails, and is pulled out", broken},
	} {
		began := time.Now()
		if err := step.f(); err != nil {
			return fmt.Errorf("%s: %w", step.name, err)
		}
		say("%s: %.1f s", step.name, time.Since(began).Seconds())
	}
	return nil
}

// serveMain is the volume-server: it serves the backing device as a disk of the
// kernel until it is killed, or takes it out of service when it is asked to end.
func serveMain() {
	s := New(Config{RunDir: "/run", Weaker: Protect(), Memory: 8 << 20, Log: slog.New(slog.NewTextHandler(os.Stdout, nil))})
	s.Gate().Open(math.MaxInt64)
	s.dead = deadTimeout
	p := Spec{Name: "vol", Cluster: "c", ID: strings.Repeat("7", 32), Device: backingDevice, Kernel: true}
	if _, err := s.Create(p); err != nil && !message.Has(err, message.VolumeDeviceHolds) {
		check(err)
	}
	_, err := s.Serve(p)
	check(err)
	st := s.Status()
	fmt.Fprintf(os.Stderr, "%s weaker=%d engine=%s\n", st.Volumes[0].Disk, len(st.Weaker), st.Volumes[0].Engine)
	for b := make([]byte, 1); ; {
		if n, err := os.Stdin.Read(b); n == 0 {
			if !errors.Is(err, io.EOF) {
				check(err)
			}
			break
		}
		fmt.Fprintf(os.Stderr, "failure: %s\n", s.Status().Volumes[0].Failure)
	}
	disk := s.volumes["vol"].disk
	is, err := disk.Connected()
	check(err)
	check(s.Stop("vol"))
	still, err := disk.Connected()
	check(err)
	fmt.Fprintf(os.Stderr, "detached %v %v\n", is, still)
	os.Exit(0)
}

func check(err error) {
	if err != nil {
		fmt.Fprintf(os.Stderr, "error: %v\n", err)
		os.Exit(1)
	}
}

// child is a running server.
type child struct {
	cmd  *exec.Cmd
	in   io.WriteCloser
	err  io.Reader
	said string
}

func start() (*child, error) {
	c := &child{cmd: exec.Command("/init", "serve")}
	c.cmd.Stdout = os.Stdout
	var err error
	if c.in, err = c.cmd.StdinPipe(); err != nil {
		return nil, err
	}
	if c.err, err = c.cmd.StderrPipe(); err != nil {
		return nil, err
	}
	if err := c.cmd.Start(); err != nil {
		return nil, err
	}
	if c.said, err = c.line(); err != nil {
		return nil, err
	}
	if !strings.HasPrefix(c.said, "/dev/nbd0 weaker=0 ") {
		return nil, fmt.Errorf("the server says %q", c.said)
	}
	return c, nil
}

// line reads what it says next.
func (c *child) line() (string, error) {
	var text []byte
	b := make([]byte, 1)
	for {
		n, err := c.err.Read(b)
		if n == 1 && b[0] == '\n' {
			return string(text), nil
		}
		text = append(text, b[:n]...)
		if err != nil {
			return "", fmt.Errorf("the server ended with %q: %w", text, err)
		}
	}
}

func (c *child) kill() {
	_ = c.cmd.Process.Kill()
	_ = c.cmd.Wait()
}

// aligned is memory for direct I/O.
func aligned(n int) []byte {
	b, err := unix.Mmap(-1, 0, n, unix.PROT_READ|unix.PROT_WRITE, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE)
	check(err)
	return b
}

func openDisk(flags int) (int, error) { return unix.Open("/dev/nbd0", unix.O_RDWR|flags, 0) }

var running *child

func connects() error {
	var err error
	if running, err = start(); err != nil {
		return err
	}
	say("served: %s", running.said)
	fd, err := openDisk(unix.O_DIRECT)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	var size uint64
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&size))); errno != 0 || size != 127<<20 {
		return fmt.Errorf("size %d: %v", size, errno)
	}
	b, back := aligned(1<<20), aligned(1<<20)
	for i := range b {
		b[i] = byte(i * 13 >> 4)
	}
	for at := int64(0); at < 16<<20; at += 1 << 20 {
		if _, err := unix.Pwrite(fd, b, at); err != nil {
			return err
		}
	}
	if err := unix.Fsync(fd); err != nil {
		return err
	}
	if err := unix.Fallocate(fd, unix.FALLOC_FL_ZERO_RANGE|unix.FALLOC_FL_KEEP_SIZE, 4<<20, 1<<20); err != nil {
		return fmt.Errorf("zero: %w", err)
	}
	for at := int64(0); at < 16<<20; at += 1 << 20 {
		if _, err := unix.Pread(fd, back, at); err != nil {
			return err
		}
		if want := b; at == 4<<20 {
			if !bytes.Equal(back, make([]byte, 1<<20)) {
				return errors.New("what was zeroed isn't")
			}
		} else if !bytes.Equal(back, want) {
			return fmt.Errorf("other content at %d", at)
		}
	}
	return nil
}

// killed writes without a pause, kills the server three times, and compares.
func killed() error {
	fd, err := openDisk(unix.O_DIRECT)
	if err != nil {
		return err
	}
	defer unix.Close(fd)
	stop, result := make(chan struct{}), make(chan error, 1)
	const blocks = 1024
	last := make([]byte, blocks)
	var count atomic.Int64
	go func() {
		b := aligned(4096)
		for i := 0; ; i++ {
			select {
			case <-stop:
				result <- nil
				return
			default:
			}
			k := i * 7 % blocks
			last[k]++
			for j := range b {
				b[j] = last[k]
			}
			if _, err := unix.Pwrite(fd, b, int64(32<<20+k*4096)); err != nil {
				result <- fmt.Errorf("write %d: %w", i, err)
				return
			}
			count.Add(1)
		}
	}()
	for range 3 {
		if err := grows(&count, 200, result); err != nil {
			return err
		}
		running.kill()
		<-time.After(time.Second) // nobody serves meanwhile
		held := count.Load()
		if running, err = start(); err != nil {
			return err
		}
		say("%d writes, then held, then on", held)
	}
	if err := grows(&count, 200, result); err != nil {
		return err
	}
	close(stop)
	if err := <-result; err != nil {
		return err
	}
	b := aligned(4096)
	for k := range blocks {
		if _, err := unix.Pread(fd, b, int64(32<<20+k*4096)); err != nil {
			return err
		}
		if last[k] != 0 && (b[0] != last[k] || b[4095] != last[k]) {
			return fmt.Errorf("block %d holds %d, %d was written", k, b[0], last[k])
		}
	}
	say("%d writes across three kills, none lost and none failed", count.Load())
	return nil
}

// grows waits until a number has grown.
func grows(n *atomic.Int64, by int64, ended <-chan error) error {
	from := n.Load()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	last, moved := from, time.Now()
	for n.Load() < from+by {
		select {
		case err := <-ended:
			return err
		case <-tick.C:
		}
		if now := n.Load(); now != last {
			last, moved = now, time.Now()
		}
		if time.Since(moved) > time.Minute {
			return fmt.Errorf("no write for a minute after %d: they are held for ever", last)
		}
	}
	return nil
}

// pressed dirties more pages of the disk than the memory limit of its group and
// most of the machine's memory: they can only be freed through the server.
func pressed() error {
	group := "/sys/fs/cgroup/pressed"
	_ = os.WriteFile("/sys/fs/cgroup/cgroup.subtree_control", []byte("+memory"), 0)
	if err := os.MkdirAll(group, 0o755); err != nil {
		return err
	}
	if err := os.WriteFile(group+"/memory.max", []byte("33554432"), 0); err != nil {
		return fmt.Errorf("limit memory: %w", err)
	}
	cmd := exec.Command("/init", "-test.run=TestDirtyPages")
	cmd.Env = append(os.Environ(), "PERDURE_TEST_DIRTY=/dev/nbd0")
	cmd.Stdout, cmd.Stderr = os.Stdout, os.Stdout
	dir, err := os.Open(group)
	if err != nil {
		return err
	}
	defer dir.Close()
	cmd.SysProcAttr = &unix.SysProcAttr{UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := cmd.Start(); err != nil {
		return err
	}
	done := make(chan error, 1)
	go func() { done <- cmd.Wait() }()
	// An emulated machine may be slow; what must not be is that nothing moves.
	last, moved := "", time.Now()
	tick := time.NewTicker(time.Second)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			events, _ := os.ReadFile(group + "/memory.events")
			say("memory events: %s", strings.ReplaceAll(strings.TrimSpace(string(events)), "\n", ", "))
			return err
		case <-tick.C:
		}
		now, _ := os.ReadFile("/sys/block/nbd0/stat")
		if f := strings.Fields(string(now)); len(f) > 6 && f[2]+f[6] != last {
			last, moved = f[2]+f[6], time.Now()
		}
		if time.Since(moved) > time.Minute {
			return fmt.Errorf("it stands still: %s", now)
		}
	}
}

// broken has the machine's disk fail, mended, and pulled out: the server tells the
// two apart, and goes on after the first.
func broken() error {
	words, err := os.ReadFile("/proc/cmdline")
	if err != nil || !strings.Contains(string(words), faultsWord) {
		return err
	}
	for _, want := range []string{"input/output error", "the device is gone"} {
		if running, err = start(); err != nil {
			return err
		}
		fd, err := openDisk(unix.O_DIRECT)
		if err != nil {
			return err
		}
		say("may be broken")
		if err := until(fd, false); err != nil {
			return err
		}
		if _, err := running.in.Write([]byte{'?'}); err != nil {
			return err
		}
		said, err := running.line()
		if err != nil || !strings.Contains(said, want) {
			return fmt.Errorf("the server says %q, want %q: %w", said, want, err)
		}
		say("%s", said)
		if want == "input/output error" {
			say("may be broken") // which is mending it
			if err := until(fd, true); err != nil {
				return err
			}
		}
		_ = unix.Close(fd)
		running.kill()
	}
	return nil
}

// until reads until it works, or doesn't.
func until(fd int, works bool) error {
	b := aligned(4096)
	tick := time.NewTicker(50 * time.Millisecond)
	defer tick.Stop()
	for end := time.Now().Add(time.Minute); ; <-tick.C {
		if _, err := unix.Pread(fd, b, 0); (err == nil) == works {
			return nil
		}
		if time.Now().After(end) {
			return fmt.Errorf("reading never came to work=%v", works)
		}
	}
}

// TestDirtyPages is the part of the machine's test that runs in the limited group.
func TestDirtyPages(t *testing.T) {
	path := os.Getenv("PERDURE_TEST_DIRTY")
	if path == "" {
		t.Skip("SKIPPED: a part of TestKernelDisk")
	}
	f, err := os.OpenFile(path, os.O_RDWR, 0)
	if err != nil {
		t.Fatal(err)
	}
	defer f.Close()
	b := make([]byte, 1<<20)
	for round := range 2 {
		for at := range int64(96) {
			for i := range b {
				b[i] = byte(round) ^ byte(at) ^ byte(i>>12)
			}
			if _, err := f.WriteAt(b, (at+16)<<20); err != nil {
				t.Fatal(err)
			}
		}
	}
	if err := f.Sync(); err != nil {
		t.Fatal(err)
	}
	if err := unix.Fadvise(int(f.Fd()), 0, 0, unix.FADV_DONTNEED); err != nil {
		t.Fatal(err)
	}
	for at := range int64(96) {
		if _, err := f.ReadAt(b, (at+16)<<20); err != nil {
			t.Fatal(err)
		}
		for i := 0; i < len(b); i += 4096 {
			if want := byte(1) ^ byte(at) ^ byte(i>>12); b[i] != want {
				t.Fatalf("at %d MiB + %d: %d, want %d", at+16, i, b[i], want)
			}
		}
	}
}

// abandoned lets the dead-connection time-out pass, then brings a server back and
// detaches in order.
func abandoned() error {
	fd, err := openDisk(unix.O_DIRECT)
	if err != nil {
		return err
	}
	running.kill()
	began := time.Now()
	b := aligned(4096)
	_, err = unix.Pwrite(fd, b, 0)
	took := time.Since(began)
	if !errors.Is(err, unix.EIO) || took < deadTimeout/2 || took > 4*deadTimeout {
		return fmt.Errorf("a write without a server ended after %v with %v", took, err)
	}
	say("EIO after %.1f s without a server, %v were allowed", took.Seconds(), deadTimeout)
	_ = unix.Close(fd)
	if running, err = start(); err != nil {
		return err
	}
	if fd, err = openDisk(unix.O_DIRECT); err != nil {
		return err
	}
	_, err = unix.Pread(fd, b, 0)
	_ = unix.Close(fd)
	if err != nil {
		return fmt.Errorf("read after a server came back: %w", err)
	}
	if err := running.in.Close(); err != nil {
		return err
	}
	said, err := running.line()
	if err != nil || said != "detached true false" {
		return fmt.Errorf("detach: %q %w", said, err)
	}
	return nil
}
