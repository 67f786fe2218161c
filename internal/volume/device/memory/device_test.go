package memory

import (
	"bytes"
	"errors"
	"testing"

	"github.com/perdure-ha/perdure/internal/volume/block"
)

func write(t *testing.T, d *Device, at int64, c byte, flags block.Flags) {
	t.Helper()
	r := &block.Request{Op: block.Write, Offset: at, Flags: flags, Data: bytes.Repeat([]byte{c}, 1024)}
	if err := block.Do(d, r); err != nil {
		t.Fatal(err)
	}
}

// TestCrash: what was synced is always there, what wasn't is there, lost or torn:
// each of the three under some seed.
func TestCrash(t *testing.T) {
	d := New(1<<16, 512)
	write(t, d, 0, 'a', 0)
	if err := block.Do(d, &block.Request{Op: block.Flush}); err != nil {
		t.Fatal(err)
	}
	write(t, d, 4096, 'o', 0)
	write(t, d, 4096, 'f', block.FUA)
	write(t, d, 8192, 'u', 0)
	seen := make(map[string]bool)
	for seed := range int64(64) {
		c := d.Crash(seed).Content()
		if c[0] != 'a' || c[1023] != 'a' || c[4096] != 'f' || c[5119] != 'f' {
			t.Fatalf("seed %d: a synced write is lost", seed)
		}
		seen[string([]byte{c[8192], c[8192+1023]})] = true
	}
	for _, want := range []string{"uu", "\x00\x00", "u\x00", "\x00u"} {
		if !seen[want] {
			t.Errorf("no seed leaves the unsynced write as %q", want)
		}
	}
}

func TestFaults(t *testing.T) {
	d := New(1<<16, 512)
	d.Fail(func(r *block.Request) error {
		if r.Op == block.Flush {
			return block.ErrIO
		}
		return nil
	})
	if err := block.Do(d, &block.Request{Op: block.Flush}); !errors.Is(err, block.ErrIO) {
		t.Errorf("a flush that was to fail: %v", err)
	}
	write(t, d, 0, 'x', 0)
	d.Hold()
	ended := 0
	r := &block.Request{Op: block.Zero, Length: 512, Done: func(*block.Request) { ended++ }}
	d.Submit([]*block.Request{r})
	if ended != 0 || d.Held() != 1 {
		t.Errorf("an operation that is held has ended")
	}
	d.Release(nil)
	if ended != 1 || d.Content()[0] != 0 {
		t.Errorf("an operation that was released isn't done")
	}
	d.Vanish()
	if err := block.Do(d, &block.Request{Op: block.Read, Data: make([]byte, 512)}); !errors.Is(err, block.ErrGone) {
		t.Errorf("a device that vanished: %v", err)
	}
}
