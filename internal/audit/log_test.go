package audit

import (
	"encoding/json"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"strings"
	"testing"

	"go.uber.org/goleak"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

type entry struct {
	N    int
	Text string
}

func numbers(t *testing.T, l *Log, n int) (out []int) {
	t.Helper()
	lines, err := l.Last(n)
	if err != nil {
		t.Fatal(err)
	}
	for _, b := range lines {
		var e entry
		if err := json.Unmarshal(b, &e); err != nil {
			t.Fatal(err)
		}
		out = append(out, e.N)
	}
	return out
}

func TestAppendAndRead(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "audit")
	l, err := open(dir, fileMax)
	if err != nil {
		t.Fatal(err)
	}
	for i := range 5 {
		if err := l.Append(entry{N: i}); err != nil {
			t.Fatal(err)
		}
	}
	if got := fmt.Sprint(numbers(t, l, 3)); got != "[2 3 4]" {
		t.Error(got)
	}
	if err := l.Append(entry{Text: strings.Repeat("x", lineMax)}); err == nil {
		t.Error("a line of any size was taken")
	}
	l.Close()
	if err := l.Append(entry{}); !errors.Is(err, os.ErrClosed) {
		t.Errorf("after the end: %v", err)
	}
	if fi, err := os.Stat(l.Path()); err != nil || fi.Mode().Perm() != 0o600 {
		t.Errorf("%v %v", fi, err)
	}
}

// TestCutOff: a power loss in the middle of a line costs that line alone.
func TestCutOff(t *testing.T) {
	dir := t.TempDir()
	if err := os.WriteFile(filepath.Join(dir, FileName), []byte("{\"N\":1}\n{\"N\":2}\n{\"N\":3,\"Te"), 0o600); err != nil {
		t.Fatal(err)
	}
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := l.Append(entry{N: 4}); err != nil {
		t.Fatal(err)
	}
	if got := fmt.Sprint(numbers(t, l, 10)); got != "[1 2 4]" {
		t.Error(got)
	}
}

// TestBounded: however much is written, so many files of so many bytes remain,
// and they hold the newest lines without a gap.
func TestBounded(t *testing.T) {
	dir := t.TempDir()
	l, err := open(dir, 200)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	const all = 300
	for i := range all {
		if err := l.Append(entry{N: i}); err != nil {
			t.Fatal(err)
		}
	}
	list, err := os.ReadDir(dir)
	if err != nil || len(list) != files {
		t.Fatalf("%d files (%v), want %d", len(list), err, files)
	}
	for _, e := range list {
		if fi, err := e.Info(); err != nil || fi.Size() > 200 {
			t.Errorf("%s has %d bytes (%v)", e.Name(), fi.Size(), err)
		}
	}
	got := numbers(t, l, all)
	for i, n := range got {
		if n != all-len(got)+i {
			t.Fatalf("line %d of %d is number %d", i, len(got), n)
		}
	}
	if len(got) < 50 {
		t.Errorf("only %d lines remain", len(got))
	}
}

// TestFullDisk: what can't be written is an error, and the next line is tried
// again.
func TestFullDisk(t *testing.T) {
	dir := t.TempDir()
	l, err := Open(dir)
	if err != nil {
		t.Fatal(err)
	}
	defer l.Close()
	if err := os.Mkdir(l.Path(), 0o700); err != nil { // nothing can be opened there
		t.Fatal(err)
	}
	if err := l.Append(entry{N: 1}); err == nil {
		t.Error("nothing was said of a line that is nowhere")
	}
	if err := os.Remove(l.Path()); err != nil {
		t.Fatal(err)
	}
	if err := l.Append(entry{N: 2}); err != nil {
		t.Error(err)
	}
	if got := fmt.Sprint(numbers(t, l, 10)); got != "[2]" {
		t.Error(got)
	}
}
