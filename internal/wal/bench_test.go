package wal

import (
	"path/filepath"
	"testing"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
	"go.etcd.io/raft/v3/raftpb"
)

// BenchmarkSave compares Save of one small entry with the least that the
// system asks for the same promise: one write and one sync into a file whose
// blocks exist (raw) or that grows (raw-append).
func BenchmarkSave(b *testing.B) {
	b.Run("log", func(b *testing.B) {
		l, err := Create(walfs.OS(), b.TempDir(), testID)
		if err != nil {
			b.Fatal(err)
		}
		defer l.Close()
		data := make([]byte, 200)
		for i := 0; b.Loop(); i++ {
			if err := l.Save(Update{Entries: []*raftpb.Entry{entry(1, uint64(i+1), 0, data)}, Sync: true}); err != nil {
				b.Fatal(err)
			}
		}
	})
	b.Run("raw", func(b *testing.B) { rawWrites(b, segmentSize) })
	b.Run("raw-append", func(b *testing.B) { rawWrites(b, 0) })
}

func rawWrites(b *testing.B, prepared int) {
	f, err := walfs.OS().Create(filepath.Join(b.TempDir(), "raw"))
	if err != nil {
		b.Fatal(err)
	}
	defer f.Close()
	if _, err := f.WriteAt(make([]byte, prepared), 0); err != nil {
		b.Fatal(err)
	}
	if err := f.Sync(); err != nil {
		b.Fatal(err)
	}
	block := make([]byte, blockSize)
	var off int64
	for b.Loop() {
		if prepared > 0 {
			off %= int64(prepared)
		}
		if _, err := f.WriteAt(block, off); err != nil {
			b.Fatal(err)
		}
		if err := f.Sync(); err != nil {
			b.Fatal(err)
		}
		off += blockSize
	}
}

// BenchmarkEncode is Save without a disk: what the log itself costs.
func BenchmarkEncode(b *testing.B) {
	l, err := Create(walfs.NewMem(1), testDir, testID)
	if err != nil {
		b.Fatal(err)
	}
	data := make([]byte, 200)
	b.ReportAllocs()
	for i := 0; b.Loop(); i++ {
		if err := l.Save(Update{Entries: []*raftpb.Entry{entry(1, uint64(i+1), 0, data)}, Sync: true}); err != nil {
			b.Fatal(err)
		}
	}
}

// BenchmarkOpen reads a full segment back.
func BenchmarkOpen(b *testing.B) {
	dir := b.TempDir()
	l, err := Create(walfs.OS(), dir, testID)
	if err != nil {
		b.Fatal(err)
	}
	for i := range 250 {
		if err := l.Save(Update{Entries: []*raftpb.Entry{entry(1, uint64(i+1), 0, make([]byte, 200))}}); err != nil {
			b.Fatal(err)
		}
	}
	if err := l.Close(); err != nil {
		b.Fatal(err)
	}
	for b.Loop() {
		l, c, err := Open(walfs.OS(), dir, testID)
		if err != nil || len(c.Entries) != 250 {
			b.Fatal(err, len(c.Entries))
		}
		if err := l.Close(); err != nil {
			b.Fatal(err)
		}
	}
}
