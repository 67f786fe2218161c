package e2e

import (
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"syscall"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestStorageWitness: two nodes with a file that both see as third vote survive
// the loss of any one of the three, and say what is wrong with the store.
func TestStorageWitness(t *testing.T) {
	a, b := newMachine(t, "a", 12, 1), newMachine(t, "b", 12, 2)
	begin(t, a)
	b.join(t, a.token(t, cluster.RoleNode), cluster.RoleNode)
	a.must(t, "quorum", "detection", "balanced")
	shared := filepath.Join(t.TempDir(), "vote")

	data := filepath.Join(filepath.Dir(shared), "data")
	if err := os.WriteFile(data, []byte(strings.Repeat("important ", 1<<10)), 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(data, 200<<20); err != nil {
		t.Fatal(err)
	}
	if got := a.perdure("quorum", "add", "storage", "file", data); got.code == 0 || !strings.Contains(got.err, "PD8012") {
		t.Errorf("a file with something in it became a store: %v", got)
	}

	got := a.perdure("quorum", "add", "storage", "file", shared)
	if got.code != 0 || !strings.Contains(got.out, "3 votes") {
		t.Fatalf("%v\n%s\n%s", got, a.tail(20), b.tail(20))
	}
	voters(t, a, 3)
	voters(t, b, 3)
	safe := func(m *machine, want bool) {
		t.Helper()
		until(t, fmt.Sprintf("%s says safe: %v", m.name, want), settle, func() error {
			if line := first(m); strings.HasPrefix(line, "SAFE: ") != want {
				return errors.New(m.perdure("status").String())
			}
			return nil
		})
	}
	safe(a, true)
	service := protect(t, a, "app", "a", "b")
	servedBy(t, b, "app", "a")

	t.Run("a node dies", func(t *testing.T) {
		a.crash(servicePID(t, service))
		began := time.Now()
		servedBy(t, b, "app", "b")
		t.Logf("in service on b after %v", time.Since(began).Round(10*time.Millisecond))
		a.on(t, cluster.RoleNode)
		a.admitted(t)
		safe(b, true)
	})
	t.Run("the store is lost while both nodes are healthy", func(t *testing.T) {
		pid := servicePID(t, service)
		if err := os.Rename(shared, shared+".away"); err != nil {
			t.Fatal(err)
		}
		// Whoever has it open goes on with it; a new process doesn't find it.
		if err := syscall.Kill(a.daemon(), syscall.SIGKILL); err != nil {
			t.Fatal(err)
		}
		until(t, "the first line says what is lost", settle, func() error {
			if line := first(a); !strings.HasPrefix(line, "NOT SAFE: ") || !strings.Contains(line, "store") {
				return errors.New(a.perdure("status").String())
			}
			return nil
		})
		if !alive(pid) {
			t.Error("the service was touched")
		}
		if err := os.Rename(shared+".away", shared); err != nil {
			t.Fatal(err)
		}
		safe(a, true)
	})
	t.Run("both nodes down and either one back", func(t *testing.T) {
		a.crash(0)
		b.crash(servicePID(t, service))
		b.on(t, cluster.RoleNode)
		servedBy(t, b, "app", "b")
		a.on(t, cluster.RoleNode)
		a.admitted(t)
		safe(a, true)
	})
	t.Run("removed", func(t *testing.T) {
		a.must(t, "quorum", "remove", "store", "-y")
		until(t, "one vote again", settle, func() error {
			v, err := a.view()
			if err == nil && v.Report.Quorum.Voters != 1 {
				err = fmt.Errorf("%+v", v.Report.Quorum)
			}
			return err
		})
		safe(a, false)
	})
}

// TestStorageWitnessOnDisk: the same with a block device. Both nodes are on this
// machine, so that it is a loop device here.
func TestStorageWitnessOnDisk(t *testing.T) {
	backing := filepath.Join(t.TempDir(), "lun")
	if err := os.WriteFile(backing, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := os.Truncate(backing, 200<<20); err != nil {
		t.Fatal(err)
	}
	out, err := exec.Command("losetup", "--find", "--show", "--direct-io=on", backing).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: no loop device: %v: %s", err, out)
	}
	device := strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", device).CombinedOutput(); err != nil {
			t.Errorf("detach %s: %v: %s", device, err, out)
		}
	})
	a, b := newMachine(t, "a", 14, 1), newMachine(t, "b", 14, 2)
	begin(t, a)
	b.join(t, a.token(t, cluster.RoleNode), cluster.RoleNode)
	a.must(t, "quorum", "detection", "balanced")
	if got := b.perdure("quorum", "add", "storage", "disk", device, "--name", "lun"); got.code != 0 || !strings.Contains(got.out, "3 votes") {
		t.Fatalf("%v\n%s\n%s", got, a.tail(20), b.tail(20))
	}
	voters(t, a, 3)
	service := protect(t, a, "app", "a", "b")
	servedBy(t, b, "app", "a")
	a.crash(servicePID(t, service))
	servedBy(t, b, "app", "b")
	a.on(t, cluster.RoleNode)
	a.admitted(t)
	voters(t, a, 3)
}

// crash ends everything of a machine at once, with a service that runs on it.
func (m *machine) crash(service int) {
	daemon := m.daemon()
	for _, pid := range []int{m.top.Process.Pid, -m.top.Process.Pid, daemon, service, -service} {
		if pid > 1 || pid < -1 {
			_ = syscall.Kill(pid, syscall.SIGKILL)
		}
	}
	<-m.over
	m.top = nil
	m.sweep()
}
