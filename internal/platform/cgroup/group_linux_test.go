package cgroup

import (
	"context"
	"fmt"
	"os"
	"os/exec"
	"syscall"
	"testing"
	"time"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

const deadline = 10 * time.Second

func tree(t *testing.T) Tree {
	t.Helper()
	tr := Find(fmt.Sprintf("test-%d-%d", os.Getpid(), time.Now().UnixNano()))
	if ok, why := tr.Available(); !ok {
		t.Skip("SKIPPED, no cgroups on this machine: ", why)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), deadline)
		defer cancel()
		At(tr.Path()).Kill(ctx)
		if err := tr.Remove(); err != nil {
			t.Error(err)
		}
	})
	return tr
}

// start runs a shell in the group from its first instruction on.
func start(t *testing.T, g Group, script string) *exec.Cmd {
	t.Helper()
	dir, err := g.Open()
	if err != nil {
		t.Fatal(err)
	}
	defer dir.Close()
	cmd := exec.Command("/bin/sh", "-c", script)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true, UseCgroupFD: true, CgroupFD: int(dir.Fd())}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { cmd.Process.Kill(); cmd.Wait() })
	return cmd
}

func TestFreezeKillRemove(t *testing.T) {
	tr := tree(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	g, err := tr.Group("service", "web", "server")
	if err != nil {
		t.Fatal(err)
	}
	start(t, g, "sleep 60 & sleep 61 & wait")
	await(t, func() bool { p, _ := g.Procs(); return len(p) == 3 })
	above := At(tr.PathOf("service"))
	if p, _ := above.Procs(); len(p) != 3 {
		t.Errorf("the group above has %v, want the same 3", p)
	}
	// Freezing the group above freezes what is in it.
	if err := above.Freeze(ctx, true); err != nil {
		t.Fatal(err)
	}
	if frozen, err := g.Frozen(); err != nil || !frozen {
		t.Errorf("frozen %v, %v", frozen, err)
	}
	if err := above.Freeze(ctx, false); err != nil {
		t.Fatal(err)
	}
	if frozen, _ := g.Frozen(); frozen {
		t.Error("still frozen after the thaw")
	}
	if err := above.Freeze(ctx, true); err != nil {
		t.Fatal(err)
	}
	if err := g.Remove(); err == nil {
		t.Error("removed with processes in it")
	}
	if err := g.Kill(ctx); err != nil {
		t.Fatalf("kill the frozen: %v", err)
	}
	if lives, err := g.Populated(); lives || err != nil {
		t.Errorf("populated %v, %v", lives, err)
	}
	if err := above.Remove(); err != nil {
		t.Error(err)
	}
	if g.Exists() {
		t.Error("exists after the removal")
	}
	// Whatever is done to a group that is gone has been done.
	if err := g.Kill(ctx); err != nil {
		t.Error(err)
	}
	if err := g.Remove(); err != nil {
		t.Error(err)
	}
	if lives, err := g.Populated(); lives || err != nil {
		t.Errorf("populated %v, %v", lives, err)
	}
}

func TestKillWithoutKernelHelp(t *testing.T) {
	tr := tree(t)
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	g, err := tr.Group("old")
	if err != nil {
		t.Fatal(err)
	}
	start(t, g, "while :; do sleep 60 & sleep 0.001; done")
	await(t, func() bool { p, _ := g.Procs(); return len(p) > 3 })
	if err := g.killEach(ctx); err != nil {
		t.Fatal(err)
	}
	if lives, _ := g.Populated(); lives {
		t.Error("a forking tree survived")
	}
}

func TestEmptyIsNoticedAtOnce(t *testing.T) {
	tr := tree(t)
	g, err := tr.Group("short")
	if err != nil {
		t.Fatal(err)
	}
	cmd := start(t, g, "exec sleep 60")
	ctx, cancel := context.WithTimeout(t.Context(), deadline)
	defer cancel()
	empty := make(chan error, 1)
	go func() { empty <- g.Empty(ctx) }()
	select {
	case err := <-empty:
		t.Fatalf("empty while a process lives: %v", err)
	case <-time.After(30 * time.Millisecond):
	}
	killed := time.Now()
	cmd.Process.Kill()
	if err := <-empty; err != nil {
		t.Fatal(err)
	}
	if took := time.Since(killed); took > 100*time.Millisecond {
		t.Errorf("noticed after %v, want less than 100 ms", took)
	}
}

func TestFreezeGivesUpAtItsDeadline(t *testing.T) {
	tr := tree(t)
	g, err := tr.Group("gone")
	if err != nil {
		t.Fatal(err)
	}
	g.Remove()
	ctx, cancel := context.WithTimeout(t.Context(), time.Millisecond)
	defer cancel()
	if err := g.Freeze(ctx, true); err == nil {
		t.Error("froze a group that is gone")
	}
}

func TestNames(t *testing.T) {
	tr := Tree{base: t.TempDir()}
	for _, bad := range []string{"", ".", "..", "a/b", "cgroup.procs", "a\nb", ".x"} {
		if _, err := tr.Group(bad); err == nil {
			t.Errorf("%q was taken as a name", bad)
		}
	}
	if _, err := tr.Group("Web 1_a-b.c"); err != nil {
		t.Error(err)
	}
}

func TestNoHierarchy(t *testing.T) {
	none := Tree{reason: "because"}
	if ok, why := none.Available(); ok || why != "because" {
		t.Error(ok, why)
	}
	if _, err := none.Group("x"); err == nil {
		t.Error("no error")
	}
	if none.PathOf("x") != "" {
		t.Error("a path in nothing")
	}
}

func TestMountsOf(t *testing.T) {
	info := `24 1 0:22 / /sys/fs/cgroup rw - tmpfs tmpfs rw
31 24 0:29 / /sys/fs/cgroup/unified rw,relatime shared:9 - cgroup2 cgroup2 rw
32 24 0:30 / /mnt/a\040b rw - cgroup2 none rw
33 24 0:31 / /sys/fs/cgroup/cpu rw - cgroup cgroup rw,cpu
broken line
`
	got := mountsOf([]byte(info))
	if len(got) != 2 || got[0] != "/sys/fs/cgroup/unified" || got[1] != "/mnt/a b" {
		t.Errorf("%q", got)
	}
	if p := ownGroup([]byte("1:name=systemd:/x\n0::/system.slice/perdure.service\n")); p != "/system.slice/perdure.service" {
		t.Errorf("%q", p)
	}
}

func FuzzMountsOf(f *testing.F) {
	f.Add([]byte("31 24 0:29 / /sys rw - cgroup2 cgroup2 rw\n"))
	f.Fuzz(func(t *testing.T, b []byte) {
		mountsOf(b)
		ownGroup(b)
		valueOf(b, "frozen")
	})
}

func await(t *testing.T, ok func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(deadline)
	for !ok() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatal("not within the deadline")
		}
	}
}
