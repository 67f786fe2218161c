package wal

import (
	"encoding/binary"
	"fmt"

	"go.etcd.io/raft/v3/raftpb"
)

// A payload is a row of items, each with its own kind and version, so that a
// later release can add one without a new record version.
const (
	itemHeaderSize = 8

	itemHardState = 1
	itemEntry     = 2
	itemSnapshot  = 3
	itemLocal     = 4

	hardStateSize     = 24
	entryFixedSize    = 24
	snapshotFixedSize = 64
)

// snapshotRef is what a record says of a snapshot; the data are in a file of
// their own.
type snapshotRef struct {
	index, term uint64
	// last is the last entry that counts after this snapshot: the log's own if
	// the snapshot is of this log, index if it replaced the log.
	last uint64
	// file numbers the data's file: the sequence number of the first record
	// that named it.
	file uint64
	size uint64
	conf *raftpb.ConfState
}

// state is what one record says; the zero value of a field says nothing.
type state struct {
	hard     *raftpb.HardState
	snapshot *snapshotRef
	entries  []*raftpb.Entry
	local    []byte
	hasLocal bool
}

func appendItem(b []byte, kind uint8, size int) []byte {
	b = append(b, kind, 1, 0, 0)
	return binary.LittleEndian.AppendUint32(b, uint32(size))
}

func appendNumbers(b []byte, numbers ...uint64) []byte {
	for _, n := range numbers {
		b = binary.LittleEndian.AppendUint64(b, n)
	}
	return b
}

// append encodes s. The snapshot comes before the entries, because they follow
// it in the log.
func (s state) append(b []byte) []byte {
	if s.hard != nil {
		b = appendItem(b, itemHardState, hardStateSize)
		b = appendNumbers(b, s.hard.GetTerm(), s.hard.GetVote(), s.hard.GetCommit())
	}
	if s.snapshot != nil {
		b = s.snapshot.append(b)
	}
	for _, e := range s.entries {
		b = appendItem(b, itemEntry, entryFixedSize+len(e.GetData()))
		b = appendNumbers(b, e.GetTerm(), e.GetIndex(), uint64(e.GetType()))
		b = append(b, e.GetData()...)
	}
	if s.hasLocal {
		b = appendItem(b, itemLocal, len(s.local))
		b = append(b, s.local...)
	}
	return b
}

// size is the length that append adds, in bytes.
func (s state) size() int64 {
	var n int64
	if s.hard != nil {
		n += itemHeaderSize + hardStateSize
	}
	if s.snapshot != nil {
		n += itemHeaderSize + snapshotFixedSize + int64(s.snapshot.nodes())*8
	}
	for _, e := range s.entries {
		n += entrySize(e)
	}
	if s.hasLocal {
		n += itemHeaderSize + int64(len(s.local))
	}
	return n
}

func entrySize(e *raftpb.Entry) int64 {
	return itemHeaderSize + entryFixedSize + int64(len(e.GetData()))
}

// lists are the configuration's node lists in the order of the format.
func (r *snapshotRef) lists() [4][]uint64 {
	c := r.conf
	return [4][]uint64{c.GetVoters(), c.GetLearners(), c.GetVotersOutgoing(), c.GetLearnersNext()}
}

func (r *snapshotRef) nodes() int {
	n := 0
	for _, l := range r.lists() {
		n += len(l)
	}
	return n
}

func (r *snapshotRef) append(b []byte) []byte {
	b = appendItem(b, itemSnapshot, snapshotFixedSize+r.nodes()*8)
	b = appendNumbers(b, r.index, r.term, r.last, r.file, r.size)
	var auto uint64
	if r.conf.GetAutoLeave() {
		auto = 1
	}
	b = appendNumbers(b, auto)
	for _, l := range r.lists() {
		b = binary.LittleEndian.AppendUint32(b, uint32(len(l)))
	}
	for _, l := range r.lists() {
		b = appendNumbers(b, l...)
	}
	return b
}

// decodeState reads the items of one payload. Entries and Local keep parts of
// b. An item of a later release is ErrNewer; anything else that Save doesn't
// write is an error that says so.
func decodeState(b []byte) (state, error) {
	var s state
	for len(b) > 0 {
		if len(b) < itemHeaderSize {
			return s, fmt.Errorf("%d bytes where an item should begin", len(b))
		}
		kind, version, size := b[0], b[1], binary.LittleEndian.Uint32(b[4:])
		if version != 1 || kind == 0 || kind > itemLocal {
			return s, fmt.Errorf("item of kind %d version %d: %w", kind, version, ErrNewer)
		}
		if int64(size) > int64(len(b)-itemHeaderSize) {
			return s, fmt.Errorf("item of kind %d has %d bytes, %d are left", kind, size, len(b)-itemHeaderSize)
		}
		if err := s.decodeItem(kind, b[itemHeaderSize:][:size:size]); err != nil {
			return s, err
		}
		b = b[itemHeaderSize+int(size):]
	}
	return s, nil
}

func (s *state) decodeItem(kind uint8, b []byte) error {
	le := binary.LittleEndian
	switch kind {
	case itemHardState:
		if len(b) != hardStateSize {
			return fmt.Errorf("a hard state of %d bytes", len(b))
		}
		s.hard = hardState(le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]))
	case itemEntry:
		if len(b) < entryFixedSize {
			return fmt.Errorf("an entry of %d bytes", len(b))
		}
		s.entries = append(s.entries, entry(le.Uint64(b), le.Uint64(b[8:]), le.Uint64(b[16:]), b[entryFixedSize:]))
	case itemSnapshot:
		r, err := decodeSnapshotRef(b)
		if err != nil {
			return err
		}
		s.snapshot = r
	case itemLocal:
		s.local, s.hasLocal = b, true
	}
	return nil
}

func hardState(term, vote, commit uint64) *raftpb.HardState {
	return &raftpb.HardState{Term: &term, Vote: &vote, Commit: &commit}
}

func entry(term, index, kind uint64, data []byte) *raftpb.Entry {
	t := raftpb.EntryType(int32(kind))
	if len(data) == 0 {
		data = nil
	}
	return &raftpb.Entry{Term: &term, Index: &index, Type: &t, Data: data}
}

func decodeSnapshotRef(b []byte) (*snapshotRef, error) {
	if len(b) < snapshotFixedSize {
		return nil, fmt.Errorf("a snapshot item of %d bytes", len(b))
	}
	le := binary.LittleEndian
	r := &snapshotRef{
		index: le.Uint64(b), term: le.Uint64(b[8:]), last: le.Uint64(b[16:]),
		file: le.Uint64(b[24:]), size: le.Uint64(b[32:]), conf: &raftpb.ConfState{},
	}
	auto := le.Uint64(b[40:]) != 0
	r.conf.AutoLeave = &auto
	lists := [4]*[]uint64{&r.conf.Voters, &r.conf.Learners, &r.conf.VotersOutgoing, &r.conf.LearnersNext}
	rest := b[snapshotFixedSize:]
	for i, l := range lists {
		n := uint64(le.Uint32(b[48+4*i:]))
		if n*8 > uint64(len(rest)) {
			return nil, fmt.Errorf("a snapshot item with %d nodes in %d bytes", n, len(rest))
		}
		for range n {
			*l = append(*l, le.Uint64(rest))
			rest = rest[8:]
		}
	}
	if len(rest) != 0 || r.last < r.index || r.index == 0 {
		return nil, fmt.Errorf("a snapshot item for index %d, last %d, with %d bytes too many", r.index, r.last, len(rest))
	}
	return r, nil
}
