package disk

import (
	"bytes"
	"os"
	"path/filepath"
	"testing"
)

func TestDisk(t *testing.T) {
	dir, saved := filepath.Join(t.TempDir(), "state"), filepath.Join(t.TempDir(), "saved")
	if err := Corrupt(dir); err == nil {
		t.Error("nothing can be damaged, and that is no error")
	}
	if err := os.MkdirAll(filepath.Join(dir, "log"), 0o700); err != nil {
		t.Fatal(err)
	}
	// A file with a reserved, empty end: the damage is in what is written.
	log := filepath.Join(dir, "log", "1.wal")
	content := append(bytes.Repeat([]byte{7}, 1000), make([]byte, 100000)...)
	if err := os.WriteFile(log, content, 0o600); err != nil {
		t.Fatal(err)
	}
	if err := Copy(saved, dir); err != nil {
		t.Fatal(err)
	}
	if err := Corrupt(dir); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(log); err != nil || bytes.Equal(got[:1000], content[:1000]) || !bytes.Equal(got[1000:], content[1000:]) {
		t.Errorf("the damage isn't where it should be (%v)", err)
	}
	if err := Lose(dir); err != nil {
		t.Fatal(err)
	}
	if left, err := os.ReadDir(dir); err != nil || len(left) != 0 {
		t.Errorf("left: %v %v", left, err)
	}
	if err := Copy(dir, saved); err != nil {
		t.Fatal(err)
	}
	if got, err := os.ReadFile(log); err != nil || !bytes.Equal(got, content) {
		t.Errorf("the copy isn't what was there (%v)", err)
	}
	if err := Copy(dir, filepath.Join(saved, "none")); err == nil {
		t.Error("a copy of nothing is no error")
	}
}
