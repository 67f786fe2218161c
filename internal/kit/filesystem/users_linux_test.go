package filesystem

import (
	"net"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

// shell starts a shell that says when it is ready, and is reaped by the test.
func shell(t *testing.T, script string, dir string) (*exec.Cmd, <-chan error) {
	t.Helper()
	c := exec.Command("sh", "-c", script)
	c.Dir = dir
	out, err := c.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	if _, err := out.Read(make([]byte, 8)); err != nil {
		t.Fatal(err)
	}
	ended := make(chan error, 1)
	go func() { ended <- c.Wait() }()
	t.Cleanup(func() { c.Process.Kill() })
	return c, ended
}

func TestUsersAreEnded(t *testing.T) {
	if testing.Short() {
		t.Skip("SKIPPED: short")
	}
	ctx := t.Context()
	dev := disk(t, "ext4")
	for _, c := range []struct{ name, script string }{
		{"works in it", `cd data && echo ok && exec sleep 60`},
		{"file open", `exec 9>data/log; echo ok; exec sleep 60`},
		{"file open and removed", `exec 9>data/log; rm data/log; echo ok; exec sleep 60`},
		{"runs from it", `cp /bin/sleep data/; echo ok; exec data/sleep 60`},
		{"doesn't listen", `trap "" TERM; cd data; echo ok; while :; do sleep 1; done`},
		{"is stopped", `cd data; echo ok; kill -STOP $$; sleep 60`},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := open(t, dev, "users.grace", "300ms")
			w.start(t)
			_, ended := shell(t, c.script, filepath.Dir(w.at))
			if err := w.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			select {
			case <-ended:
			case <-time.After(kittest.Deadline):
				t.Error("the user lives")
			}
			if w.mounted(t) {
				t.Error("still mounted")
			}
		})
	}
	t.Run("maps a file", func(t *testing.T) {
		w := open(t, dev)
		w.start(t)
		if _, err := exec.LookPath("python3"); err != nil {
			t.Skip("SKIPPED: no python3")
		}
		c := exec.Command("python3", "-c", `
import mmap,os,sys,time
f=open("map","w+b"); f.write(b"x"*4096); f.flush(); m=mmap.mmap(f.fileno(),4096); os.close(f.fileno())
os.chdir("/"); print("ok",flush=True); time.sleep(60)`)
		c.Dir = w.at
		out, _ := c.StdoutPipe()
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		out.Read(make([]byte, 4))
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
		c.Process.Kill()
		c.Wait()
	})
}

// What can't be ended is named, and the mount stays in the table.
func TestBusyForTheKernel(t *testing.T) {
	ctx := t.Context()
	w := open(t, disk(t, "ext4"))
	w.start(t)
	img := filepath.Join(w.at, "disk.img")
	if err := os.WriteFile(img, make([]byte, 1<<20), 0o600); err != nil {
		t.Fatal(err)
	}
	inner := must(t, "losetup", "-f", "--show", img)
	err := w.Stop(ctx)
	refused(t, err, message.UnmountFailed)
	if err == nil || !strings.Contains(err.Error(), inner) {
		t.Errorf("the loop device is not named: %v", err)
	}
	if !w.mounted(t) {
		t.Error("it was unmounted lazily")
	}
	must(t, "losetup", "-d", inner)
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
}

// Ourselves we spare: the message says so, instead of a daemon that kills itself.
func TestWeUseItOurselves(t *testing.T) {
	ctx := t.Context()
	w := open(t, disk(t, "ext4"), "users.grace", "50ms")
	w.start(t)
	l, err := net.Listen("unix", filepath.Join(w.at, "s"))
	if err != nil {
		t.Fatal(err)
	}
	refused(t, w.Stop(ctx), message.UnmountFailed)
	l.Close()
	if err := w.Stop(ctx); err != nil {
		t.Error(err)
	}
}

func TestMountsInside(t *testing.T) {
	ctx := t.Context()
	w := open(t, disk(t, "ext4"))
	w.start(t)
	sub := filepath.Join(w.at, "a", "b")
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "mount", "-t", "tmpfs", "other", filepath.Join(w.at, "a"))
	if err := os.MkdirAll(sub, 0o755); err != nil {
		t.Fatal(err)
	}
	must(t, "mount", "-t", "tmpfs", "other", sub)
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if w.mounted(t) {
		t.Error("still mounted")
	}
}

// A frozen file system takes every writer with it into the kernel, where
// nothing can be killed: as a dead disk does.
func TestHungWrite(t *testing.T) {
	needs(t, "fsfreeze")
	ctx := t.Context()
	w := open(t, disk(t, "ext4"), "deep.timeout", "500ms")
	w.start(t)
	must(t, "fsfreeze", "-f", w.at)
	begun := time.Now()
	want(t, w.Check(ctx, kit.Deep), cluster.Failed, message.FilesystemHangs)
	want(t, w.Check(ctx, kit.Light), cluster.InService, "") // never touches the disk
	for range 3 {
		want(t, w.Check(ctx, kit.Deep), cluster.Failed, message.FilesystemHangs)
	}
	if took := time.Since(begun); took > 15*time.Second {
		t.Errorf("four checks took %v", took)
	}
	if n := strings.Count(psAll(t), w.at+"/.perdure-check"); n > 1 {
		t.Errorf("%d checks wait in the kernel, want one", n)
	}
	must(t, "fsfreeze", "-u", w.at)
	kittest.Eventually(t, "it writes again", func() bool { return w.Check(ctx, kit.Deep).Status == cluster.InService })
}

// A mount whose disk takes no write hangs in the kernel.
func TestHungMount(t *testing.T) {
	needs(t, "fsfreeze", "mkfs.ext4")
	ctx := t.Context()
	below := open(t, diskIn(t, t.TempDir(), 32<<20, "ext4"))
	below.start(t)
	dev := diskIn(t, below.at, 8<<20, "ext4")
	w := open(t, dev, "start.timeout", "1s", "fsck", "no")
	must(t, "fsfreeze", "-f", below.at)
	frozen := true
	thaw := func() {
		if frozen {
			must(t, "fsfreeze", "-u", below.at)
			frozen = false
		}
	}
	defer thaw()
	begun := time.Now()
	err := w.Start(ctx, "")
	if took := time.Since(begun); took > 10*time.Second {
		t.Errorf("start took %v", took)
	}
	refused(t, err, message.FilesystemHangs)
	thaw()
	kittest.Eventually(t, "it can be stopped", func() bool { return w.Stop(ctx) == nil })
	kittest.Eventually(t, "nothing is mounted", func() bool { return !w.mounted(t) })
	unix.Sync()
}

func psAll(t *testing.T) string { return must(t, "ps", "-eo", "args") }
