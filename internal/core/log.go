package core

import (
	"errors"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// memlog is the part of the log that raft reads: all of it is also on disk. It
// implements raft.Storage. Unlike raft.MemoryStorage it makes a snapshot of the
// present state when raft asks for one, so that a new node is sent a
// configuration that it is in.
type memlog struct {
	hard    *raftpb.HardState
	base    uint64 // index of the entry before entries[0]
	term    uint64 // its term
	entries []*raftpb.Entry
	conf    *raftpb.ConfState
	state   func() (state *cluster.State, term uint64)
}

var _ raft.Storage = (*memlog)(nil)

func (l *memlog) InitialState() (*raftpb.HardState, *raftpb.ConfState, error) {
	return l.hard, l.conf, nil
}

func (l *memlog) FirstIndex() (uint64, error) { return l.base + 1, nil }
func (l *memlog) LastIndex() (uint64, error)  { return l.last(), nil }
func (l *memlog) last() uint64                { return l.base + uint64(len(l.entries)) }

func (l *memlog) Term(i uint64) (uint64, error) {
	switch {
	case i < l.base:
		return 0, raft.ErrCompacted
	case i == l.base:
		return l.term, nil
	case i > l.last():
		return 0, raft.ErrUnavailable
	}
	return l.entries[i-l.base-1].GetTerm(), nil
}

func (l *memlog) Entries(lo, hi, maxSize uint64) ([]*raftpb.Entry, error) {
	if lo <= l.base {
		return nil, raft.ErrCompacted
	}
	if hi > l.last()+1 {
		return nil, raft.ErrUnavailable
	}
	es := l.entries[lo-l.base-1 : hi-l.base-1]
	var size uint64
	for i, e := range es {
		size += uint64(len(e.GetData())) + 24
		if i > 0 && size > maxSize {
			return es[:i:i], nil
		}
	}
	return es[:len(es):len(es)], nil
}

func (l *memlog) Snapshot() (*raftpb.Snapshot, error) {
	s, term := l.state()
	if s == nil {
		return nil, errors.New("make a snapshot: no state yet")
	}
	return snapshotOf(s, term), nil
}

func snapshotOf(s *cluster.State, term uint64) *raftpb.Snapshot {
	return &raftpb.Snapshot{
		Data: s.Encode(),
		Metadata: &raftpb.SnapshotMetadata{
			ConfState: confState(s), Index: new(s.Applied), Term: new(term),
		},
	}
}

func confState(s *cluster.State) *raftpb.ConfState {
	cs := &raftpb.ConfState{AutoLeave: new(false)}
	for _, v := range s.Voters {
		cs.Voters = append(cs.Voters, uint64(v))
	}
	for _, v := range s.Learners {
		cs.Learners = append(cs.Learners, uint64(v))
	}
	return cs
}

// append adds entries, which replace what is there from their first index on.
func (l *memlog) append(es []*raftpb.Entry) {
	if len(es) == 0 {
		return
	}
	first := es[0].GetIndex()
	if first <= l.base {
		skip := min(l.base+1-first, uint64(len(es)))
		es = es[skip:]
		if len(es) == 0 {
			return
		}
		first = es[0].GetIndex()
	}
	keep := first - l.base - 1
	// A copy, because raft may still hold the old slice.
	l.entries = append(l.entries[:keep:keep], es...)
}

// restore begins anew at a snapshot.
func (l *memlog) restore(m *raftpb.SnapshotMetadata) {
	l.base, l.term, l.entries, l.conf = m.GetIndex(), m.GetTerm(), nil, m.GetConfState()
}

// compact forgets the entries up to index, which a snapshot on disk covers.
func (l *memlog) compact(index uint64) {
	if index <= l.base || index > l.last() {
		return
	}
	t, _ := l.Term(index)
	l.entries = append([]*raftpb.Entry(nil), l.entries[index-l.base:]...)
	l.base, l.term = index, t
}

// Genesis is the disk of the first node of a new cluster.
func Genesis(s *cluster.State) Disk {
	return Disk{
		HardState: &raftpb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(s.Applied)},
		Snapshot:  snapshotOf(s, 1),
	}
}
