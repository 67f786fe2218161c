package store

import (
	"fmt"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// file is a disk (\\.\PhysicalDriveN, or \\?\Volume…) or a file on a share,
// without the cache.
type file struct{ f *os.File }

func openDevice(path string, _ cluster.StoreKind) (device, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	h, err := windows.CreateFile(name, windows.GENERIC_READ|windows.GENERIC_WRITE,
		windows.FILE_SHARE_READ|windows.FILE_SHARE_WRITE, nil, windows.OPEN_EXISTING,
		windows.FILE_FLAG_NO_BUFFERING|windows.FILE_FLAG_WRITE_THROUGH, 0)
	if err != nil {
		return nil, fmt.Errorf("open %s: %w", path, err)
	}
	return &file{f: os.NewFile(uintptr(h), path)}, nil
}

func (d *file) readAt(b []byte, off int64) error {
	if _, err := d.f.ReadAt(b, off); err != nil {
		return fmt.Errorf("read %d bytes at %d: %w", len(b), off, err)
	}
	return nil
}

func (d *file) writeAt(b []byte, off int64) error {
	if _, err := d.f.WriteAt(b, off); err != nil {
		return fmt.Errorf("write %d bytes at %d: %w", len(b), off, err)
	}
	return nil
}

func (d *file) buffer(n int) []byte {
	b := make([]byte, n+block)
	skip := block - int(uintptr(unsafe.Pointer(&b[0]))%block)
	return b[skip : skip+n : skip+n]
}

// size of a disk isn't told by seeking; reading its last needed block is.
func (d *file) size() (int64, error) {
	b := d.buffer(block)
	last := (int64(SizeNeeded) - 1) / block * block
	if err := d.readAt(b, last); err != nil {
		return last, nil
	}
	return SizeNeeded, nil
}

func (d *file) close() error { return d.f.Close() }

func makeFile(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil || st.Size() > 0 {
		return err
	}
	zeros := make([]byte, mib)
	for off := int64(0); off < size; off += mib {
		if _, err := f.WriteAt(zeros, off); err != nil {
			return fmt.Errorf("make: %w", err)
		}
	}
	return f.Sync()
}

// StableName is the name itself: a disk's volume or drive name is chosen by the
// person.
func StableName(path string) string { return path }
