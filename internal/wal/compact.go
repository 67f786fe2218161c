package wal

import (
	"errors"
	"fmt"
)

// Compact makes the log small: it writes what counts (the latest snapshot's
// record, the entries after it, hard state and local state) to a new segment
// and removes all others. upTo is an index that the caller expects the latest
// snapshot to cover; ErrInvalid if it doesn't, and nothing is done.
//
// Call it after a Save with a snapshot, and when Stats shows many segments:
// hard state and local state fill segments as well. With one segment there is
// nothing to do. ErrFull leaves the log as it was, and usable.
func (l *Log) Compact(upTo uint64) error {
	if l.failed != nil {
		return l.failed
	}
	if base := l.history.base(); upTo > base {
		return fmt.Errorf("compact log in %s up to index %d: %w: the latest snapshot ends at %d", l.dir, upTo, ErrInvalid, base)
	}
	if len(l.segments) == 1 {
		return nil
	}
	// The entries are read back rather than kept in memory, which also proves
	// that they can be.
	r, err := replay(l.fs, l.dir, l.id)
	if err == nil && r.tail.next != l.next {
		err = &CorruptError{l.activePath(), r.tail.off, fmt.Sprintf("it ends before record %d, %d were written", r.tail.next, l.next-1)}
	}
	if err != nil {
		return l.unreadable(err)
	}
	g, err := l.checkpoint(l.lastSegment()+1, r.history.state())
	if err != nil {
		return err
	}
	old := len(l.segments)
	if err := l.start(g); err != nil {
		return err
	}
	l.segments = l.segments[old:]
	l.clean()
	return nil
}

// unreadable stops the log if what it holds is damaged: a node whose promises
// couldn't survive a restart must not make more of them.
func (l *Log) unreadable(err error) error {
	err = fmt.Errorf("compact log in %s: %w", l.dir, err)
	if errors.Is(err, ErrCorrupt) {
		l.failed = err
	}
	return err
}

// clean removes all files that the present state doesn't need.
func (l *Log) clean() {
	files, err := listFiles(l.fs, l.dir)
	if err != nil {
		return // as with removeAll: the next one meets them again
	}
	old := files.leftovers
	for _, n := range files.segments {
		if n < l.segments[0] {
			old = append(old, segmentName(n))
		}
	}
	for _, n := range files.snapshots {
		if l.history.snapshot == nil || n != l.history.snapshot.file {
			old = append(old, snapshotName(n))
		}
	}
	l.removeAll(old)
}
