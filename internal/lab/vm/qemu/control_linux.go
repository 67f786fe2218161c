package qemu

import (
	"context"
	"errors"
	"fmt"
	"net"
	"os"
	"sync"
	"time"

	"golang.org/x/sys/unix"
)

// control is the byte stream to the guest's agent. Both hypervisors of a migration
// inherit the far end of the same socket, so the stream needs no change of
// connection. Only writing is held for the moment in which both could read: what
// the source took after its state was sent would be lost.
type control struct {
	net.Conn
	// far is the end that QEMU inherits. It is kept for the target of a migration.
	far *os.File
	// turn is held by one writer, socket while something is written, or nothing
	// may be.
	turn, socket sync.Mutex
}

func newControl() (*control, error) {
	ours, far, err := socketPair("control")
	if err != nil {
		return nil, err
	}
	return &control{Conn: ours, far: far}, nil
}

// Write waits while a migration switches over.
func (c *control) Write(b []byte) (int, error) {
	c.turn.Lock()
	defer c.turn.Unlock()
	for written := 0; ; {
		c.socket.Lock()
		n, err := c.Conn.Write(b[written:])
		c.socket.Unlock()
		written += n
		if !errors.Is(err, os.ErrDeadlineExceeded) { // by hold: go on after it
			return written, err
		}
	}
}

// hold keeps writers out until release, and waits until the source, whose guest
// stands, has taken what the guest has room for. What it leaves is the target's.
// turn returns when the source's loop has gone round.
func (c *control) hold(ctx context.Context, turn func(context.Context) error) (release func(), err error) {
	_ = c.SetWriteDeadline(time.Unix(1, 0)) // a writer may wait for a guest that doesn't read
	c.socket.Lock()
	_ = c.SetWriteDeadline(time.Time{})
	for before := -1; ; {
		left, err := unix.IoctlGetInt(int(c.far.Fd()), unix.TIOCINQ)
		if err == nil && left != 0 && left != before {
			before = left
			if err = turn(ctx); err == nil {
				continue
			}
		}
		if err != nil {
			c.socket.Unlock()
			return nil, fmt.Errorf("hold the control stream: %w", err)
		}
		return c.socket.Unlock, nil
	}
}
