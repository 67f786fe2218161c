package durable

import (
	"errors"
	"fmt"
	"os"

	"golang.org/x/sys/windows"
)

// Rename moves a file over another one. MoveFileEx with write-through returns
// only when the move is on disk, which on Windows is what a directory's sync
// is elsewhere.
func Rename(from, to string) error {
	src, err := windows.UTF16PtrFromString(from)
	if err != nil {
		return err
	}
	dst, err := windows.UTF16PtrFromString(to)
	if err != nil {
		return err
	}
	err = windows.MoveFileEx(src, dst, windows.MOVEFILE_REPLACE_EXISTING|windows.MOVEFILE_WRITE_THROUGH)
	if err != nil {
		return &os.LinkError{Op: "rename", Old: from, New: to, Err: err}
	}
	return nil
}

// SyncDir flushes dir where the file system lets a directory be flushed. A
// refusal of that request isn't an error: Rename has written through already,
// and a file that was created and flushed takes its name to disk on NTFS and
// ReFS. Any other failure is one.
func SyncDir(dir string) error {
	name, err := windows.UTF16PtrFromString(dir)
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	share := uint32(windows.FILE_SHARE_READ | windows.FILE_SHARE_WRITE | windows.FILE_SHARE_DELETE)
	h, err := windows.CreateFile(name, windows.GENERIC_WRITE, share, nil,
		windows.OPEN_EXISTING, windows.FILE_FLAG_BACKUP_SEMANTICS, 0)
	if refused(err) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	err = windows.FlushFileBuffers(h)
	if cerr := windows.CloseHandle(h); err == nil {
		err = cerr
	}
	if err != nil && !refused(err) {
		return fmt.Errorf("sync directory %s: %w", dir, err)
	}
	return nil
}

// refused reports whether the file system doesn't flush directories, or not
// for us.
func refused(err error) bool {
	return errors.Is(err, windows.ERROR_ACCESS_DENIED) ||
		errors.Is(err, windows.ERROR_INVALID_FUNCTION) ||
		errors.Is(err, windows.ERROR_NOT_SUPPORTED) ||
		errors.Is(err, windows.ERROR_INVALID_HANDLE)
}
