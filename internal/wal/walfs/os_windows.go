package walfs

import (
	"errors"
	"os"
	"syscall"

	"golang.org/x/sys/windows"
)

// syncData is FlushFileBuffers, which goes through the disk's own cache.
func syncData(f *os.File) error { return windows.FlushFileBuffers(windows.Handle(f.Fd())) }

// lockOffset is beyond any content: a locked range can't be read by others,
// and the process id at the start is meant to be.
const lockOffset = 1 << 20

// lockFile locks one byte without waiting. The lock ends with the process.
func lockFile(f *os.File) error {
	at := windows.Overlapped{Offset: lockOffset}
	err := windows.LockFileEx(windows.Handle(f.Fd()),
		windows.LOCKFILE_EXCLUSIVE_LOCK|windows.LOCKFILE_FAIL_IMMEDIATELY, 0, 1, 0, &at)
	if errors.Is(err, windows.ERROR_LOCK_VIOLATION) || errors.Is(err, windows.ERROR_IO_PENDING) {
		return ErrLocked
	}
	return err
}

// NoSpace reports whether err says that the disk or the quota is full.
func NoSpace(err error) bool {
	return errors.Is(err, windows.ERROR_DISK_FULL) || errors.Is(err, windows.ERROR_HANDLE_DISK_FULL) ||
		errors.Is(err, windows.ERROR_DISK_QUOTA_EXCEEDED) || errors.Is(err, syscall.ENOSPC)
}
