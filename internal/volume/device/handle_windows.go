package device

import (
	"errors"
	"fmt"
	"io"
	"os"
	"unsafe"

	"golang.org/x/sys/windows"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

// handle is the open file, disk (\\.\PhysicalDriveN) or volume (\\.\X:). Windows
// has no write that is durable by itself on a handle that isn't so as a whole: a
// write with FUA is followed by a flush.
type handle struct {
	f        *os.File
	path     string
	readOnly bool
	direct   bool
}

func openHandle(path string, o Options) (*handle, block.Geometry, error) {
	name, err := windows.UTF16PtrFromString(path)
	if err != nil {
		return nil, block.Geometry{}, message.New(message.VolumeDeviceUnusable, path, err).Wrap(err)
	}
	access, flags := uint32(windows.GENERIC_READ|windows.GENERIC_WRITE), uint32(windows.FILE_FLAG_NO_BUFFERING)
	if o.ReadOnly {
		access = windows.GENERIC_READ
	}
	if o.Buffered {
		flags = windows.FILE_ATTRIBUTE_NORMAL
	}
	// Nothing is shared: another open handle makes it fail, and later ones fail.
	w, err := windows.CreateFile(name, access, 0, nil, windows.OPEN_EXISTING, flags, 0)
	switch {
	case errors.Is(err, windows.ERROR_SHARING_VIOLATION), errors.Is(err, windows.ERROR_ACCESS_DENIED):
		return nil, block.Geometry{}, message.New(message.VolumeDeviceInUse, path, err).Wrap(err)
	case err != nil:
		return nil, block.Geometry{}, message.New(message.VolumeDeviceUnusable, path, err).Wrap(err)
	}
	h := &handle{f: os.NewFile(uintptr(w), path), path: path, readOnly: o.ReadOnly, direct: !o.Buffered}
	g, err := h.measure()
	if err != nil {
		_ = h.close()
		return nil, g, message.New(message.VolumeDeviceUnusable, path, err).Wrap(err)
	}
	return h, g, nil
}

func (h *handle) close() error { return h.f.Close() }

// ioctlDiskGetLengthInfo is IOCTL_DISK_GET_LENGTH_INFO of winioctl.h.
const ioctlDiskGetLengthInfo = 0x7405c

func (h *handle) measure() (block.Geometry, error) {
	g := block.Geometry{Logical: 4096, Physical: 4096, MemoryAlign: 4096, ReadOnly: h.readOnly}
	var size int64
	var n uint32
	err := windows.DeviceIoControl(windows.Handle(h.f.Fd()), ioctlDiskGetLengthInfo, nil, 0, (*byte)(unsafe.Pointer(&size)), 8, &n, nil)
	if err != nil { // a file
		info, err := h.f.Stat()
		if err != nil {
			return g, err
		}
		size = info.Size()
	}
	g.Size = size / int64(g.Logical) * int64(g.Logical)
	return g, nil
}

func (h *handle) perform(r *block.Request) error {
	var err error
	switch r.Op {
	case block.Read:
		_, err = h.f.ReadAt(r.Data, r.Offset)
	case block.Write:
		_, err = h.f.WriteAt(r.Data, r.Offset)
	case block.Flush:
		err = h.f.Sync()
	case block.Discard:
		return block.ErrNotSupported
	case block.Zero:
		if r.Flags&block.Fast != 0 {
			return block.ErrNotSupported
		}
		err = h.writeZeroes(r.Offset, r.Length)
	}
	if err == nil && r.Op.Changes() && r.Flags&block.FUA != 0 {
		err = h.f.Sync()
	}
	if err != nil {
		return fmt.Errorf("%v %d bytes at %d of %s: %w: %w", r.Op, r.Size(), r.Offset, h.path, kind(err), err)
	}
	return nil
}

var zeroes = func() []byte {
	b := make([]byte, 1<<20+block.Unit)
	skip := int(-uintptr(unsafe.Pointer(&b[0])) & (block.Unit - 1))
	return b[skip : skip+1<<20]
}()

func (h *handle) writeZeroes(at, n int64) error {
	for n > 0 {
		part := min(n, int64(len(zeroes)))
		if _, err := h.f.WriteAt(zeroes[:part], at); err != nil {
			return err
		}
		at, n = at+part, n-part
	}
	return nil
}

// kind tells a device that fails from one that is gone.
func kind(err error) error {
	for _, gone := range []error{io.EOF, windows.ERROR_DEV_NOT_EXIST, windows.ERROR_DEVICE_NOT_CONNECTED, windows.ERROR_DEVICE_REMOVED, windows.ERROR_NO_MEDIA_IN_DRIVE, windows.ERROR_FILE_INVALID} {
		if errors.Is(err, gone) {
			return block.ErrGone
		}
	}
	switch {
	case errors.Is(err, windows.ERROR_DISK_FULL), errors.Is(err, windows.ERROR_HANDLE_DISK_FULL):
		return block.ErrSpace
	case errors.Is(err, windows.ERROR_WRITE_PROTECT):
		return block.ErrReadOnly
	}
	return block.ErrIO
}
