package wal

import (
	"encoding/binary"
	"errors"
	"hash/crc32"
	"path/filepath"
	"slices"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

// damagedLog returns a log to be damaged, with a snapshot and three segments:
// records 1 (the checkpoint), 2 and 3 in the first, 4 and 5 of two blocks each
// in the second, 6, 7 and 8 in the third, of which 8 has two blocks.
func damagedLog(t *testing.T) *walfs.Mem {
	t.Helper()
	mem := walfs.NewMem(1)
	l, err := create(mem, testDir, testID, 5*blockSize)
	if err != nil {
		t.Fatal(err)
	}
	save(t, l, Update{Entries: entries(1, 1, "a")})
	save(t, l, Update{HardState: hardState(1, 1, 1), Snapshot: snapshot(1, 1, []byte("snapshot data"), 1)})
	save(t, l, Update{Local: []byte(strings.Repeat("p4", 3000))})
	save(t, l, Update{Entries: entries(1, 2, strings.Repeat("big", 2000))})
	save(t, l, Update{Local: []byte("p5")})
	save(t, l, Update{Local: []byte("p6")})
	save(t, l, Update{Entries: entries(1, 3, strings.Repeat("c7", 3000)), Local: []byte("p7")})
	if got := l.Stats(); got.Segments != 3 || l.off != 5*blockSize || l.next != 9 {
		t.Fatalf("the log isn't what this test thinks: %+v, offset %d, next %d", got, l.off, l.next)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	return mem.Crash(1)
}

func TestDamage(t *testing.T) {
	fill := func(from, to int, with byte) func([]byte) []byte {
		return func(b []byte) []byte {
			for i := from; i < to; i++ {
				b[i] = with
			}
			return b
		}
	}
	flip := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { b[at] ^= 4; return b }
	}
	cut := func(at int) func([]byte) []byte {
		return func(b []byte) []byte { return b[:at] }
	}
	const seg1, seg2, seg3 = "0000000000000001.wal", "0000000000000002.wal", "0000000000000003.wal"
	const snap = "0000000000000003.snap"
	last := 3 * blockSize // of the record that saves p7
	for _, c := range []struct {
		name, file string
		harm       func([]byte) []byte
		want       string // part of the error, "cut" for a torn tail, "" for no harm
		offset     int64
	}{
		{"header of the first segment", seg1, flip(20), "checksum of the file's header", 0},
		{"header of the last segment", seg3, flip(20), "checksum of the file's header", 0},
		{"empty segment", seg3, cut(0), "has 0 bytes", 0},
		{"checkpoint gone", seg1, cut(blockSize), "checkpoint", blockSize},
		{"segment gone", seg2, nil, "missing", 0},
		{"first segment gone", seg1, nil, "missing", 0},
		{"record in an earlier segment", seg1, flip(2*blockSize + 40), "record 2 has a wrong checksum", 2 * blockSize},
		{"last record of an earlier segment", seg1, flip(3*blockSize + 40), "record 3", 3 * blockSize},
		{"last record of an earlier segment zero", seg1, fill(3*blockSize, 4*blockSize, 0), "begins with record 4", 0},
		{"earlier segment ends in a tear", seg2, fill(4*blockSize, 5*blockSize, 0), "next segment shows that it was on disk", 3 * blockSize},
		{"record in the middle", seg3, flip(blockSize + 33), "record 7 at offset 8192 shows that record 6 was on disk", blockSize},
		{"record in the middle zero", seg3, fill(blockSize, blockSize+512, 0), "shows that record 6 was on disk", blockSize},
		{"header of a record in the middle", seg3, flip(2*blockSize + 9), "shows that record 7 was on disk", 2 * blockSize},
		{"last record changed", seg3, flip(last + 700), "no interrupted write explains it", int64(last)},
		{"last record's header changed", seg3, flip(last + 8), "no interrupted write explains it", int64(last)},
		{"last record's end mark changed", seg3, flip(last + recordHeaderSize + 6024 + 18), "no end mark", int64(last)},
		{"copied record", seg3, func(b []byte) []byte {
			copy(b[last:last+blockSize], b[blockSize:2*blockSize])
			return b
		}, "no interrupted write explains it", int64(last)},
		{"last record's first sector not written", seg3, fill(last, last+512, 0), "cut", 0},
		{"last record's middle sector not written", seg3, fill(last+1024, last+1536, 0), "cut", 0},
		{"last record's second block not written", seg3, fill(last+4096, last+8192, 0), "cut", 0},
		{"file ends in the last record", seg3, cut(last + 5000), "cut", 0},
		{"file ends in the last record's header", seg3, cut(last + 20), "cut", 0},
		{"last record not written", seg3, fill(last, last+8192, 0), "cut", 0},
		{"padding changed", seg3, flip(3*blockSize - 1), "", 0},
		{"snapshot's data changed", snap, flip(headerSize + 3), "data have a wrong checksum", headerSize},
		{"snapshot's header changed", snap, flip(30), "checksum of the file's header", 0},
		{"snapshot cut", snap, cut(headerSize + 3), "3 of 13 bytes", 0},
		{"snapshot gone", snap, nil, "missing", 0},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem := damagedLog(t)
			path := filepath.Join(testDir, c.file)
			if c.harm == nil {
				if err := mem.Remove(path); err != nil {
					t.Fatal(err)
				}
			} else {
				mem.WriteFile(path, c.harm(mem.ReadFile(path)))
			}
			before := allFiles(t, mem)
			l, contents, err := Open(mem, testDir, testID)
			switch {
			case c.want == "cut" || c.want == "":
				if err != nil {
					t.Fatal(err)
				}
				if got := string(contents.Local); (got == "p7") != (c.want == "") || (got == "p6") != (c.want == "cut") {
					t.Errorf("local state %.10q", got)
				}
				save(t, l, Update{Local: []byte("on")})
				if _, got := reopen(t, mem); !strings.Contains(got, `local "on"`) {
					t.Errorf("what was saved after the start isn't there: %s", got)
				}
			default:
				var corrupt *CorruptError
				if !errors.As(err, &corrupt) || !errors.Is(err, ErrCorrupt) || !strings.Contains(err.Error(), c.want) || corrupt.Offset != c.offset {
					t.Fatalf("got %v, want an error with %q at offset %d", err, c.want, c.offset)
				}
				if !strings.Contains(err.Error(), "join it again as a new one") {
					t.Errorf("the error doesn't say what to do: %v", err)
				}
				if !slices.Equal(allFiles(t, mem), before) {
					t.Error("the damaged log was changed")
				}
			}
		})
	}
}

func allFiles(t *testing.T, mem *walfs.Mem) []string {
	t.Helper()
	names, err := mem.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	for i, name := range names {
		names[i] = name + ": " + string(mem.ReadFile(filepath.Join(testDir, name)))
	}
	return names
}

// TestEveryFlippedBit: no changed bit of an acknowledged record, header or
// snapshot is passed over; it is an error, or it was padding.
func TestEveryFlippedBit(t *testing.T) {
	mem := damagedLog(t)
	want := mustText(t, mem)
	names, err := mem.List(testDir)
	if err != nil {
		t.Fatal(err)
	}
	found, harmless := 0, 0
	for _, name := range names {
		path := filepath.Join(testDir, name)
		b := mem.ReadFile(path)
		for at := 0; at < len(b); at++ {
			if at%blockSize > 64 && (b[at] == 0 || at%23 != 0) { // padding, or the middle of much data
				continue
			}
			bad := slices.Clone(b)
			bad[at] ^= 1 << (at % 8)
			mem.WriteFile(path, bad)
			r, err := replay(mem, testDir, testID)
			var c Contents
			if err == nil {
				c, err = r.contents(mem, testDir, testID)
			}
			switch {
			case err == nil && contentsText(c) == want:
				harmless++
			case errors.Is(err, ErrCorrupt) || errors.Is(err, ErrForeign) || errors.Is(err, ErrNewer):
				found++
			default:
				t.Fatalf("%s offset %d: %v, and the log holds\n%s", name, at, err, contentsText(c))
			}
		}
		mem.WriteFile(path, b)
	}
	t.Logf("%d changes found, %d harmless", found, harmless)
	if found < 1000 || harmless > 1000 {
		t.Errorf("%d changes found, %d harmless", found, harmless)
	}
}

func mustText(t *testing.T, mem *walfs.Mem) string {
	t.Helper()
	_, c, err := Open(mem.Crash(1), testDir, testID)
	if err != nil {
		t.Fatal(err)
	}
	return contentsText(c)
}

// TestNewer: what a later release writes is named as such, not as damage.
func TestNewer(t *testing.T) {
	reseal := func(b []byte) []byte {
		binary.LittleEndian.PutUint32(b[headerSize-4:], crc32.Checksum(b[:headerSize-4], castagnoli))
		return b
	}
	for name, harm := range map[string]func([]byte) []byte{
		"format": func(b []byte) []byte { b[8] = 2; return reseal(b) },
		"flags":  func(b []byte) []byte { b[10] |= 2; return reseal(b) },
		"record": func(b []byte) []byte {
			b[blockSize+5] = 2
			sealRecord(b[blockSize:], headerMark(b), blockSize)
			return b
		},
		"item": func(b []byte) []byte {
			r := b[2*blockSize:]
			r[recordHeaderSize+1] = 2
			n := binary.LittleEndian.Uint32(r)
			binary.LittleEndian.PutUint32(r[24:], crc32.Checksum(r[recordHeaderSize:][:n], castagnoli))
			sealRecord(r, headerMark(b), 2*blockSize)
			return b
		},
	} {
		mem := damagedLog(t)
		path := filepath.Join(testDir, segmentName(1))
		mem.WriteFile(path, harm(mem.ReadFile(path)))
		if _, _, err := Open(mem, testDir, testID); !errors.Is(err, ErrNewer) || errors.Is(err, ErrCorrupt) {
			t.Errorf("%s: %v", name, err)
		}
	}
}
