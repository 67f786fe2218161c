package wal

import (
	"bytes"
	"flag"
	"os"
	"path/filepath"
	"testing"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

var rewrite = flag.Bool("rewrite", false, "write testdata anew; then read the diff")

// vectorLog is the log of testdata/v1: two segments and a snapshot, with every
// kind of record and item.
func vectorLog(t *testing.T) *walfs.Mem {
	t.Helper()
	mem := walfs.NewMem(1)
	l, err := create(mem, testDir, Identity{Cluster: "vector", Node: 258}, 5*blockSize)
	if err != nil {
		t.Fatal(err)
	}
	save(t, l, Update{HardState: hardState(2, 3, 1), Entries: entries(1, 1, "one", "two")})
	save(t, l, Update{HardState: hardState(2, 3, 2)})
	s := snapshot(2, 1, []byte("state at 2"), 1, 2, 3)
	auto := true
	s.Metadata.ConfState.Learners, s.Metadata.ConfState.AutoLeave = []uint64{4}, &auto
	save(t, l, Update{Snapshot: s})
	save(t, l, Update{Local: []byte("first promise")})
	save(t, l, Update{Entries: append(entries(2, 3, ""), entry(2, 4, 1, []byte("conf")))})
	if err := l.Compact(2); err != nil {
		t.Fatal(err)
	}
	for _, p := range []string{"promise a", "promise b", "promise c", "promise d"} {
		save(t, l, Update{Local: []byte(p)})
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return mem
}

// TestVectors: this release writes the files of format 1 byte for byte, and
// reads them.
func TestVectors(t *testing.T) {
	dir := filepath.Join("testdata", "v1")
	mem := vectorLog(t)
	names, err := mem.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	if *rewrite {
		if err := os.MkdirAll(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		for _, name := range names {
			if err := os.WriteFile(filepath.Join(dir, name), mem.ReadFile(filepath.Join(testDir, name)), 0o644); err != nil {
				t.Fatal(err)
			}
		}
	}
	stored := walfs.NewMem(1)
	files, err := os.ReadDir(dir)
	if err != nil {
		t.Fatal(err)
	}
	if len(files) != len(names)+1 { // and contents.txt
		t.Errorf("testdata holds %v, written were %v", files, names)
	}
	for _, name := range names {
		want, err := os.ReadFile(filepath.Join(dir, name))
		if err != nil {
			t.Fatal(err)
		}
		if !bytes.Equal(mem.ReadFile(filepath.Join(testDir, name)), want) {
			t.Errorf("%s is written differently now", name)
		}
		stored.WriteFile(filepath.Join(testDir, name), want)
	}
	_, c, err := Open(stored, testDir, Identity{Cluster: "vector", Node: 258})
	if err != nil {
		t.Fatal(err)
	}
	text := filepath.Join(dir, "contents.txt")
	if *rewrite {
		if err := os.WriteFile(text, []byte(contentsText(c)), 0o644); err != nil {
			t.Fatal(err)
		}
	}
	want, err := os.ReadFile(text)
	if err != nil {
		t.Fatal(err)
	}
	if got := contentsText(c); got != string(want) {
		t.Errorf("read\n%swant\n%s", got, want)
	}
}
