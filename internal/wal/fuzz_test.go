package wal

import (
	"os"
	"path/filepath"
	"slices"
	"testing"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

// FuzzOpen opens a log whose last segment is arbitrary bytes, or a good one
// with arbitrary changes (each is two bytes of offset and the new byte, which
// keeps the inputs small), alone or behind a good one. Whatever opens must take
// a save and give it back.
func FuzzOpen(f *testing.F) {
	var segments [2][]byte
	for i := range segments {
		b, err := os.ReadFile(filepath.Join("testdata", "v1", segmentName(3+uint64(i))))
		if err != nil {
			f.Fatal(err)
		}
		segments[i] = b
	}
	snap, err := os.ReadFile(filepath.Join("testdata", "v1", snapshotName(4)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add([]byte{}, uint16(0xffff), false, true)
	f.Add([]byte{0, 0x10, 1}, uint16(0xffff), true, false)
	f.Add([]byte{0, 0x20, 0}, uint16(3*blockSize+100), false, false)
	f.Add(segments[0][:headerSize], uint16(0), true, true)
	id := Identity{Cluster: "vector", Node: 258}
	f.Fuzz(func(t *testing.T, changes []byte, size uint16, alone, raw bool) {
		mem := walfs.NewMem(1)
		mem.WriteFile(filepath.Join(testDir, snapshotName(4)), snap)
		n := uint64(0)
		if !alone {
			mem.WriteFile(filepath.Join(testDir, segmentName(3)), segments[0])
			n = 1
		}
		b := changes
		if !raw {
			b = slices.Clone(segments[n][:min(int(size), len(segments[n]))])
			for ; len(changes) >= 3 && len(b) > 0; changes = changes[3:] {
				b[(int(changes[0])|int(changes[1])<<8)%len(b)] = changes[2]
			}
		}
		mem.WriteFile(filepath.Join(testDir, segmentName(3+n)), b)
		l, _, err := open(mem, testDir, id, 16<<10)
		if err != nil {
			return
		}
		save(t, l, Update{Local: []byte("after")})
		if _, c, err := Open(mem.Crash(1), testDir, id); err != nil || string(c.Local) != "after" {
			t.Fatalf("saved after the start, then %q, %v", c.Local, err)
		}
	})
}

// FuzzRecords puts arbitrary payloads into good records, so that the decoder
// behind the checksums is reached, and arbitrary bytes behind them.
func FuzzRecords(f *testing.F) {
	all := state{
		hard: hardState(1, 2, 2), entries: entries(1, 1, "a", "b"), local: []byte("p"), hasLocal: true,
	}.append(nil)
	ref := (&snapshotRef{index: 5, term: 1, last: 5, file: 3, size: 9, conf: snapshot(5, 1, nil, 1, 2, 3).Metadata.ConfState}).append(nil)
	f.Add([]byte{}, all, []byte{})
	f.Add(ref, all, []byte{1})
	f.Add(all, ref, all)
	f.Fuzz(func(t *testing.T, first, second, behind []byte) {
		l := &Log{id: testID, next: 1}
		g := l.newSegment(1, flagCheckpoint)
		for i, payload := range [][]byte{first, second} {
			from := len(g.b)
			g.b = endRecord(append(beginRecord(g.b), payload...), from,
				recordHeader{kind: [2]uint8{recordCheckpoint, recordUpdate}[i], sequence: g.next, durable: g.next - 1})
			sealRecord(g.b[from:], g.mark, g.off)
			g.off = int64(len(g.b))
			g.next++
		}
		mem := walfs.NewMem(1)
		mem.WriteFile(filepath.Join(testDir, segmentName(1)), append(g.b, behind...))
		r, err := replay(mem, testDir, testID)
		if err != nil {
			return
		}
		h := &r.history
		if h.hard.GetCommit() > h.last() {
			t.Errorf("commit index %d in a log that ends with %d", h.hard.GetCommit(), h.last())
		}
		for i, c := range h.tail {
			if c.entry.GetIndex() != h.base()+1+uint64(i) {
				t.Errorf("entry %d at position %d after %d", c.entry.GetIndex(), i, h.base())
			}
		}
	})
}

// FuzzState: what decodes encodes to the same state again.
func FuzzState(f *testing.F) {
	f.Add(state{hard: hardState(1, 2, 3), entries: entries(1, 4, "a", ""), local: []byte{}, hasLocal: true}.append(nil))
	f.Add((&snapshotRef{index: 5, term: 1, last: 9, conf: snapshot(5, 1, nil, 1, 2).Metadata.ConfState}).append(nil))
	f.Add([]byte{itemSnapshot, 1, 0, 0, 64, 0, 0, 0})
	f.Fuzz(func(t *testing.T, b []byte) {
		s, err := decodeState(b)
		if err != nil {
			return
		}
		again := s.append(nil)
		if int64(len(again)) != s.size() {
			t.Fatalf("size %d, encoded %d", s.size(), len(again))
		}
		s2, err := decodeState(again)
		if err != nil || string(s2.append(nil)) != string(again) {
			t.Fatalf("decoded again: %v", err)
		}
	})
}

// FuzzSnapshot reads arbitrary bytes as a snapshot's file.
func FuzzSnapshot(f *testing.F) {
	snap, err := os.ReadFile(filepath.Join("testdata", "v1", snapshotName(4)))
	if err != nil {
		f.Fatal(err)
	}
	f.Add(snap)
	f.Add(snap[:headerSize])
	f.Fuzz(func(t *testing.T, b []byte) {
		mem := walfs.NewMem(1)
		mem.WriteFile("/s", b)
		s, err := readSnapshot(mem, "/s", &snapshotRef{index: 2, term: 1, size: 10}, Identity{Cluster: "vector", Node: 258})
		if err == nil && string(s.Data) != "state at 2" {
			t.Errorf("read %q", s.Data)
		}
	})
}
