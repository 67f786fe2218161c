package wal

import (
	"errors"
	"io"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
	"go.etcd.io/raft/v3/raftpb"
)

// newLog creates a log in memory with small segments.
func newLog(t *testing.T) (*walfs.Mem, *Log) {
	t.Helper()
	mem := walfs.NewMem(1)
	l, err := create(mem, testDir, testID, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	return mem, l
}

func save(t *testing.T, l *Log, u Update) {
	t.Helper()
	if err := l.Save(u); err != nil {
		t.Fatal(err)
	}
}

// reopen is a start after a power loss.
func reopen(t *testing.T, mem *walfs.Mem) (*Log, string) {
	t.Helper()
	l, c, err := open(mem.Crash(1), testDir, testID, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	return l, contentsText(c)
}

func expect(t *testing.T, got string, lines ...string) {
	t.Helper()
	want := strings.Join(lines, "\n")
	if want != "" {
		want += "\n"
	}
	if got != want {
		t.Errorf("the log holds\n%swant\n%s", got, want)
	}
}

func entries(term, first uint64, data ...string) []*raftpb.Entry {
	var es []*raftpb.Entry
	for i, d := range data {
		es = append(es, entry(term, first+uint64(i), 0, []byte(d)))
	}
	return es
}

func TestSaveAndOpen(t *testing.T) {
	mem, l := newLog(t)
	_, got := reopen(t, mem)
	expect(t, got)

	save(t, l, Update{HardState: hardState(1, 2, 0), Entries: entries(1, 1, "a", "b", "c"), Local: []byte("p1")})
	_, got = reopen(t, mem)
	expect(t, got, `hard 1 2 0`, `entry 1 1 EntryNormal "a"`, `entry 2 1 EntryNormal "b"`, `entry 3 1 EntryNormal "c"`, `local "p1"`)

	// A new leader's entry cuts off the ones behind it.
	save(t, l, Update{HardState: hardState(2, 3, 2), Entries: entries(2, 3, "C"), Local: []byte{}})
	save(t, l, Update{Entries: entries(2, 3, "D")})
	_, got = reopen(t, mem)
	expect(t, got, `hard 2 3 2`, `entry 1 1 EntryNormal "a"`, `entry 2 1 EntryNormal "b"`, `entry 3 2 EntryNormal "D"`, `local ""`)

	// A snapshot of the own log keeps what is behind it.
	save(t, l, Update{Snapshot: snapshot(2, 1, []byte("S2"), 1, 2, 3)})
	_, got = reopen(t, mem)
	expect(t, got, `hard 2 3 2`, `snapshot 2 1 "S2" [1 2 3]`, `entry 3 2 EntryNormal "D"`, `local ""`)

	// One that the log doesn't agree with replaces it, entry and all.
	save(t, l, Update{HardState: hardState(3, 0, 3), Snapshot: snapshot(3, 3, []byte("S3"), 1), Entries: entries(3, 4, "e")})
	l2, got := reopen(t, mem)
	expect(t, got, `hard 3 0 3`, `snapshot 3 3 "S3" [1]`, `entry 4 3 EntryNormal "e"`, `local ""`)

	// The log that was opened goes on.
	save(t, l2, Update{Entries: entries(3, 5, "f")})
	if s := l2.Stats(); s.Last != 5 || s.Snapshot != 3 {
		t.Errorf("stats %+v", s)
	}
	if err := l2.Close(); err != nil {
		t.Fatal(err)
	}
	if err := l2.Close(); err != nil {
		t.Errorf("second close: %v", err)
	}
	if err := l2.Save(Update{Local: []byte("x")}); !errors.Is(err, ErrClosed) {
		t.Errorf("save after close: %v", err)
	}
}

// TestConfState: every field of a snapshot's configuration comes back.
func TestConfState(t *testing.T) {
	mem, l := newLog(t)
	s := snapshot(9, 2, nil, 1, 2, 3)
	auto := true
	conf := s.Metadata.ConfState
	conf.Learners, conf.VotersOutgoing, conf.LearnersNext, conf.AutoLeave = []uint64{4}, []uint64{1, 2, 5}, []uint64{5}, &auto
	save(t, l, Update{Snapshot: s})
	conf.Voters[0] = 99 // the log must not keep the caller's
	save(t, l, Update{Local: make([]byte, 20<<10)})
	if err := l.Compact(9); err != nil {
		t.Fatal(err)
	}
	_, c, err := Open(mem.Crash(1), testDir, testID)
	if err != nil {
		t.Fatal(err)
	}
	got := c.Snapshot.GetMetadata().GetConfState()
	if !slices.Equal(got.GetVoters(), []uint64{1, 2, 3}) || !slices.Equal(got.GetLearners(), []uint64{4}) ||
		!slices.Equal(got.GetVotersOutgoing(), []uint64{1, 2, 5}) || !slices.Equal(got.GetLearnersNext(), []uint64{5}) || !got.GetAutoLeave() {
		t.Errorf("got %v", got)
	}
}

// TestSaveRefuses: a mistake of the caller changes nothing and stops nothing.
func TestSaveRefuses(t *testing.T) {
	mem, l := newLog(t)
	save(t, l, Update{HardState: hardState(1, 1, 2), Entries: entries(1, 1, "a", "b", "c"), Snapshot: nil})
	save(t, l, Update{Snapshot: snapshot(2, 1, nil, 1)})
	for name, u := range map[string]Update{
		"gap behind the log":     {Entries: entries(1, 5, "x")},
		"gap among entries":      {Entries: append(entries(1, 4, "x"), entries(1, 6, "y")...)},
		"entry zero":             {Entries: entries(1, 0, "x")},
		"commit beyond the log":  {HardState: hardState(1, 1, 4)},
		"older snapshot":         {Snapshot: snapshot(1, 1, nil, 1)},
		"more than one may hold": {Local: make([]byte, maxPayload)},
	} {
		if err := l.Save(u); !errors.Is(err, ErrInvalid) {
			t.Errorf("%s: %v", name, err)
		}
	}
	if err := l.Compact(3); !errors.Is(err, ErrInvalid) {
		t.Errorf("compact beyond the snapshot: %v", err)
	}
	save(t, l, Update{})
	save(t, l, Update{HardState: &raftpb.HardState{}, Snapshot: &raftpb.Snapshot{}})
	save(t, l, Update{Entries: entries(1, 4, "d")})
	_, got := reopen(t, mem)
	expect(t, got, `hard 1 1 2`, `snapshot 2 1 "" [1]`, `entry 3 1 EntryNormal "c"`, `entry 4 1 EntryNormal "d"`)
}

func TestCreateAndOpenRefuse(t *testing.T) {
	mem, l := newLog(t)
	if _, err := Create(mem, testDir, testID); !errors.Is(err, ErrLocked) {
		t.Errorf("create over an open log: %v", err)
	}
	if _, _, err := Open(mem, testDir, testID); !errors.Is(err, ErrLocked) {
		t.Errorf("open an open log: %v", err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	if _, err := Create(mem, testDir, testID); !errors.Is(err, ErrExists) {
		t.Errorf("create over a log: %v", err)
	}
	for _, id := range []Identity{{"c-2", 7}, {"c-1", 8}} {
		if _, _, err := Open(mem, testDir, id); !errors.Is(err, ErrForeign) {
			t.Errorf("open as %v: %v", id, err)
		}
	}
	for _, id := range []Identity{{"", 7}, {"c-1", 0}, {strings.Repeat("c", 256), 7}} {
		if _, err := Create(mem, "/other", id); !errors.Is(err, ErrInvalid) {
			t.Errorf("create as %v: %v", id, err)
		}
	}
	if _, _, err := Open(mem, "/nowhere", testID); !errors.Is(err, ErrNoLog) {
		t.Errorf("open nothing: %v", err)
	}
	if _, _, err := Open(mem, testDir, testID); err != nil {
		t.Errorf("the refusals left something behind: %v", err)
	}
}

// TestOneWriteOneSync: that is what a save costs, whatever it holds; the mere
// move of the commit index costs no sync, and the next save makes it durable.
func TestOneWriteOneSync(t *testing.T) {
	mem := walfs.NewMem(1)
	l, err := Create(mem, testDir, testID)
	if err != nil {
		t.Fatal(err)
	}
	cost := func(u Update) walfs.Counts {
		before := mem.Counts()
		save(t, l, u)
		c := mem.Counts()
		return walfs.Counts{Writes: c.Writes - before.Writes, Syncs: c.Syncs - before.Syncs, DirSyncs: c.DirSyncs - before.DirSyncs}
	}
	full := walfs.Counts{Writes: 1, Syncs: 1}
	if got := cost(Update{HardState: hardState(1, 1, 1), Entries: entries(1, 1, "a", "b"), Local: []byte("p")}); got != full {
		t.Errorf("everything: %+v", got)
	}
	if got := cost(Update{HardState: hardState(1, 1, 2)}); got != (walfs.Counts{Writes: 1}) {
		t.Errorf("commit index alone: %+v", got)
	}
	if got := cost(Update{Sync: true}); got != (walfs.Counts{Syncs: 1}) {
		t.Errorf("nothing, but synced, after it: %+v", got)
	}
	if got := cost(Update{Sync: true}); got != (walfs.Counts{}) {
		t.Errorf("nothing to sync: %+v", got)
	}
	if got := cost(Update{HardState: hardState(1, 2, 2)}); got != full {
		t.Errorf("vote, Sync forgotten: %+v", got)
	}
	save(t, l, Update{HardState: hardState(1, 2, 1)})
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	_, got := reopen(t, mem)
	expect(t, got, `hard 1 2 1`, `entry 1 1 EntryNormal "a"`, `entry 2 1 EntryNormal "b"`, `local "p"`)
}

func TestCompact(t *testing.T) {
	mem, l := newLog(t)
	for i := range uint64(40) {
		save(t, l, Update{HardState: hardState(1, 1, i), Entries: entries(1, i+1, "entry"), Local: []byte("p")})
	}
	save(t, l, Update{Snapshot: snapshot(20, 1, []byte("old"), 1)})
	save(t, l, Update{Snapshot: snapshot(39, 1, []byte("new"), 1)})
	if s := l.Stats(); s.Segments < 5 || s.Snapshot != 39 || s.Last != 40 {
		t.Errorf("stats %+v", s)
	}
	for range 2 {
		if err := l.Compact(39); err != nil {
			t.Fatal(err)
		}
	}
	names, err := mem.List(testDir)
	if err != nil || len(names) != 2 {
		t.Errorf("left %v, %v", names, err)
	}
	want := []string{`hard 1 1 39`, `snapshot 39 1 "new" [1]`, `entry 40 1 EntryNormal "entry"`, `local "p"`}
	_, got := reopen(t, mem)
	expect(t, got, want...)

	// Leftovers of an interrupted compaction don't count and go away.
	mem.WriteFile(filepath.Join(testDir, segmentName(1)), []byte("old segment"))
	mem.WriteFile(filepath.Join(testDir, snapshotName(3)), []byte("old snapshot"))
	mem.WriteFile(filepath.Join(testDir, segmentName(99)+tempSuffix), []byte("half"))
	mem.WriteFile(filepath.Join(testDir, "NOTES.wal"), []byte("somebody's"))
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, c, err := open(mem, testDir, testID, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, contentsText(c), want...)
	if names, err := mem.List(testDir); err != nil || len(names) != 3 {
		t.Errorf("left %v, %v", names, err)
	}
	save(t, l, Update{Entries: entries(1, 41, "more")})
	_, got = reopen(t, mem)
	expect(t, got, want[0], want[1], want[2], `entry 41 1 EntryNormal "more"`, want[3])
}

// TestCompactManyEntries: a checkpoint of several records is as whole as one.
func TestCompactManyEntries(t *testing.T) {
	mem, l := newLog(t)
	big := strings.Repeat("0123456789", 30_000)
	for i := range uint64(12) {
		save(t, l, Update{HardState: hardState(1, 1, i+1), Entries: entries(1, i+1, big)})
	}
	_, before := reopen(t, mem)
	if err := l.Compact(0); err != nil {
		t.Fatal(err)
	}
	if n := l.Stats().Segments; n != 1 {
		t.Errorf("%d segments", n)
	}
	_, after := reopen(t, mem)
	expect(t, after, strings.Split(strings.TrimSuffix(before, "\n"), "\n")...)
	save(t, l, Update{Entries: entries(1, 13, "on")})
}

var _ io.Closer = (*Log)(nil)
