package block

import "errors"

// How requests fail. Callers decide by these; the text around them names device,
// operation and place.
var (
	// ErrIO: the device reported a failure and is still there. Whether a write
	// that failed is on it, in part or in whole, is unknown.
	ErrIO = errors.New("input/output error")
	// ErrGone: the device isn't there any more. Whether writes under way are on
	// it is unknown.
	ErrGone = errors.New("the device is gone")
	// ErrSpace: the storage below has no room for the write.
	ErrSpace = errors.New("no space left")
	// ErrRange: beyond the end. Nothing was done.
	ErrRange = errors.New("beyond the end of the device")
	// ErrAlign: not in units of the logical block size, or memory that isn't
	// aligned. Nothing was done.
	ErrAlign = errors.New("not a multiple of the block size")
	// ErrReadOnly: nothing was done.
	ErrReadOnly = errors.New("read-only")
	// ErrNotSupported: the device can't do that. Nothing was done.
	ErrNotSupported = errors.New("not supported")
	// ErrRefused: this node may not serve the volume now, because its lease or
	// its role has ended. Nothing was done.
	ErrRefused = errors.New("this node may not serve the volume")
	// ErrReserved: another initiator has reserved the volume. Nothing was done.
	ErrReserved = errors.New("reserved by another initiator")
	// ErrClosed: the device or session was closed before the request was
	// started. Nothing was done.
	ErrClosed = errors.New("closed")
)
