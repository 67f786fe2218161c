package device

import (
	"bytes"
	"errors"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"testing"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

// newLoop makes a block device over a file.
func newLoop(t *testing.T, size int64, args ...string) (dev, file string) {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIPPED: loop devices need root")
	}
	file = newFile(t, size)
	out, err := exec.CommandContext(t.Context(), "losetup", append([]string{"--find", "--show", file}, args...)...).CombinedOutput()
	if err != nil {
		t.Skipf("SKIPPED: no loop device here: %v: %s", err, out)
	}
	dev = strings.TrimSpace(string(out))
	t.Cleanup(func() {
		if out, err := exec.Command("losetup", "--detach", dev).CombinedOutput(); err != nil && !strings.Contains(string(out), "No such device") {
			t.Errorf("detach %s: %v: %s", dev, err, out)
		}
	})
	return dev, file
}

func TestBlockDevice(t *testing.T) {
	dev, file := newLoop(t, 8<<20)
	pool := newPool(t)
	b, back := pool.Get(64<<10), pool.Get(64<<10)
	defer pool.Put(b)
	defer pool.Put(back)
	for i := range b {
		b[i] = byte(i >> 5)
	}
	for _, o := range []Options{{Engine: EngineWorkers}, {Engine: EngineAuto}} {
		d, err := Open(dev, o)
		if err != nil {
			t.Fatal(err)
		}
		if g := d.Geometry(); g.Size != 8<<20 || g.Logical != 512 || !d.Direct() {
			t.Errorf("geometry: %+v, direct %v", g, d.Direct())
		}
		if _, err := Open(dev, o); !message.Has(err, message.VolumeDeviceInUse) {
			t.Errorf("opened twice: %v", err)
		}
		if out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", dev).CombinedOutput(); err == nil {
			t.Errorf("mkfs wrote to a device that is a volume's: %s", out)
		}
		for _, r := range []*block.Request{
			{Op: block.Write, Flags: block.FUA, Offset: 1<<20 + 512, Data: b}, {Op: block.Flush},
			{Op: block.Read, Offset: 1<<20 + 512, Data: back},
		} {
			if err := block.Do(d, r); err != nil {
				t.Fatal(err)
			}
		}
		if !bytes.Equal(b, back) {
			t.Error("read other than written")
		}
		for _, f := range []block.Flags{0, block.KeepAllocated, block.FUA} {
			if err := block.Do(d, &block.Request{Op: block.Write, Offset: 1 << 20, Data: b}); err != nil {
				t.Fatal(err)
			}
			if err := block.Do(d, &block.Request{Op: block.Zero, Flags: f, Offset: 1<<20 + 4096, Length: 8192}); err != nil {
				t.Fatal(err)
			}
			if err := block.Do(d, &block.Request{Op: block.Read, Offset: 1 << 20, Data: back}); err != nil {
				t.Fatal(err)
			}
			if !bytes.Equal(back[4096:12288], make([]byte, 8192)) || !bytes.Equal(back[:4096], b[:4096]) || !bytes.Equal(back[12288:], b[12288:]) {
				t.Errorf("zeroed with flags %d: other content", f)
			}
		}
		if err := d.Close(); err != nil {
			t.Fatal(err)
		}
	}
	if _, err := Open(file, Options{}); !message.Has(err, message.VolumeDeviceInUse) || !strings.Contains(err.Error(), filepath.Base(dev)) {
		t.Errorf("a file with a loop device on it: %v", err)
	}
}

// TestMountedDevice: the message says where it is mounted.
func TestMountedDevice(t *testing.T) {
	dev, _ := newLoop(t, 8<<20)
	if out, err := exec.CommandContext(t.Context(), "mkfs.ext4", "-q", dev).CombinedOutput(); err != nil {
		t.Skipf("SKIPPED: no mkfs.ext4 here: %v: %s", err, out)
	}
	at := t.TempDir()
	if err := unix.Mount(dev, at, "ext4", 0, ""); err != nil {
		t.Skipf("SKIPPED: nothing can be mounted here: %v", err)
	}
	defer func() {
		if err := unix.Unmount(at, 0); err != nil {
			t.Error(err)
		}
	}()
	if _, err := Open(dev, Options{}); !message.Has(err, message.VolumeDeviceInUse) || !strings.Contains(err.Error(), "mounted at "+at) {
		t.Errorf("a mounted device: %v", err)
	}
	if _, err := Open(dev, Options{ReadOnly: true}); !message.Has(err, message.VolumeDeviceInUse) {
		t.Errorf("a mounted device, only to be read: %v", err)
	}
}

// TestBadBlocks: a device that fails is told from one that has gone. The file under
// a loop device is cut: reads behind its end fail, and the device is still there.
func TestBadBlocks(t *testing.T) {
	dev, file := newLoop(t, 8<<20)
	pool := newPool(t)
	b := pool.Get(4096)
	defer pool.Put(b)
	d := open(t, dev, Options{})
	if err := os.Truncate(file, 1<<20); err != nil {
		t.Fatal(err)
	}
	err := block.Do(d, &block.Request{Op: block.Read, Offset: 4 << 20, Data: b})
	if !errors.Is(err, block.ErrIO) || Vanished(err) || !strings.Contains(err.Error(), dev) {
		t.Errorf("a block that can't be read: %v", err)
	}
	if err := block.Do(d, &block.Request{Op: block.Read, Data: b}); err != nil {
		t.Errorf("a block that can: %v", err)
	}
}
