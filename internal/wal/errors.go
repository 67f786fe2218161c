package wal

import (
	"errors"
	"fmt"
)

var (
	// ErrCorrupt means that something this node has acknowledged can't be read
	// back. Every such error is a *CorruptError.
	ErrCorrupt = errors.New("log is damaged")
	// ErrNoLog means that the directory holds no log.
	ErrNoLog = errors.New("no log here")
	// ErrExists means that the directory holds a log already.
	ErrExists = errors.New("a log is here already")
	// ErrForeign means that the log belongs to another cluster or node.
	ErrForeign = errors.New("log of another node")
	// ErrNewer means that a later release wrote the log.
	ErrNewer = errors.New("log of a newer release")
	// ErrLocked means that another process uses the log.
	ErrLocked = errors.New("log is in use")
	// ErrFull means that the disk is full. Every such error is a *FullError;
	// the log is as it was before the call and usable when there is space.
	ErrFull = errors.New("disk is full")
	// ErrDead means that the disk failed so that nobody knows what is on it.
	// Every such error is a *DeadError, and the log returns it from then on.
	ErrDead = errors.New("log stopped after a disk error")
	// ErrClosed means that the log was closed.
	ErrClosed = errors.New("log is closed")
	// ErrInvalid means that an update contradicts the log or exceeds its
	// bounds: a mistake of the caller. Nothing was written.
	ErrInvalid = errors.New("update doesn't fit the log")
)

// CorruptError says where acknowledged state is damaged.
type CorruptError struct {
	File   string
	Offset int64 // of the record or header, in bytes
	Reason string
}

func (e *CorruptError) Error() string {
	return fmt.Sprintf("log file %s is damaged at offset %d: %s; what this node has acknowledged may be lost, so it must not go on "+
		"with this state: keep the directory for analysis, remove the node from the cluster and join it again as a new one",
		e.File, e.Offset, e.Reason)
}

func (e *CorruptError) Is(target error) bool { return target == ErrCorrupt }

// FullError says how much space a write wanted.
type FullError struct {
	Dir   string
	Bytes int64
	Err   error
}

func (e *FullError) Error() string {
	return fmt.Sprintf("no space for %d more bytes in %s: %v; nothing acknowledged is lost, free some space and the log goes on",
		e.Bytes, e.Dir, e.Err)
}

func (e *FullError) Is(target error) bool { return target == ErrFull }
func (e *FullError) Unwrap() error        { return e.Err }

// DeadError says which operation failed.
type DeadError struct {
	File string
	Act  string
	Err  error
}

func (e *DeadError) Error() string {
	return fmt.Sprintf("%s log file %s: %v; what reached the disk is unknown, so the log takes nothing more: "+
		"check the disk, then start the node again", e.Act, e.File, e.Err)
}

func (e *DeadError) Is(target error) bool { return target == ErrDead }
func (e *DeadError) Unwrap() error        { return e.Err }
