package qemu

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/lab/vm/tinyguest"
)

var shared struct {
	once  sync.Once
	dir   string
	image tinyguest.Image
	err   error
}

func TestMain(m *testing.M) {
	code := m.Run()
	if shared.dir != "" {
		os.RemoveAll(shared.dir)
	}
	os.Exit(code)
}

// guestImage builds the guest once, or skips the test.
func guestImage(t *testing.T) tinyguest.Image {
	t.Helper()
	if os.Getenv("PERDURE_LAB_VM") == "" {
		t.Skip("SKIPPED: virtual machines are booted by make lab, which sets PERDURE_LAB_VM")
	}
	if err := Available(); err != nil {
		t.Skip("SKIPPED, needs QEMU: ", err)
	}
	kernel, err := tinyguest.FindKernel()
	if err != nil {
		t.Skip("SKIPPED, needs a kernel: ", err)
	}
	shared.once.Do(func() {
		if shared.dir, shared.err = os.MkdirTemp("", "perdure-qemu-"); shared.err != nil {
			return
		}
		program := filepath.Join(shared.dir, "init")
		build := exec.Command("go", "build", "-o", program, "../freeze")
		build.Env = append(os.Environ(), "CGO_ENABLED=0")
		if out, err := build.CombinedOutput(); err != nil {
			shared.err = fmt.Errorf("build the guest: %w: %s", err, out)
			return
		}
		modules := append([]string{"softdog"}, tinyguest.Modules...)
		shared.image, shared.err = tinyguest.Build(context.Background(), shared.dir, kernel, program, modules)
	})
	if shared.err != nil {
		t.Fatal(shared.err)
	}
	return shared.image
}

// stage is a machine with its guest.
type stage struct {
	t *testing.T
	*Machine
	guest *tinyguest.Conn
}

// config is a machine with a hardware watchdog and a disk of each kind, of size
// bytes.
func config(t *testing.T, size int64) machine.Config {
	t.Helper()
	image := guestImage(t)
	c := machine.Config{
		Name: "tiny", MemoryMiB: 192, Kernel: image.Kernel, Initrd: image.Initrd,
		Watchdog: true, Dir: t.TempDir(), Start: start,
	}
	c.Disks = []machine.Disk{
		{Name: "data", Path: emptyDisk(t, c.Dir, "data.raw", size)},
		{Name: "base", Path: emptyDisk(t, c.Dir, "base.raw", size), ReadOnly: true},
		{Name: "san", Path: emptyDisk(t, c.Dir, "san.raw", size), Shared: true},
	}
	return c
}

// start starts QEMU so that it ends with the test.
func start(cmd *exec.Cmd) error { return cmd.Start() }

func emptyDisk(t *testing.T, dir, name string, size int64) string {
	t.Helper()
	path := filepath.Join(dir, name)
	if err := os.WriteFile(path, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(path, size); err != nil {
		t.Fatal(err)
	}
	return path
}

func newStage(t *testing.T, c machine.Config) *stage {
	t.Helper()
	m, err := New(c)
	if err != nil {
		t.Fatal(err)
	}
	s := &stage{t: t, Machine: m}
	t.Cleanup(func() {
		if err := m.PowerOff(context.Background()); err != nil {
			t.Error(err)
		}
		if s.guest != nil {
			s.guest.Close()
		}
		if t.Failed() {
			text, _ := os.ReadFile(m.Console())
			t.Logf("console:\n%s", text[max(0, len(text)-3000):])
			text, _ = os.ReadFile(filepath.Join(c.Dir, "qemu.err"))
			t.Logf("QEMU:\n%s", text[max(0, len(text)-3000):])
		}
	})
	return s
}

// boot starts the machine and waits for its guest.
func (s *stage) boot() {
	s.t.Helper()
	begin := time.Now()
	s.must(s.Boot(s.t.Context()))
	if s.guest != nil {
		s.guest.Close()
	}
	s.guest = tinyguest.NewConn(s.Control())
	ctx, cancel := context.WithTimeout(s.t.Context(), time.Minute)
	defer cancel()
	s.must(s.guest.Up(ctx))
	s.t.Logf("up after %v", time.Since(begin).Round(10*time.Millisecond))
}

func (s *stage) must(err error) {
	s.t.Helper()
	if err != nil {
		s.t.Fatal(err)
	}
}

// ask asks the guest with a deadline.
func (s *stage) ask(q tinyguest.Request) (tinyguest.Answer, error) {
	return s.askFor(20*time.Second, q)
}

func (s *stage) askFor(patience time.Duration, q tinyguest.Request) (tinyguest.Answer, error) {
	ctx, cancel := context.WithTimeout(s.t.Context(), patience)
	defer cancel()
	return s.guest.Ask(ctx, q)
}

// end waits for the machine's end and compares the reason.
func (s *stage) end(want string) {
	s.t.Helper()
	begin := time.Now()
	select {
	case <-s.Done():
	case <-time.After(40 * time.Second):
		s.t.Fatalf("the machine goes on, want %q", want)
	}
	s.t.Logf("%s after %v", s.Ended(), time.Since(begin).Round(10*time.Millisecond))
	if got := s.Ended(); got != want {
		s.t.Fatalf("ended: %q, want %q", got, want)
	}
}
