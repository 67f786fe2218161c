package filesystem

import (
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

// private says that this process has a mount namespace of its own: nothing that
// the tests mount is seen outside, and all of it is gone with them.
const private = "PERDURE_TEST_PRIVATE_MOUNTS"

func TestMain(m *testing.M) {
	if os.Geteuid() != 0 || os.Getenv(private) != "" {
		goleak.VerifyTestMain(m)
		return
	}
	cmd := exec.Command("/proc/self/exe", os.Args[1:]...)
	cmd.Env = append(os.Environ(), private+"=1")
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{Unshareflags: syscall.CLONE_NEWNS, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Println(err)
		os.Exit(1)
	}
}

// disk makes a loop device with a file system on it.
func disk(t *testing.T, fstype string, mkfs ...string) string {
	t.Helper()
	size := map[string]int64{"xfs": 320 << 20, "btrfs": 128 << 20}[fstype]
	if size == 0 {
		size = 16 << 20
	}
	return diskIn(t, t.TempDir(), size, fstype, mkfs...)
}

func diskIn(t *testing.T, dir string, size int64, fstype string, mkfs ...string) string {
	t.Helper()
	needs(t, "losetup")
	img := filepath.Join(dir, "disk.img")
	if err := os.WriteFile(img, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(img, size); err != nil {
		t.Fatal(err)
	}
	if fstype != "" {
		needs(t, "mkfs."+fstype)
		argv := append([]string{"mkfs." + fstype, "-q"}, mkfs...)
		must(t, append(argv, img)...)
	}
	dev := must(t, "losetup", "-f", "--show", img)
	t.Cleanup(func() {
		exec.Command("umount", "-A", dev).Run() // where a test failed
		must(t, "losetup", "-d", dev)
	})
	return dev
}

// needs skips, visibly, without root or without a tool.
func needs(t *testing.T, tools ...string) {
	t.Helper()
	if os.Getenv(private) == "" {
		t.Skip("SKIPPED: mounting needs root")
	}
	for _, tool := range tools {
		if _, err := exec.LookPath(tool); err != nil {
			t.Skipf("SKIPPED: %s is not installed", tool)
		}
	}
}

func must(t *testing.T, argv ...string) string {
	t.Helper()
	out, err := exec.Command(argv[0], argv[1:]...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s: %v: %s", strings.Join(argv, " "), err, out)
	}
	return strings.TrimSpace(string(out))
}

// world is an agent with its device and its place.
type world struct {
	*kit.Agent
	dev, at string
}

func open(t *testing.T, dev string, more ...string) *world {
	t.Helper()
	at := filepath.Join(t.TempDir(), "data")
	m := map[string]string{"device": dev, "mountpoint": at}
	for i := 0; i < len(more); i += 2 {
		m[more[i]] = more[i+1]
	}
	w := &world{kittest.Open(t, kittest.Host(t, true), Kit{}, m), dev, m["mountpoint"]}
	t.Cleanup(func() {
		if err := w.Stop(kittest.Context(t)); err != nil {
			t.Error("stop at the end: ", err)
		}
	})
	return w
}

func (w *world) start(t *testing.T) {
	t.Helper()
	if err := w.Start(kittest.Context(t), ""); err != nil {
		t.Fatal(err)
	}
}

func (w *world) mounted(t *testing.T) bool {
	t.Helper()
	all, err := table()
	if err != nil {
		t.Fatal(err)
	}
	return top(all, w.at) != nil
}

func want(t *testing.T, h kit.Health, status cluster.Status, code string) {
	t.Helper()
	if h.Status != status || h.Reason.Code != code {
		t.Errorf("health %v, want %s %s", h, status, code)
	}
}

func refused(t *testing.T, err error, code string) {
	t.Helper()
	if !message.Has(err, code) {
		t.Errorf("got %v, want %s", err, code)
	}
}
