package wal

import (
	"bufio"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/wal/walfs"
)

// TestRealFiles goes through a log's life on the real file system.
func TestRealFiles(t *testing.T) {
	dir := filepath.Join(t.TempDir(), "state", "wal")
	l, err := create(walfs.OS(), dir, testID, 16<<10)
	if err != nil {
		t.Fatal(err)
	}
	_, _, err = Open(walfs.OS(), dir, testID)
	if !errors.Is(err, ErrLocked) || !strings.Contains(err.Error(), fmt.Sprintf("process %d", os.Getpid())) {
		t.Errorf("open an open log: %v", err)
	}
	for i := range uint64(20) {
		save(t, l, Update{HardState: hardState(1, 1, i), Entries: entries(1, i+1, "e")})
	}
	save(t, l, Update{Snapshot: snapshot(19, 1, []byte("s"), 1), Local: []byte("p")})
	if err := l.Compact(19); err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	l, c, err := Open(walfs.OS(), dir, testID)
	if err != nil {
		t.Fatal(err)
	}
	expect(t, contentsText(c), `hard 1 1 19`, `snapshot 19 1 "s" [1]`, `entry 20 1 EntryNormal "e"`, `local "p"`)
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	names, err := os.ReadDir(dir)
	if err != nil || len(names) != 3 {
		t.Errorf("directory holds %v, %v; want lock, segment and snapshot", names, err)
	}
}

const writerEnv = "PERDURE_TEST_WAL_WRITER"

// TestKilledProcess kills a process in the middle of its saves, several times;
// whatever it had reported as saved is there, and the lock is free.
func TestKilledProcess(t *testing.T) {
	if dir := os.Getenv(writerEnv); dir != "" {
		writeUntilKilled(dir)
	}
	dir := t.TempDir()
	l, err := Create(walfs.OS(), dir, testID)
	if err != nil {
		t.Fatal(err)
	}
	if err := l.Close(); err != nil {
		t.Fatal(err)
	}
	for round := range 4 {
		saved := killWriter(t, dir, 20+13*round)
		l, c, err := Open(walfs.OS(), dir, testID)
		if err != nil {
			t.Fatal(err)
		}
		if got := uint64(len(c.Entries)); got < saved || string(c.Local) != strconv.FormatUint(got, 10) {
			t.Errorf("%d entries and local state %q after %d saves were reported", got, c.Local, saved)
		}
		if err := l.Close(); err != nil {
			t.Fatal(err)
		}
	}
}

// killWriter runs a writer until it has reported n saves, kills it, and
// returns the last index that it reported.
func killWriter(t *testing.T, dir string, n int) (saved uint64) {
	t.Helper()
	cmd := exec.CommandContext(t.Context(), os.Args[0], "-test.run=^TestKilledProcess$")
	cmd.Env = append(os.Environ(), writerEnv+"="+dir)
	out, err := cmd.StdoutPipe()
	if err != nil {
		t.Fatal(err)
	}
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	lines := bufio.NewScanner(out)
	for i := 0; lines.Scan(); i++ {
		index, err := strconv.ParseUint(lines.Text(), 10, 64)
		if err != nil {
			t.Errorf("the writer says %q", lines.Text())
			break
		}
		if saved = index; i == n {
			break
		}
	}
	cmd.Process.Kill()
	cmd.Wait()
	return saved
}

func writeUntilKilled(dir string) {
	l, c, err := Open(walfs.OS(), dir, testID)
	for i := uint64(len(c.Entries)) + 1; err == nil; i++ {
		err = l.Save(Update{Entries: entries(1, i, strings.Repeat("e", int(i*97%9000))), Local: []byte(strconv.FormatUint(i, 10))})
		fmt.Println(i)
	}
	fmt.Println(err)
	os.Exit(1)
}
