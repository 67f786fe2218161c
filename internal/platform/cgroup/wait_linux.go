package cgroup

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"syscall"
	"time"

	"golang.org/x/sys/unix"
)

// past is a deadline that is over.
var past = time.Unix(1, 0)

// slice bounds one wait in the kernel, so that a cancelled context is seen and
// a lost notification costs little (20 ms).
const slice = 20 * time.Millisecond

// await returns when a key of cgroup.events has a value, or the group is gone
// and the value means nothing more. The kernel raises POLLPRI on a change.
func (g Group) await(ctx context.Context, key, want string) error {
	f, err := os.Open(filepath.Join(g.path, "cgroup.events"))
	if vanished(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("wait for the group %s: %w", g.path, err)
	}
	defer f.Close()
	buf := make([]byte, 256)
	for {
		n, err := f.ReadAt(buf, 0)
		if vanished(err) {
			return nil
		}
		if n == 0 {
			return fmt.Errorf("wait for the group %s: %w", g.path, err)
		}
		if v, err := valueOf(buf[:n], key); err != nil || v == want {
			return err
		}
		if ctx.Err() != nil {
			return fmt.Errorf("wait until the group %s has %s %s: %w", g.path, key, want, ctx.Err())
		}
		p := []unix.PollFd{{Fd: int32(f.Fd()), Events: unix.POLLPRI}}
		if _, err := unix.Poll(p, int(slice/time.Millisecond)); err != nil && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("wait for the group %s: %w", g.path, err)
		}
	}
}

// vanished reports whether an error means that the group was removed.
func vanished(err error) bool {
	return errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ENODEV)
}
