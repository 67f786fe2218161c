package wal

import (
	"bytes"
	"fmt"
	"math/rand/v2"
	"strings"

	"go.etcd.io/raft/v3/raftpb"
)

// model is the plain answer to what a log holds: no files, no records.
type model struct {
	term, vote, commit uint64
	hard               bool
	snapIndex          uint64
	snapTerm           uint64
	snapData           string
	voters             []uint64
	entries            []modelEntry // from snapIndex+1
	local              string
	hasLocal           bool
}

type modelEntry struct {
	term uint64
	kind raftpb.EntryType
	data string
}

func (m model) last() uint64 { return m.snapIndex + uint64(len(m.entries)) }

// with is the model after u.
func (m model) with(u Update) model {
	if h := u.HardState; h != nil {
		m.hard, m.term, m.vote, m.commit = true, h.GetTerm(), h.GetVote(), h.GetCommit()
	}
	if s := u.Snapshot; s != nil {
		index, term := s.GetMetadata().GetIndex(), s.GetMetadata().GetTerm()
		var rest []modelEntry
		if index > m.snapIndex && index <= m.last() && m.entries[index-m.snapIndex-1].term == term {
			rest = m.entries[index-m.snapIndex:]
		} else if index == m.snapIndex && term == m.snapTerm {
			rest = m.entries
		}
		m.entries, m.snapIndex, m.snapTerm = rest, index, term
		m.snapData, m.voters = string(s.Data), s.GetMetadata().GetConfState().GetVoters()
	}
	for _, e := range u.Entries {
		keep := m.entries[:e.GetIndex()-m.snapIndex-1]
		m.entries = append(append([]modelEntry(nil), keep...), modelEntry{e.GetTerm(), e.GetType(), string(e.Data)})
	}
	if u.Local != nil {
		m.local, m.hasLocal = string(u.Local), true
	}
	return m
}

// text is what Open should return, in a form to compare and to read.
func (m model) text() string {
	var b strings.Builder
	if m.hard {
		fmt.Fprintf(&b, "hard %d %d %d\n", m.term, m.vote, max(m.commit, m.snapIndex))
	}
	if m.snapIndex != 0 {
		fmt.Fprintf(&b, "snapshot %d %d %q %v\n", m.snapIndex, m.snapTerm, short(m.snapData), m.voters)
	}
	for i, e := range m.entries {
		fmt.Fprintf(&b, "entry %d %d %v %q\n", m.snapIndex+1+uint64(i), e.term, e.kind, short(e.data))
	}
	if m.hasLocal {
		fmt.Fprintf(&b, "local %q\n", short(m.local))
	}
	return b.String()
}

func contentsText(c Contents) string {
	var b strings.Builder
	if h := c.HardState; h != nil {
		fmt.Fprintf(&b, "hard %d %d %d\n", h.GetTerm(), h.GetVote(), h.GetCommit())
	}
	if s := c.Snapshot; s != nil {
		m := s.GetMetadata()
		fmt.Fprintf(&b, "snapshot %d %d %q %v\n", m.GetIndex(), m.GetTerm(), short(string(s.Data)), m.GetConfState().GetVoters())
	}
	for _, e := range c.Entries {
		fmt.Fprintf(&b, "entry %d %d %v %q\n", e.GetIndex(), e.GetTerm(), e.GetType(), short(string(e.Data)))
	}
	if c.Local != nil {
		fmt.Fprintf(&b, "local %q\n", short(string(c.Local)))
	}
	return b.String()
}

// short shows long data by length and a sum that any flipped byte changes.
func short(s string) string {
	if len(s) <= 20 {
		return s
	}
	var sum uint64
	for _, c := range []byte(s) {
		sum = sum*31 + uint64(c)
	}
	return fmt.Sprintf("%s…%d bytes, %x", s[:8], len(s), sum)
}

// randomUpdate is an update as raft might ask for it in state m.
func (m model) randomUpdate(rng *rand.Rand) Update {
	u := Update{Sync: rng.IntN(3) > 0}
	term := max(m.term, 1) + uint64(rng.IntN(5)/4)
	if rng.IntN(8) == 0 {
		u.Snapshot = m.randomSnapshot(rng, term)
	}
	after := m.with(u)
	if rng.IntN(2) == 0 {
		first := after.last() + 1
		if low := max(after.commit, after.snapIndex) + 1; rng.IntN(4) == 0 && low < first {
			first = low + rng.Uint64N(first-low) // a new leader's entries
		}
		for i := range 1 + rng.IntN(4) {
			u.Entries = append(u.Entries, entry(term, first+uint64(i), uint64(rng.IntN(3)), randomBytes(rng, 60)))
		}
		after = m.with(u)
	}
	if low := max(after.commit, after.snapIndex); rng.IntN(2) == 0 || low > after.commit {
		u.HardState = hardState(term, uint64(rng.IntN(4)), low+rng.Uint64N(after.last()-low+1))
	}
	if rng.IntN(5) == 0 {
		u.Local = randomBytes(rng, 300)
	}
	return u
}

// randomSnapshot is of the log's own committed state, or from a leader.
func (m model) randomSnapshot(rng *rand.Rand, term uint64) *raftpb.Snapshot {
	index, last := m.last()+1+uint64(rng.IntN(20)), term
	if m.commit > m.snapIndex && rng.IntN(3) > 0 {
		index = m.snapIndex + 1 + rng.Uint64N(m.commit-m.snapIndex)
		last = m.entries[index-m.snapIndex-1].term
	}
	return snapshot(index, last, randomBytes(rng, 3000), 1, 2, uint64(rng.IntN(9)))
}

func snapshot(index, term uint64, data []byte, voters ...uint64) *raftpb.Snapshot {
	return &raftpb.Snapshot{Data: data, Metadata: &raftpb.SnapshotMetadata{
		Index: &index, Term: &term, ConfState: &raftpb.ConfState{Voters: voters}}}
}

// randomBytes is mostly short, at times many sectors; never nil, and without
// long runs of zeros.
func randomBytes(rng *rand.Rand, size int) []byte {
	n := rng.IntN(size)
	if rng.IntN(4) == 0 {
		n *= 40
	}
	return bytes.Repeat([]byte{byte(1 + rng.IntN(255)), byte(rng.IntN(256)), 'x'}, n/3+1)[:n]
}
