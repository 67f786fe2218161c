package wal

import (
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strconv"
	"strings"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

const (
	lockName       = "LOCK"
	segmentSuffix  = ".wal"
	snapshotSuffix = ".snap"
	tempSuffix     = ".tmp"

	// maxSegment bounds a segment file, in bytes. Only a checkpoint with a
	// great many entries is larger than the usual size.
	maxSegment = 1 << 30
)

func segmentName(n uint64) string  { return fmt.Sprintf("%016x%s", n, segmentSuffix) }
func snapshotName(n uint64) string { return fmt.Sprintf("%016x%s", n, snapshotSuffix) }

// files are the log's own files in its directory; others are left alone.
type files struct {
	segments  []uint64 // ascending
	snapshots []uint64
	leftovers []string // unfinished files
}

func listFiles(fsys FS, dir string) (files, error) {
	names, err := fsys.List(dir)
	if err != nil && !errors.Is(err, fs.ErrNotExist) {
		return files{}, fmt.Errorf("list log directory: %w", err)
	}
	var f files
	for _, name := range names { // sorted, and so are fixed-width numbers
		base, temp := strings.CutSuffix(name, tempSuffix)
		segment, isSegment := number(base, segmentSuffix)
		snapshot, isSnapshot := number(base, snapshotSuffix)
		switch {
		case temp && (isSegment || isSnapshot):
			f.leftovers = append(f.leftovers, name)
		case isSegment:
			f.segments = append(f.segments, segment)
		case isSnapshot:
			f.snapshots = append(f.snapshots, snapshot)
		}
	}
	return f, nil
}

func number(name, suffix string) (uint64, bool) {
	digits, ok := strings.CutSuffix(name, suffix)
	if !ok || len(digits) != 16 || digits != strings.ToLower(digits) {
		return 0, false
	}
	n, err := strconv.ParseUint(digits, 16, 64)
	return n, err == nil
}

// readFile reads a whole file of the log. One that is missing or larger than
// any the log writes is damage.
func readFile(fsys FS, path string, limit int64) (_ []byte, err error) {
	f, err := fsys.Open(path)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, &CorruptError{path, 0, "the file is missing"}
	}
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return nil, fmt.Errorf("read log: %w", err)
	}
	if size > limit {
		return nil, &CorruptError{path, limit, fmt.Sprintf("the file has %d bytes, no more than %d are possible", size, limit)}
	}
	b := make([]byte, size)
	if n, err := f.ReadAt(b, 0); err != nil && (err != io.EOF || n < len(b)) {
		return nil, fmt.Errorf("read log: %w", err)
	}
	return b, nil
}

// newFile writes a file that is either whole and durable under its name or not
// there. If the disk is full, or the file can't be made, the log is unchanged
// and usable; any other failure stops it.
func (l *Log) newFile(name string, content []byte) error {
	temp := l.path(name + tempSuffix)
	if err := l.writeTemp(temp, content); err != nil {
		l.fs.Remove(temp)
		return err
	}
	if err := l.fs.Rename(temp, l.path(name)); err != nil {
		return l.fail("rename", l.path(name), err)
	}
	if err := l.fs.SyncDir(l.dir); err != nil {
		return l.fail("sync directory of", l.path(name), err)
	}
	return nil
}

func (l *Log) writeTemp(temp string, content []byte) error {
	f, err := l.fs.Create(temp)
	if err != nil {
		return l.newFileError(temp, content, err)
	}
	if _, err := f.WriteAt(content, 0); err != nil {
		f.Close()
		return l.newFileError(temp, content, err)
	}
	err = f.Sync()
	if cerr := f.Close(); err == nil {
		err = cerr
	}
	if err != nil && !walfs.NoSpace(err) {
		return l.fail("sync", temp, err)
	}
	if err != nil {
		return l.newFileError(temp, content, err)
	}
	return nil
}

func (l *Log) newFileError(temp string, content []byte, err error) error {
	if walfs.NoSpace(err) {
		return &FullError{Dir: l.dir, Bytes: int64(len(content)), Err: err}
	}
	return fmt.Errorf("create log file %s: %w; the log is unchanged", temp, err)
}

// removeAll deletes files that nothing refers to any more. A failure is passed
// over: the next Compact or Open meets them again.
func (l *Log) removeAll(names []string) {
	for _, name := range names {
		l.fs.Remove(l.path(name))
	}
}

func lockError(dir string, err error) error {
	if errors.Is(err, walfs.ErrLocked) {
		return fmt.Errorf("open log in %s: %w: %w: stop the other process first", dir, ErrLocked, err)
	}
	return fmt.Errorf("open log in %s: %w", dir, err)
}
