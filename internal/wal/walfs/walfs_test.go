package walfs

import (
	"errors"
	"io/fs"
	"path/filepath"
	"slices"
	"syscall"
	"testing"
)

// TestBoth runs the same calls on the real file system and on the fake: they
// must answer alike.
func TestBoth(t *testing.T) {
	for name, c := range map[string]struct {
		fs  FS
		dir string
	}{"os": {OS(), filepath.Join(t.TempDir(), "a", "b")}, "mem": {NewMem(1), "/a/b"}} {
		t.Run(name, func(t *testing.T) {
			path := func(n string) string { return filepath.Join(c.dir, n) }
			if _, err := c.fs.List(c.dir); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("list before there is a directory: %v", err)
			}
			must(t, c.fs.MkdirAll(c.dir, 0o700))
			if _, err := c.fs.Open(path("x")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("open nothing: %v", err)
			}
			f, err := c.fs.Create(path("x"))
			must(t, err)
			_, err = f.WriteAt([]byte("abc"), 1000)
			must(t, err)
			must(t, f.Truncate(1002))
			must(t, f.Truncate(1004))
			must(t, f.Sync())
			var b [1004]byte
			if n, err := f.ReadAt(b[:], 0); n != 1004 || err != nil || string(b[999:]) != "\x00ab\x00\x00" {
				t.Errorf("read %d, %v, %q", n, err, b[999:])
			}
			must(t, f.Close())
			must(t, c.fs.Rename(path("x"), path("y")))
			must(t, c.fs.SyncDir(c.dir))
			if names, err := c.fs.List(c.dir); err != nil || !slices.Equal(names, []string{"y"}) {
				t.Errorf("listed %v, %v", names, err)
			}
			must(t, c.fs.Remove(path("y")))
			if err := c.fs.Remove(path("y")); !errors.Is(err, fs.ErrNotExist) {
				t.Errorf("remove nothing: %v", err)
			}
			testLock(t, c.fs, path("LOCK"))
		})
	}
}

func testLock(t *testing.T, fs FS, name string) {
	t.Helper()
	lock, err := fs.Lock(name)
	must(t, err)
	if _, err := fs.Lock(name); !errors.Is(err, ErrLocked) {
		t.Errorf("second lock: %v", err)
	}
	must(t, lock.Close())
	lock, err = fs.Lock(name)
	must(t, err)
	must(t, lock.Close())
}

// TestMemForgets: the fake loses what it may lose, and never what it may not.
func TestMemForgets(t *testing.T) {
	m := NewMem(1)
	f, err := m.Create("/d/f")
	must(t, err)
	write := func(s byte) {
		t.Helper()
		_, err := f.WriteAt(slices.Repeat([]byte{s}, 4*memSector), 0)
		must(t, err)
	}
	write('a')
	must(t, f.Sync())
	if seen := survivors(m); !slices.Equal(seen, []string{"", "aaaa"}) {
		t.Errorf("without SyncDir: %q", seen)
	}
	must(t, m.SyncDir("/d"))
	if seen := survivors(m); !slices.Equal(seen, []string{"aaaa"}) {
		t.Errorf("all synced: %q", seen)
	}
	write('b')
	if seen := survivors(m); len(seen) != 16 {
		t.Errorf("four unsynced sectors survive in %d ways: %q", len(seen), seen)
	}
	m.SetFaults(Faults{Sync: func(string) error { return errors.New("failed") }})
	if f.Sync() == nil {
		t.Error("the sync didn't fail")
	}
	m.SetFaults(Faults{})
	must(t, f.Sync())
	if got := m.ReadFile("/d/f"); got[0] != 'b' {
		t.Errorf("after a failed sync processes read %q", got[:1])
	}
	if seen := survivors(m); !slices.Equal(seen, []string{"aaaa"}) {
		t.Errorf("after a failed sync and one that says it went well: %q", seen)
	}
	if got := m.Restart().ReadFile("/d/f"); got[0] != 'b' {
		t.Errorf("a new process on the running machine reads %q", got[:1])
	}
}

// survivors are the contents of the file after many power losses, a letter a
// sector.
func survivors(m *Mem) []string {
	var seen []string
	for seed := range uint64(400) {
		b := m.Crash(seed).ReadFile("/d/f")
		s := ""
		for i := 0; i < len(b); i += memSector {
			if slices.ContainsFunc(b[i:i+memSector], func(c byte) bool { return c != b[i] }) {
				s += "torn"
			}
			s += string(b[i])
		}
		if !slices.Contains(seen, s) {
			seen = append(seen, s)
		}
	}
	slices.Sort(seen)
	return seen
}

func TestMemFull(t *testing.T) {
	m := NewMem(1)
	f, err := m.Create("/d/f")
	must(t, err)
	m.SetFaults(Faults{Full: true, Free: 1100})
	if n, err := f.WriteAt(make([]byte, 2000), 0); n != 1024 || !NoSpace(err) || !errors.Is(err, syscall.ENOSPC) {
		t.Errorf("wrote %d, %v", n, err)
	}
	if n, err := f.WriteAt(make([]byte, 1000), 0); n != 1000 || err != nil {
		t.Errorf("overwrote %d, %v", n, err)
	}
	m.SetFaults(Faults{PowerOff: true, Calls: 1})
	must(t, f.Sync())
	if err := f.Sync(); !errors.Is(err, ErrPowerOff) {
		t.Errorf("the power is still on: %v", err)
	}
}

func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
