package wal

import (
	"fmt"
	"io"
	"path/filepath"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
	"go.etcd.io/raft/v3/raftpb"
)

// FS and File are the file system that a log lives on; walfs.OS() is the real
// one.
type (
	FS   = walfs.FS
	File = walfs.File
)

// Update is what one Save makes durable, all of it or nothing.
type Update struct {
	HardState *raftpb.HardState // nil or empty: unchanged
	// Entries follow each other, and the log or an entry in it: those with the
	// same and later indices are replaced.
	Entries []*raftpb.Entry
	// Snapshot, if not nil or empty, covers all entries up to its index. If the
	// log has the very entry that it ends with, later entries stay; otherwise
	// it came from the leader and replaces the log.
	Snapshot *raftpb.Snapshot
	// Local, if not nil, replaces the node's own state, such as the arbiter's
	// promises.
	Local []byte
	// Sync is raft's MustSync. Without it an update that only moves the commit
	// index is written but not waited for; anything else is synced all the
	// same, and takes all before it to disk.
	Sync bool
}

// Contents are what a log holds.
type Contents struct {
	HardState *raftpb.HardState // nil: none was saved
	Snapshot  *raftpb.Snapshot  // nil: none was saved
	Entries   []*raftpb.Entry   // from the one after the snapshot, without gaps
	Local     []byte            // nil: none was saved
}

// Stats are figures for status pages and for the choice of when to compact.
type Stats struct {
	Segments int    // files; Compact makes it 1
	Snapshot uint64 // index of the latest snapshot
	Last     uint64 // index of the last entry or of the snapshot
	Saves    uint64 // records written since the log was opened
	Syncs    uint64 // syncs of records since then
}

// Log is an open log. It has one user at a time.
type Log struct {
	fs          FS
	dir         string
	id          Identity
	lock        io.Closer
	segmentSize int64

	segments []uint64 // numbers, the last one is active
	active   File
	mark     uint32 // checksum of the active segment's header
	off      int64  // where the next record goes
	size     int64  // of the active segment's file
	next     uint64 // sequence number of the next record
	durable  uint64 // all records up to this one are on disk
	history  history
	buf      []byte
	stats    Stats
	failed   error // why the log takes nothing more
}

// segmentSize is the usual size of a segment file, in bytes: 255 small saves.
// It is written in full beforehand, which on a slow disk takes some 10 ms.
const segmentSize = 1 << 20

// Create makes a new log in dir, which is created if missing, and opens it.
func Create(fs FS, dir string, id Identity) (*Log, error) { return create(fs, dir, id, segmentSize) }

// Open opens the log in dir and returns what it holds. Everything returned is
// on disk, whatever happened to the process that wrote it.
func Open(fs FS, dir string, id Identity) (*Log, Contents, error) {
	return open(fs, dir, id, segmentSize)
}

func create(fs FS, dir string, id Identity, segmentSize int64) (_ *Log, err error) {
	if err := id.check(); err != nil {
		return nil, fmt.Errorf("create log in %s: %w", dir, err)
	}
	if err := fs.MkdirAll(dir, 0o700); err != nil {
		return nil, fmt.Errorf("create log: %w", err)
	}
	l, err := locked(fs, dir, id, segmentSize)
	if err != nil {
		return nil, err
	}
	defer func() {
		if err != nil {
			l.lock.Close()
		}
	}()
	files, err := listFiles(fs, dir)
	if err != nil {
		return nil, err
	}
	if len(files.segments)+len(files.snapshots) > 0 {
		return nil, fmt.Errorf("create log in %s: %w", dir, ErrExists)
	}
	l.removeAll(files.leftovers)
	l.next = 1
	first, err := l.checkpoint(1, state{})
	if err != nil {
		return nil, err
	}
	if err := l.start(first); err != nil {
		return nil, err
	}
	return l, nil
}

// locked returns a log that has only the lock.
func locked(fs FS, dir string, id Identity, segmentSize int64) (*Log, error) {
	l := &Log{fs: fs, dir: dir, id: id, segmentSize: segmentSize}
	lock, err := fs.Lock(l.path(lockName))
	if err != nil {
		return nil, lockError(dir, err)
	}
	l.lock = lock
	return l, nil
}

// Stats returns the log's figures.
func (l *Log) Stats() Stats {
	s := l.stats
	s.Segments, s.Snapshot, s.Last = len(l.segments), l.history.base(), l.history.last()
	return s
}

// Close syncs what a Save without Sync left, and gives the directory free.
// A second Close does nothing.
func (l *Log) Close() error {
	if l.lock == nil {
		return nil
	}
	var err error
	if l.failed == nil {
		err = l.sync()
	}
	if cerr := l.active.Close(); err == nil {
		err = cerr
	}
	if cerr := l.lock.Close(); err == nil {
		err = cerr
	}
	l.lock = nil
	if l.failed == nil {
		l.failed = ErrClosed
	}
	return err
}

func (l *Log) path(name string) string { return filepath.Join(l.dir, name) }

// fail stops the log: from here on nobody knows what is on disk.
func (l *Log) fail(act, file string, err error) error {
	l.failed = &DeadError{File: file, Act: act, Err: err}
	return l.failed
}
