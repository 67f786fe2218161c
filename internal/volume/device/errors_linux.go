package device

import (
	"errors"
	"fmt"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/volume/block"
)

// failure is how an operation on a device ended, for people, with the error of
// package block that callers decide by.
type failure struct {
	what  string
	kind  error
	cause error
}

func (f *failure) Error() string   { return fmt.Sprintf("%s: %v: %v", f.what, f.kind, f.cause) }
func (f *failure) Unwrap() []error { return []error{f.kind, f.cause} }

// failed gives the system's error its meaning.
func (h *handle) failed(r *block.Request, err error) error {
	return &failure{fmt.Sprintf("%v %d bytes at %d of %s", r.Op, r.Size(), r.Offset, h.path), h.kind(err), err}
}

// kind tells a device that fails from one that is gone. A disk that was pulled
// out answers EIO as a bad sector does, so it is looked for.
func (h *handle) kind(err error) error {
	if errors.Is(err, errShort) {
		return block.ErrGone
	}
	var errno unix.Errno
	if !errors.As(err, &errno) {
		return block.ErrIO
	}
	switch errno {
	case unix.ENXIO, unix.ENODEV, unix.ENOMEDIUM, unix.ESTALE, unix.ESHUTDOWN, unix.EBADF:
		return block.ErrGone
	case unix.ENOSPC, unix.EDQUOT, unix.EFBIG:
		return block.ErrSpace
	case unix.EOPNOTSUPP:
		return block.ErrNotSupported
	case unix.EROFS, unix.EPERM, unix.EACCES:
		return block.ErrReadOnly
	case unix.EINVAL:
		return block.ErrAlign
	}
	if h.block && !h.exists() {
		return block.ErrGone
	}
	return block.ErrIO
}
