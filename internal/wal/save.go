package wal

import (
	"bytes"
	"fmt"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"
)

// Save writes u with one write and one sync. When it returns nil, all of u is
// on disk (see Update.Sync for the one exception). ErrFull and ErrInvalid leave the log as it
// was, and nothing of u is there after a restart. After ErrDead u may or may
// not be there after a restart, and the log takes nothing more.
func (l *Log) Save(u Update) error {
	if l.failed != nil {
		return l.failed
	}
	s, err := l.plan(u)
	if err != nil {
		return fmt.Errorf("save to log in %s: %w: %w", l.dir, ErrInvalid, err)
	}
	payload := s.size()
	if payload == 0 && u.Sync { // for what was saved without it
		return l.sync()
	} else if payload == 0 {
		return nil
	}
	if s.snapshot != nil {
		if err := l.writeSnapshot(u.Snapshot, s.snapshot); err != nil {
			return err
		}
	}
	if err := l.makeRoom(recordSize(int(payload))); err != nil {
		return err
	}
	if err := l.write(s); err != nil {
		return err
	}
	if u.Sync || l.mustSync(s) {
		if err := l.sync(); err != nil {
			return err
		}
	}
	l.history.apply(s)
	l.history.forget(len(s.entries))
	return nil
}

// plan turns u into what its record will say. What the log keeps of it is
// copied, so that the caller may go on using u.
func (l *Log) plan(u Update) (state, error) {
	s := state{entries: u.Entries, local: bytes.Clone(u.Local), hasLocal: u.Local != nil}
	if h := u.HardState; h.GetTerm() != 0 || h.GetVote() != 0 || h.GetCommit() != 0 {
		s.hard = hardState(h.GetTerm(), h.GetVote(), h.GetCommit())
	}
	if m := u.Snapshot.GetMetadata(); m.GetIndex() != 0 {
		s.snapshot = &snapshotRef{
			index: m.GetIndex(), term: m.GetTerm(), last: l.history.lastAfter(m.GetIndex(), m.GetTerm()),
			file: l.next, size: uint64(len(u.Snapshot.GetData())), conf: &raftpb.ConfState{},
		}
		if m.ConfState != nil {
			s.snapshot.conf = proto.Clone(m.ConfState).(*raftpb.ConfState)
		}
		if s.snapshot.size > maxSnapshot {
			return s, fmt.Errorf("a snapshot of %d bytes, at most %d", s.snapshot.size, maxSnapshot)
		}
	}
	if n := s.size(); n > maxPayload {
		return s, fmt.Errorf("%d bytes in one update, at most %d", n, maxPayload)
	}
	return s, l.history.check(s)
}

// mustSync reports whether s holds anything that a peer may be told: all but a
// mere move of the commit index, which raft can find out again.
func (l *Log) mustSync(s state) bool {
	old := l.history.hard
	return s.snapshot != nil || s.hasLocal || len(s.entries) > 0 ||
		s.hard.GetTerm() != old.GetTerm() || s.hard.GetVote() != old.GetVote()
}

// makeRoom starts the next segment if a record of n bytes doesn't fit.
func (l *Log) makeRoom(n int64) error {
	if l.off+n <= l.size {
		return nil
	}
	// Earlier segments are known to be whole: a start relies on that.
	if err := l.sync(); err != nil {
		return err
	}
	return l.start(l.newSegment(l.lastSegment()+1, 0).grow(max(l.segmentSize, blockSize+n)))
}

// write puts the record of s at the end of the active segment.
func (l *Log) write(s state) error {
	l.buf = s.append(beginRecord(l.buf[:0]))
	l.buf = endRecord(l.buf, 0, recordHeader{kind: recordUpdate, sequence: l.next, durable: l.durable})
	sealRecord(l.buf, l.mark, l.off)
	n, err := l.active.WriteAt(l.buf, l.off)
	switch {
	case err == nil:
		l.off += int64(len(l.buf))
		l.next++
		l.stats.Saves++
	case walfs.NoSpace(err):
		err = l.cutBack(int64(n), err)
	default:
		err = l.fail("write", l.activePath(), err)
	}
	if cap(l.buf) > segmentSize {
		l.buf = nil
	}
	return err
}

// cutBack removes the first n bytes of a record that the full disk didn't take
// whole, durably, so that no start finds them.
func (l *Log) cutBack(n int64, cause error) error {
	full := &FullError{Dir: l.dir, Bytes: int64(len(l.buf)), Err: cause}
	if n == 0 {
		return full
	}
	// Zeros keep the space that the segment has. A file system that writes
	// elsewhere (copy on write) may have no room even for them.
	if _, err := l.active.WriteAt(make([]byte, n), l.off); err != nil {
		if err := l.active.Truncate(l.off); err != nil {
			return l.fail("cut back", l.activePath(), err)
		}
		if err := l.active.Truncate(l.size); err != nil {
			l.size = l.off // the next record goes to a new segment
		}
	}
	if err := l.active.Sync(); err != nil {
		return l.fail("sync", l.activePath(), err)
	}
	return full
}

// sync makes all records durable. A failed sync is never tried again: the
// system may have dropped the data and would call the second one a success.
func (l *Log) sync() error {
	if l.durable == l.next-1 {
		return nil
	}
	if err := l.active.Sync(); err != nil {
		return l.fail("sync", l.activePath(), err)
	}
	l.durable = l.next - 1
	l.stats.Syncs++
	return nil
}

func (l *Log) activePath() string { return l.path(segmentName(l.lastSegment())) }
