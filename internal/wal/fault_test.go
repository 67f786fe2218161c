package wal

import (
	"errors"
	"strings"
	"syscall"
	"testing"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

// TestFullDisk: a full disk refuses saves, says where and how much, and loses
// nothing; with space the same log goes on.
func TestFullDisk(t *testing.T) {
	for _, c := range []struct {
		name   string
		faults walfs.Faults
		update Update
	}{
		{"record", walfs.Faults{Full: true, Free: 5000, CopyOnWrite: true}, Update{Local: make([]byte, 9000)}},
		{"record, cut back by zeros", walfs.Faults{Full: true, Free: 10000, CopyOnWrite: true}, Update{Local: make([]byte, 9000)}},
		{"next segment", walfs.Faults{Full: true, Free: 5000}, Update{Local: make([]byte, 20000)}},
		{"snapshot", walfs.Faults{Full: true, Free: 1000}, Update{Snapshot: snapshot(5, 1, make([]byte, 2000), 1)}},
	} {
		t.Run(c.name, func(t *testing.T) {
			mem, l := newLog(t)
			for i := range c.update.Local {
				c.update.Local[i] = 'x'
			}
			save(t, l, Update{HardState: hardState(3, 2, 0), Local: []byte("promise")})
			mem.SetFaults(c.faults)
			err := l.Save(c.update)
			var full *FullError
			if !errors.As(err, &full) || !errors.Is(err, ErrFull) || !errors.Is(err, syscall.ENOSPC) {
				t.Fatalf("got %v", err)
			}
			if full.Dir != testDir || full.Bytes < 2000 || !strings.Contains(err.Error(), testDir) {
				t.Errorf("the error doesn't say where and how much: %v", err)
			}
			mem.SetFaults(walfs.Faults{})
			_, got := reopen(t, mem)
			expect(t, got, `hard 3 2 0`, `local "promise"`)
			save(t, l, c.update)
			save(t, l, Update{Local: []byte("after")})
			if _, got = reopen(t, mem); !strings.HasSuffix(got, "local \"after\"\n") {
				t.Errorf("after the disk had space the log holds\n%s", got)
			}
		})
	}
}

// TestFullDiskKeepsOpenSegment: the space of the active segment was taken when
// it was made, so a node goes on, and even restarts, while others fill the
// disk.
func TestFullDiskKeepsOpenSegment(t *testing.T) {
	mem, l := newLog(t)
	full := walfs.Faults{Full: true}
	mem.SetFaults(full)
	save(t, l, Update{Local: []byte("one")})
	mem = mem.Crash(1)
	mem.SetFaults(full)
	l, _, err := open(mem, testDir, testID, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	save(t, l, Update{Local: []byte("two")})
	if err := l.Save(Update{Local: []byte("three")}); !errors.Is(err, ErrFull) {
		t.Errorf("no room for a segment: %v", err)
	}
	_, got := reopen(t, mem)
	expect(t, got, `local "two"`)
}

// TestFailedSync: after it the log answers the same error for ever, although
// the system would call the next sync a success.
func TestFailedSync(t *testing.T) {
	for name, u := range map[string]Update{
		"record":   {Local: []byte("x")},
		"snapshot": {Snapshot: snapshot(5, 1, nil, 1)},
		"segment":  {Local: []byte(strings.Repeat("x", 20000))},
	} {
		t.Run(name, func(t *testing.T) {
			mem, l := newLog(t)
			save(t, l, Update{Local: []byte("promise")})
			mem.SetFaults(walfs.Faults{Sync: func(string) error { return errDisk }})
			first := l.Save(u)
			var dead *DeadError
			if !errors.As(first, &dead) || !errors.Is(first, ErrDead) || !errors.Is(first, errDisk) || !strings.HasPrefix(dead.File, testDir) {
				t.Fatalf("got %v", first)
			}
			mem.SetFaults(walfs.Faults{})
			if err := l.Save(Update{Local: []byte("y")}); err != first {
				t.Errorf("the next save: %v", err)
			}
			if err := l.Compact(0); err != first {
				t.Errorf("compact: %v", err)
			}
			if err := l.Close(); err != nil {
				t.Errorf("close: %v", err)
			}
		})
	}
}

// TestFailedWrite: an error that isn't a full disk leaves the file unknown.
func TestFailedWrite(t *testing.T) {
	mem, l := newLog(t)
	mem.SetFaults(walfs.Faults{Write: func(string) error { return errDisk }})
	if err := l.Save(Update{Local: []byte("x")}); !errors.Is(err, ErrDead) {
		t.Errorf("got %v", err)
	}
}

// TestUnreadable: an error of the disk while reading is passed on as it is;
// it may be gone tomorrow, so it isn't called damage.
func TestUnreadable(t *testing.T) {
	mem := damagedLog(t)
	mem.SetFaults(walfs.Faults{Read: func(string) error { return errDisk }})
	if _, _, err := Open(mem, testDir, testID); !errors.Is(err, errDisk) || errors.Is(err, ErrCorrupt) {
		t.Errorf("got %v", err)
	}
	mem.SetFaults(walfs.Faults{})
	if _, _, err := Open(mem, testDir, testID); err != nil {
		t.Errorf("the failed start left something behind: %v", err)
	}
}

// TestCompactFindsDamage: a running log that reads back less than it wrote
// stops, because its promises wouldn't survive a restart.
func TestCompactFindsDamage(t *testing.T) {
	mem, l := newLog(t)
	for range 5 {
		save(t, l, Update{Local: []byte("p")})
	}
	f, err := mem.Open(l.path(segmentName(1)))
	if err != nil {
		t.Fatal(err)
	}
	if _, err := f.WriteAt([]byte("????"), 2*blockSize+10); err != nil {
		t.Fatal(err)
	}
	if err := l.Compact(0); !errors.Is(err, ErrCorrupt) {
		t.Errorf("compact: %v", err)
	}
	if err := l.Save(Update{Local: []byte("p")}); !errors.Is(err, ErrCorrupt) {
		t.Errorf("save: %v", err)
	}
}
