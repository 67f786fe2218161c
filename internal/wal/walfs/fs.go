package walfs

import (
	"errors"
	"io"
	"os"
)

// FS is a directory tree. Names are full paths.
type FS interface {
	// MkdirAll creates dir and its parents, durably.
	MkdirAll(dir string, perm os.FileMode) error
	// List returns the base names of the files in dir, sorted. A missing
	// directory is fs.ErrNotExist.
	List(dir string) ([]string, error)
	// Open opens an existing file for reading and writing.
	Open(name string) (File, error)
	// Create makes an empty file for reading and writing, readable by its owner
	// alone; an existing one loses its content.
	Create(name string) (File, error)
	// Rename replaces to by from, atomically; durable after SyncDir.
	Rename(from, to string) error
	// Remove deletes a file; durable after SyncDir.
	Remove(name string) error
	// SyncDir makes creations, renames and removals in dir durable.
	SyncDir(dir string) error
	// Lock takes name for this process until the lock is closed or the process
	// ends, however it ends. ErrLocked means that another one holds it.
	Lock(name string) (io.Closer, error)
}

// File is an open file.
type File interface {
	io.ReaderAt
	io.WriterAt
	io.Closer
	// Size is the length in bytes.
	Size() (int64, error)
	// Truncate sets the length; bytes that it adds are zero.
	Truncate(size int64) error
	// Sync makes the content and the length durable, times of the file not
	// necessarily. After an error nobody knows what is on disk: the system may
	// have dropped the data and call the next Sync a success.
	Sync() error
}

// ErrLocked means that another process holds the lock.
var ErrLocked = errors.New("held by another process")
