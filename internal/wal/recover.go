package wal

import (
	"bytes"
	"errors"
	"fmt"
	"path/filepath"
	"slices"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

// open reads the log, brings it to a state that is known to be on disk, and
// only then tidies up. Until the reading has found no fault nothing is
// changed, so that a damaged log can be analysed.
func open(fs FS, dir string, id Identity, segmentSize int64) (_ *Log, _ Contents, err error) {
	if err := id.check(); err != nil {
		return nil, Contents{}, fmt.Errorf("open log in %s: %w", dir, err)
	}
	// Before the lock, which would leave a file where no log is.
	if found, err := listFiles(fs, dir); err != nil {
		return nil, Contents{}, err
	} else if len(found.segments)+len(found.snapshots) == 0 {
		return nil, Contents{}, fmt.Errorf("open log in %s: %w: start a cluster here or join one first", dir, ErrNoLog)
	}
	l, err := locked(fs, dir, id, segmentSize)
	if err != nil {
		return nil, Contents{}, err
	}
	defer func() {
		if err != nil {
			l.lock.Close()
		}
	}()
	r, err := replay(fs, dir, id)
	if err != nil {
		return nil, Contents{}, fmt.Errorf("open log in %s: %w", dir, err)
	}
	contents, err := r.contents(fs, dir, id)
	if err != nil {
		return nil, Contents{}, fmt.Errorf("open log in %s: %w", dir, err)
	}
	if err := l.resume(r); err != nil {
		return nil, Contents{}, fmt.Errorf("open log in %s: %w", dir, err)
	}
	l.clean()
	return l, contents, nil
}

// replayed is what reading the segments gave.
type replayed struct {
	history  history
	segments []uint64
	last     []byte // content of the last segment's file
	tail     tail   // its end
}

// replay reads the segments from the latest checkpoint on.
func replay(fs FS, dir string, id Identity) (*replayed, error) {
	found, err := listFiles(fs, dir)
	if err != nil {
		return nil, err
	}
	base, err := findBase(fs, dir, found.segments, id)
	if err != nil {
		return nil, err
	}
	r := &replayed{segments: found.segments[base:]}
	for i, n := range r.segments {
		if err := r.read(fs, filepath.Join(dir, segmentName(n)), id, i == 0, i == len(r.segments)-1); err != nil {
			return nil, err
		}
	}
	return r, nil
}

// findBase returns the position of the latest segment that begins with a
// checkpoint. Those before it are leftovers of a compaction.
func findBase(fs FS, dir string, segments []uint64, id Identity) (int, error) {
	for i := len(segments) - 1; i >= 0; i-- {
		path := filepath.Join(dir, segmentName(segments[i]))
		h, err := readFileHeader(fs, path, id)
		if err != nil {
			return 0, err
		}
		switch {
		case h.a != segments[i] || h.b == 0:
			return 0, &CorruptError{path, 0, fmt.Sprintf("its header is that of segment %d, first record %d", h.a, h.b)}
		case h.flags&flagCheckpoint != 0:
			return i, nil
		case i == 0 || segments[i-1] != segments[i]-1:
			return 0, &CorruptError{filepath.Join(dir, segmentName(segments[i]-1)), 0, "the file is missing"}
		}
	}
	return 0, &CorruptError{filepath.Join(dir, segmentName(1)), 0, "all segment files are missing"}
}

func readFileHeader(fs FS, path string, id Identity) (fileHeader, error) {
	f, err := fs.Open(path)
	if err != nil {
		return fileHeader{}, fmt.Errorf("read log: %w", err)
	}
	defer f.Close()
	size, err := f.Size()
	if err != nil {
		return fileHeader{}, fmt.Errorf("read log: %w", err)
	}
	b := make([]byte, min(size, headerSize))
	if n, err := f.ReadAt(b, 0); n < len(b) {
		return fileHeader{}, fmt.Errorf("read log: %w", err)
	}
	return decodeFileHeader(path, b, segmentMagic, id)
}

// read takes in one segment. Only the last one may end in a torn tail: the
// next one is begun after all before it was synced.
func (r *replayed) read(fs FS, path string, id Identity, first, last bool) error {
	b, err := readFile(fs, path, maxSegment)
	if err != nil {
		return err
	}
	h, err := decodeFileHeader(path, b, segmentMagic, id)
	if err != nil {
		return err
	}
	if !first && h.b != r.tail.next {
		return &CorruptError{path, 0, fmt.Sprintf("it begins with record %d, the segment before it ends before record %d", h.b, r.tail.next)}
	}
	r.last = b
	r.tail, err = readRecords(path, b, h, func(off int64, rec recordHeader, payload []byte) error {
		return r.take(path, off, rec, payload, first && rec.sequence == h.b)
	})
	if err != nil {
		return err
	}
	if r.tail.torn != "" && !last {
		return &CorruptError{path, r.tail.off, r.tail.torn + "; the next segment shows that it was on disk"}
	}
	if first && r.tail.next == h.b {
		return &CorruptError{path, blockSize, "the checkpoint that the segment begins with is missing"}
	}
	return nil
}

// take applies one record.
func (r *replayed) take(path string, off int64, rec recordHeader, payload []byte, begins bool) error {
	if begins != (rec.kind == recordCheckpoint) {
		return &CorruptError{path, off, fmt.Sprintf("record %d of type %d isn't allowed there", rec.sequence, rec.kind)}
	}
	s, err := decodeState(payload)
	if errors.Is(err, ErrNewer) {
		return fmt.Errorf("log file %s, record at offset %d: %w: start the release that wrote it", path, off, err)
	}
	if err == nil {
		err = r.history.check(s)
	}
	if err != nil {
		return &CorruptError{path, off, fmt.Sprintf("record %d: %v", rec.sequence, err)}
	}
	r.history.apply(s)
	return nil
}

// contents are what the caller gets; nothing in them is shared with the log.
func (r *replayed) contents(fs FS, dir string, id Identity) (Contents, error) {
	var c Contents
	h := &r.history
	if h.snapshot != nil {
		s, err := readSnapshot(fs, filepath.Join(dir, snapshotName(h.snapshot.file)), h.snapshot, id)
		if err != nil {
			return c, err
		}
		c.Snapshot = s
	}
	if h.hard != nil {
		// A snapshot holds committed state only, so it can't be ahead.
		c.HardState = hardState(h.hard.GetTerm(), h.hard.GetVote(), max(h.hard.GetCommit(), h.base()))
	}
	for _, e := range h.tail {
		c.Entries = append(c.Entries, e.entry)
	}
	if h.hasLocal {
		c.Local = append([]byte{}, h.local...)
	}
	h.local = bytes.Clone(h.local)
	h.tail = slices.Clone(h.tail)
	h.forget(len(h.tail))
	return c, nil
}

// resume makes the log that was read the running one. What was read may have
// come from the page cache alone: the process that wrote it may have died
// before its sync, or have seen it fail, after which the system calls the data
// clean. So the records not known to be synced are written again, and zeros
// behind them over whatever an interrupted write left, and only after that
// sync is the log believed.
func (l *Log) resume(r *replayed) error {
	// The names may not be on disk either; the removal of old ones must wait.
	if err := l.fs.SyncDir(l.dir); err != nil {
		return fmt.Errorf("sync directory %s: %w", l.dir, err)
	}
	l.segments = r.segments
	f, err := l.fs.Open(l.activePath())
	if err != nil {
		return err
	}
	l.size = max(int64(len(r.last)), r.tail.off)
	again := make([]byte, l.size-r.tail.rewrite)
	copy(again, r.last[min(r.tail.rewrite, int64(len(r.last))):min(r.tail.off, int64(len(r.last)))])
	if _, err = f.WriteAt(again, r.tail.rewrite); err == nil {
		err = f.Sync()
	}
	if err != nil {
		f.Close()
		if walfs.NoSpace(err) {
			return &FullError{Dir: l.dir, Bytes: int64(len(again)), Err: err}
		}
		return fmt.Errorf("write the end of the log again: %w: check the disk, then start the node again", err)
	}
	l.active, l.mark, l.off = f, headerMark(r.last), r.tail.off
	l.next, l.durable, l.history = r.tail.next, r.tail.next-1, r.history
	return nil
}
