package qemu

import (
	"bytes"
	"context"
	"errors"
	"io"
	"sync"
	"testing"

	"golang.org/x/sys/unix"
)

// TestHold: a writer that waits for a guest which doesn't read is let go by hold
// and goes on after it, and not a byte is lost or sent twice.
func TestHold(t *testing.T) {
	c, err := newControl()
	if err != nil {
		t.Fatal(err)
	}
	sent := make([]byte, 4<<20) // more than a socket keeps
	for i := range sent {
		sent[i] = byte(i % 251)
	}
	var wait sync.WaitGroup
	wait.Go(func() {
		if n, err := c.Write(sent); n != len(sent) || err != nil {
			t.Errorf("written %d, %v", n, err)
		}
	})
	queued := func() int {
		n, err := unix.IoctlGetInt(int(c.far.Fd()), unix.TIOCINQ)
		if err != nil {
			t.Fatal(err)
		}
		return n
	}
	for queued() == 0 {
	}
	turns := 0
	release, err := c.hold(t.Context(), func(context.Context) error { turns++; return nil })
	if err != nil || turns == 0 {
		t.Fatalf("%d turns, %v", turns, err)
	}
	before := queued()
	if after := queued(); after != before {
		t.Errorf("held, and %d bytes became %d", before, after)
	}
	release()
	got := make([]byte, len(sent))
	if _, err := io.ReadFull(c.far, got); err != nil || !bytes.Equal(got, sent) {
		t.Errorf("what came is not what was sent (%v)", err)
	}
	wait.Wait()

	if _, err := c.Write([]byte("x")); err != nil {
		t.Fatal(err)
	}
	broken := errors.New("broken")
	if _, err := c.hold(t.Context(), func(context.Context) error { return broken }); !errors.Is(err, broken) {
		t.Errorf("hold: %v", err)
	}
	if _, err := c.Write([]byte("x")); err != nil {
		t.Error("a hold that failed holds")
	}
	c.far.Close()
	c.Close()
}
