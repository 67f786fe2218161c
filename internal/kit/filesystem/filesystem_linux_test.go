package filesystem

import (
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/kit/kittest"
	"github.com/perdure-ha/perdure/internal/message"
)

func TestLife(t *testing.T) {
	for _, fstype := range []string{"ext4", "xfs", "btrfs"} {
		t.Run(fstype, func(t *testing.T) {
			ctx := t.Context()
			w := open(t, disk(t, fstype), "options", "noatime,nodev")
			if err := w.Validate(ctx); err != nil {
				t.Fatal(err)
			}
			want(t, w.Check(ctx, kit.Light), cluster.OutOfService, message.FilesystemNotMounted)
			if h := w.Ready(ctx); h.Status != cluster.OutOfService || h.Reason.Code != "" {
				t.Errorf("not ready: %v", h)
			}
			w.start(t)
			if err := os.WriteFile(filepath.Join(w.at, "kept"), []byte("x"), 0o600); err != nil {
				t.Fatal(err)
			}
			want(t, w.Check(ctx, kit.Light), cluster.InService, "")
			want(t, w.Check(ctx, kit.Deep), cluster.InService, "")
			w.start(t) // again is nothing
			if err := w.Stop(ctx); err != nil {
				t.Fatal(err)
			}
			if w.mounted(t) {
				t.Error("still mounted")
			}
			if err := w.Stop(ctx); err != nil {
				t.Error(err)
			}
			want(t, w.Check(ctx, kit.Light), cluster.OutOfService, message.FilesystemNotMounted)
			w.start(t)
			if _, err := os.Stat(filepath.Join(w.at, "kept")); err != nil {
				t.Error(err)
			}
		})
	}
}

// By name there may be several, and choosing one would be chance.
func TestNames(t *testing.T) {
	ctx := t.Context()
	const uuid = "6a1bb0d2-5d0c-4f3e-9a53-2b7c6a6d9c11"
	dev := disk(t, "ext4", "-L", "perdure-test", "-U", uuid)
	for _, name := range []string{"UUID=" + uuid, "LABEL=perdure-test"} {
		w := open(t, name)
		w.start(t)
		if all, _ := table(); top(all, w.at).Source != dev {
			t.Errorf("%s mounted %s, want %s", name, top(all, w.at).Source, dev)
		}
		if err := w.Stop(ctx); err != nil {
			t.Fatal(err)
		}
	}
	second := disk(t, "ext4", "-U", uuid)
	err := open(t, "UUID="+uuid).Start(ctx, "")
	refused(t, err, message.DeviceAmbiguous)
	if !strings.Contains(err.Error(), dev) || !strings.Contains(err.Error(), second) {
		t.Errorf("not both are named: %v", err)
	}
	refused(t, open(t, "LABEL=nobody").Validate(ctx), message.DeviceNotFound)
	refused(t, open(t, "/dev/no-such-disk").Validate(ctx), message.DeviceNotFound)
	refused(t, open(t, "/dev/null").Validate(ctx), message.DeviceNotFound)
}

func TestRefusals(t *testing.T) {
	ctx := t.Context()
	dev := disk(t, "ext4")
	t.Run("mounted elsewhere", func(t *testing.T) {
		at := t.TempDir()
		must(t, "mount", dev, at)
		defer exec.Command("umount", at).Run()
		w := open(t, dev)
		refused(t, w.Start(ctx, ""), message.MountedElsewhere)
		want(t, w.Ready(ctx), cluster.Failed, message.MountedElsewhere)
		// Out of service means: nowhere on this node.
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
		if busy, err := held(dev); busy || err != nil {
			t.Error("still in use after stop: ", err)
		}
	})
	t.Run("place taken", func(t *testing.T) {
		at := t.TempDir()
		must(t, "mount", "-t", "tmpfs", "other", at)
		defer exec.Command("umount", at).Run()
		w := open(t, dev, "mountpoint", at)
		refused(t, w.Start(ctx, ""), message.MountpointTaken)
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
		if all, _ := table(); top(all, at) == nil {
			t.Error("stop unmounted what isn't ours")
		}
	})
	t.Run("wrong type", func(t *testing.T) { refused(t, open(t, dev, "type", "xfs").Validate(ctx), message.FilesystemWrongType) })
	t.Run("not formatted", func(t *testing.T) { refused(t, open(t, disk(t, "")).Validate(ctx), message.FilesystemWrongType) })
	t.Run("symbolic link", func(t *testing.T) {
		dir := t.TempDir()
		link := filepath.Join(dir, "link")
		if err := os.Symlink(dir, link); err != nil {
			t.Fatal(err)
		}
		refused(t, open(t, dev, "mountpoint", filepath.Join(link, "data")).Validate(ctx), message.MountpointBad)
	})
	t.Run("option that mount doesn't know", func(t *testing.T) {
		w := open(t, dev, "options", "nonsense=1")
		refused(t, w.Start(ctx, ""), message.MountFailed)
		if w.mounted(t) {
			t.Error("mounted all the same")
		}
	})
	t.Run("another namespace", func(t *testing.T) {
		ready := filepath.Join(t.TempDir(), "ready")
		at := t.TempDir()
		c := exec.Command("unshare", "-m", "--propagation", "private", "sh", "-c", "mount "+dev+" "+at+" && touch "+ready+" && exec sleep 60")
		if err := c.Start(); err != nil {
			t.Fatal(err)
		}
		defer c.Wait()
		defer c.Process.Kill()
		kittest.Eventually(t, "it is mounted there", func() bool { _, err := os.Stat(ready); return err == nil })
		w := open(t, dev)
		err := w.Start(ctx, "")
		refused(t, err, message.DeviceHeld)
		if err != nil && !strings.Contains(err.Error(), "namespace of its own") {
			t.Errorf("who has it is not named: %v", err)
		}
		// Only its end lets the device go.
		if err := w.Stop(ctx); err != nil {
			t.Error(err)
		}
		if busy, _ := held(dev); busy {
			t.Error("still in use after stop")
		}
	})
}

func TestSomebodyElse(t *testing.T) {
	ctx := t.Context()
	w := open(t, disk(t, "ext4"), "options", "nosuid")
	w.start(t)
	events := kittest.Events(t, w.Agent)
	t.Run("option lost", func(t *testing.T) {
		must(t, "mount", "-o", "remount,suid", w.at)
		want(t, kittest.Next(t, events).Health, cluster.Degraded, message.FilesystemOptions)
		want(t, w.Check(ctx, kit.Light), cluster.Degraded, message.FilesystemOptions)
		must(t, "mount", "-o", "remount,nosuid", w.at)
		want(t, kittest.Next(t, events).Health, cluster.InService, "")
	})
	t.Run("option that doesn't matter", func(t *testing.T) {
		must(t, "mount", "-o", "remount,nosuid,noatime,errors=continue", w.at)
		want(t, w.Check(ctx, kit.Light), cluster.InService, "")
	})
	t.Run("read-only", func(t *testing.T) {
		must(t, "mount", "-o", "remount,ro", w.at)
		want(t, kittest.Next(t, events).Health, cluster.Failed, message.FilesystemReadOnly)
		want(t, w.Check(ctx, kit.Deep), cluster.Failed, message.FilesystemReadOnly)
		refused(t, w.Start(ctx, ""), message.FilesystemReadOnly)
		must(t, "mount", "-o", "remount,rw,nosuid", w.at)
		want(t, kittest.Next(t, events).Health, cluster.InService, "")
	})
	t.Run("unmounted", func(t *testing.T) {
		must(t, "umount", w.at)
		want(t, kittest.Next(t, events).Health, cluster.Failed, message.FilesystemGone)
		w.start(t)
		want(t, w.Check(ctx, kit.Light), cluster.InService, "")
	})
	t.Run("covered", func(t *testing.T) {
		must(t, "mount", "-t", "tmpfs", "other", w.at)
		want(t, w.Check(ctx, kit.Light), cluster.Failed, message.MountpointTaken)
		if err := w.Stop(ctx); err != nil {
			t.Fatal(err)
		}
		if busy, _ := held(w.dev); busy {
			t.Error("still in use after stop")
		}
	})
}

// ext4 with errors=remount-ro, shut down by the kernel as it is after a disk error.
func TestShutDownByTheKernel(t *testing.T) {
	ctx := t.Context()
	w := open(t, disk(t, "ext4"))
	w.start(t)
	const shutdown = 0x8004587d // EXT4_IOC_SHUTDOWN, fs/ext4/ext4.h
	dir, err := os.Open(w.at)
	if err != nil {
		t.Fatal(err)
	}
	err = unix.IoctlSetPointerInt(int(dir.Fd()), shutdown, 2) // without flushing the journal
	dir.Close()
	if err != nil {
		t.Skip("SKIPPED: this kernel can't shut a file system down: ", err)
	}
	if h := w.Check(ctx, kit.Deep); h.Status != cluster.Failed {
		t.Errorf("health %v, want failed", h)
	}
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	w.start(t) // and the next start replays the journal
	want(t, w.Check(ctx, kit.Deep), cluster.InService, "")
}

func TestFull(t *testing.T) {
	ctx := t.Context()
	dev := disk(t, "ext4", "-m", "0")
	fill := func(w *world, percent int) {
		t.Helper()
		path := filepath.Join(w.at, "fill")
		block := make([]byte, 128<<10)
		f, err := os.OpenFile(path, os.O_CREATE|os.O_WRONLY|os.O_APPEND, 0o600)
		if err != nil {
			t.Fatal(err)
		}
		defer f.Close()
		for {
			var s unix.Statfs_t
			if err := unix.Statfs(w.at, &s); err != nil {
				t.Fatal(err)
			}
			if int(100*(s.Blocks-s.Bfree)/s.Blocks) >= percent {
				return
			}
			if _, err := f.Write(block); err != nil {
				return
			}
		}
	}
	w := open(t, dev)
	w.start(t)
	fill(w, 91)
	h := w.Check(ctx, kit.Deep)
	want(t, h, cluster.Degraded, message.FilesystemFull)
	if !strings.Contains(h.String(), "9") || !strings.Contains(h.String(), "space") {
		t.Error(h)
	}
	want(t, w.Check(ctx, kit.Light), cluster.InService, "")
	fill(w, 100)
	want(t, w.Check(ctx, kit.Deep), cluster.Degraded, message.FilesystemFull)
	if err := w.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	strict := open(t, dev, "full.means", "failed")
	strict.start(t)
	want(t, strict.Check(ctx, kit.Deep), cluster.Failed, message.FilesystemFull)
	if err := strict.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	never := open(t, dev, "full.warning", "0", "full.error", "0", "write.check", "no")
	never.start(t)
	want(t, never.Check(ctx, kit.Deep), cluster.InService, "")
}

func TestDamage(t *testing.T) {
	ctx := t.Context()
	dev := disk(t, "ext4")
	// No root directory: e2fsck -p refuses what it can't repair safely.
	must(t, "debugfs", "-w", "-R", "clri <2>", dev)
	must(t, "debugfs", "-w", "-R", "set_super_value state 2", dev) // has errors
	w := open(t, dev)
	refused(t, w.Start(ctx, cluster.ReleasedEvicted), message.FsckFailed)
	if w.mounted(t) {
		t.Error("a damaged file system was mounted")
	}
	full := open(t, disk(t, "xfs"), "fsck", "full")
	full.start(t)
	broken := disk(t, "btrfs")
	must(t, "dd", "if=/dev/zero", "of="+broken, "bs=64k", "seek=80", "count=1000", "conv=notrunc", "status=none")
	refused(t, open(t, broken, "fsck", "full").Start(ctx, ""), message.FsckFailed)
}

// What is mounted on a disk that a daemon left is found again, also under
// another daemon's eyes.
func TestAdopt(t *testing.T) {
	ctx := t.Context()
	h := kittest.Host(t, true)
	dev := disk(t, "ext4")
	m := map[string]string{"device": dev, "mountpoint": filepath.Join(t.TempDir(), "data")}
	first := kittest.Open(t, h, Kit{}, m)
	if found, err := first.Adopt(ctx); found || err != nil {
		t.Fatal(found, err)
	}
	if err := first.Start(ctx, ""); err != nil {
		t.Fatal(err)
	}
	second := kittest.Open(t, h, Kit{}, m)
	if found, err := second.Adopt(ctx); !found || err != nil {
		t.Fatal(found, err)
	}
	want(t, second.Check(ctx, kit.Light), cluster.InService, "")
	if err := second.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if busy, _ := held(dev); busy {
		t.Error("still in use after stop")
	}
}

func TestSubvolumes(t *testing.T) {
	ctx := t.Context()
	needs(t, "btrfs")
	dev := disk(t, "btrfs")
	at := t.TempDir()
	must(t, "mount", dev, at)
	must(t, "btrfs", "subvolume", "create", at+"/a")
	must(t, "btrfs", "subvolume", "create", at+"/b")
	must(t, "umount", at)
	a, b := open(t, dev, "options", "subvol=a"), open(t, dev, "options", "subvol=b")
	a.start(t)
	b.start(t)
	want(t, a.Check(ctx, kit.Light), cluster.InService, "")
	refused(t, open(t, dev, "options", "subvol=a").Start(ctx, ""), message.MountedElsewhere)
	must(t, "mount", "--bind", a.at, a.at) // a second layer
	if err := a.Stop(ctx); err != nil {
		t.Fatal(err)
	}
	if a.mounted(t) || !b.mounted(t) {
		t.Error("stop of one subvolume must leave the other: ", a.mounted(t), b.mounted(t))
	}
}
