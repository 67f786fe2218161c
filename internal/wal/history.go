package wal

import (
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// history is what all records so far add up to. Save checks updates against it
// and a start rebuilds it, so both have one opinion of what a record means.
type history struct {
	hard     *raftpb.HardState // nil: none yet
	local    []byte
	hasLocal bool
	snapshot *snapshotRef // nil: none yet
	// tail are the entries after the snapshot, or after 0.
	tail []cell
}

// cell is one entry. Its content is kept only while a log is read; a running
// log keeps the term alone.
type cell struct {
	term  uint64
	entry *raftpb.Entry
}

// base is the index before the first entry of the tail.
func (h *history) base() uint64 {
	if h.snapshot == nil {
		return 0
	}
	return h.snapshot.index
}

func (h *history) last() uint64 { return h.base() + uint64(len(h.tail)) }

// lastAfter is the last index once a snapshot of this index and term was
// taken in. Entries behind it stay if this log has the entry that it ends
// with; otherwise the snapshot came from the leader and replaces the log.
func (h *history) lastAfter(index, term uint64) uint64 {
	if index > h.base() && index <= h.last() && h.tail[index-h.base()-1].term == term {
		return h.last()
	}
	if s := h.snapshot; s != nil && s.index == index && s.term == term {
		return h.last()
	}
	return index
}

// check returns an error if s doesn't fit; apply may be called only if it does.
func (h *history) check(s state) error {
	base, last := h.base(), h.last()
	if r := s.snapshot; r != nil {
		if r.index < base {
			return fmt.Errorf("snapshot of index %d behind the one of index %d", r.index, base)
		}
		if r.last != r.index && r.last != last {
			return fmt.Errorf("snapshot of index %d keeps entries up to %d of %d", r.index, r.last, last)
		}
		base, last = r.index, r.last
	}
	for i, e := range s.entries {
		index := e.GetIndex()
		if i > 0 && index != s.entries[i-1].GetIndex()+1 {
			return fmt.Errorf("entry %d after entry %d", index, s.entries[i-1].GetIndex())
		}
		if index == 0 || index > last+1 {
			return fmt.Errorf("entry %d after a log that ends with %d", index, last)
		}
		if index > base {
			last = index
		}
	}
	hard := h.hard
	if s.hard != nil {
		hard = s.hard
	}
	if hard.GetCommit() > last {
		return fmt.Errorf("commit index %d in a log that ends with %d", hard.GetCommit(), last)
	}
	return nil
}

// apply takes s in. Entries override those with the same and all later
// indices, as raft truncates; those the snapshot covers are passed over.
func (h *history) apply(s state) {
	if s.hard != nil {
		h.hard = s.hard
	}
	if r := s.snapshot; r != nil {
		if r.last == r.index {
			h.tail = nil
		} else {
			h.tail = append([]cell(nil), h.tail[r.index-h.base():]...)
		}
		h.snapshot = r
	}
	for _, e := range s.entries {
		if i := e.GetIndex(); i > h.base() {
			h.tail = append(h.tail[:i-h.base()-1], cell{e.GetTerm(), e})
		}
	}
	if s.hasLocal {
		h.local, h.hasLocal = s.local, true
	}
}

// forget drops the content of the last n entries.
func (h *history) forget(n int) {
	for i := max(0, len(h.tail)-n); i < len(h.tail); i++ {
		h.tail[i].entry = nil
	}
}

// state is the history as one update.
func (h *history) state() state {
	s := state{hard: h.hard, local: h.local, hasLocal: h.hasLocal}
	if h.snapshot != nil {
		r := *h.snapshot
		r.last = r.index // the entries follow
		s.snapshot = &r
	}
	for _, c := range h.tail {
		s.entries = append(s.entries, c.entry)
	}
	return s
}
