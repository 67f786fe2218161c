package cgroup

import (
	"context"
	"fmt"
	"os"
	"path/filepath"

	"golang.org/x/sys/unix"
)

// Empty returns when no process lives in the group any more, however long that
// takes. No thread is blocked meanwhile: the kernel's notification comes by
// inotify into the runtime's poller.
func (g Group) Empty(ctx context.Context) error {
	fd, err := unix.InotifyInit1(unix.IN_CLOEXEC | unix.IN_NONBLOCK)
	if err != nil {
		return fmt.Errorf("watch the group %s: %w", g.path, err)
	}
	notes := os.NewFile(uintptr(fd), "inotify")
	defer notes.Close()
	events := filepath.Join(g.path, "cgroup.events")
	if _, err := unix.InotifyAddWatch(fd, events, unix.IN_MODIFY|unix.IN_DELETE_SELF); err != nil {
		if vanished(err) {
			return nil
		}
		return fmt.Errorf("watch %s: %w", events, err)
	}
	stop := context.AfterFunc(ctx, func() { notes.SetReadDeadline(past) })
	defer stop()
	buf := make([]byte, 4096)
	for {
		if lives, err := g.Populated(); err != nil || !lives {
			return err
		}
		if _, err := notes.Read(buf); err != nil {
			if ctx.Err() != nil {
				return ctx.Err()
			}
			return fmt.Errorf("watch %s: %w", events, err)
		}
	}
}
