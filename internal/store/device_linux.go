package store

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// file is a block device or a file, without the page cache.
type file struct{ f *os.File }

// openDevice opens with O_DIRECT, so that another node's writes are seen and
// this one's are not kept back.
func openDevice(path string, kind cluster.StoreKind) (device, error) {
	f, err := os.OpenFile(path, os.O_RDWR|unix.O_DIRECT|unix.O_DSYNC, 0)
	if errors.Is(err, unix.EINVAL) {
		return nil, fmt.Errorf("open %s: its file system has no O_DIRECT, so that nodes wouldn't see each other's writes: %w", path, err)
	}
	if err != nil {
		return nil, fmt.Errorf("open: %w", err)
	}
	st, err := f.Stat()
	if err == nil {
		switch isDisk := st.Mode()&os.ModeDevice != 0 && st.Mode()&os.ModeCharDevice == 0; {
		case kind == cluster.StoreDisk && !isDisk:
			err = fmt.Errorf("%s is no block device: use kind file for a file on a share", path)
		case kind == cluster.StoreFile && !st.Mode().IsRegular():
			err = fmt.Errorf("%s is no file: use kind disk for a block device", path)
		}
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return &file{f: f}, nil
}

func (d *file) readAt(b []byte, off int64) error {
	if _, err := d.f.ReadAt(b, off); err != nil {
		return fmt.Errorf("read %d bytes at %d: %w", len(b), off, err)
	}
	return nil
}

// writeAt is durable when it returns: RWF_DSYNC is FUA or a flush, as the device
// has it.
func (d *file) writeAt(b []byte, off int64) error {
	for {
		n, err := unix.Pwritev2(int(d.f.Fd()), [][]byte{b}, off, unix.RWF_DSYNC)
		switch {
		case errors.Is(err, unix.EINTR):
			continue
		case errors.Is(err, unix.EOPNOTSUPP): // O_DSYNC of the open file does it
			n, err = d.f.WriteAt(b, off)
		}
		if err == nil && n != len(b) {
			err = errors.New("short write")
		}
		if err != nil {
			return fmt.Errorf("write %d bytes at %d: %w", len(b), off, err)
		}
		return nil
	}
}

// buffer is aligned as O_DIRECT wants it.
func (d *file) buffer(n int) []byte {
	b := make([]byte, n+block)
	skip := block - int(uintptr(unsafe.Pointer(&b[0]))%block)
	return b[skip : skip+n : skip+n]
}

func (d *file) size() (int64, error) {
	n, err := d.f.Seek(0, 2)
	if err != nil {
		return 0, fmt.Errorf("size: %w", err)
	}
	return n, nil
}

func (d *file) close() error { return d.f.Close() }

// makeFile makes a file of zeros that has all its blocks.
func makeFile(path string, size int64) error {
	f, err := os.OpenFile(path, os.O_RDWR|os.O_CREATE, 0o600)
	if err != nil {
		return fmt.Errorf("make: %w", err)
	}
	defer f.Close()
	st, err := f.Stat()
	if err != nil {
		return fmt.Errorf("make: %w", err)
	}
	if st.Size() > 0 {
		return nil // whether it may be used is looked at later
	}
	// Blocks that a file doesn't have yet could be missing when they are needed.
	if unix.Fallocate(int(f.Fd()), 0, 0, size) == nil {
		return nil
	}
	zeros := make([]byte, mib)
	for off := int64(0); off < size; off += mib {
		if _, err := f.WriteAt(zeros, off); err != nil {
			return fmt.Errorf("make: %w", err)
		}
	}
	if err := f.Sync(); err != nil {
		return fmt.Errorf("make: %w", err)
	}
	return nil
}

// StableName finds the name of a disk that it keeps over reboots and on every
// node; the name itself if there is none.
func StableName(path string) string {
	const byID = "/dev/disk/by-id"
	target, err := filepath.EvalSymlinks(path)
	if err != nil || strings.HasPrefix(path, "/dev/disk/by-") || strings.HasPrefix(path, "/dev/mapper/") {
		return path
	}
	links, err := os.ReadDir(byID)
	if err != nil {
		return path
	}
	best := ""
	for _, l := range links {
		name := filepath.Join(byID, l.Name())
		// wwn- and scsi- come from the disk itself, in this order of worth.
		if t, err := filepath.EvalSymlinks(name); err == nil && t == target && (best == "" || strings.HasPrefix(l.Name(), "wwn-")) {
			best = name
		}
	}
	if best == "" {
		return path
	}
	return best
}
