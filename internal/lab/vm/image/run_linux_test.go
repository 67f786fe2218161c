package image

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strings"
	"testing"
	"time"
)

func needRoot(t *testing.T) {
	t.Helper()
	if os.Geteuid() != 0 {
		t.Skip("SKIPPED: commands of a build have namespaces of their own, which needs root")
	}
}

// TestRunCancelled cancels a command that has a child and a mount.
func TestRunCancelled(t *testing.T) {
	needRoot(t)
	dir := t.TempDir()
	ctx, cancel := context.WithCancelCause(t.Context())
	defer cancel(nil)
	enough := errors.New("enough")
	// The child keeps the output open: run returns only when it is gone.
	script := "mount -t tmpfs lab " + dir + " && touch " + dir + "/inside || exit\nsleep 1000 &\necho up\nwait"
	began := time.Now()
	err := run(ctx, command{argv: []string{"sh", "-c", script}, limit: time.Minute, line: func(line string) {
		if line == "up" {
			cancel(enough)
		}
	}})
	if !errors.Is(err, enough) {
		t.Errorf("%v", err)
	}
	if took := time.Since(began); took > 8*time.Second {
		t.Errorf("a child lived on: %v", took)
	}
	if left, err := filepath.Glob(filepath.Join(dir, "*")); err != nil || len(left) > 0 {
		t.Errorf("a mount is left: %v %v", left, err)
	}
	if err := removeUnmounted(dir); err != nil {
		t.Error(err)
	}
}

func TestRunFails(t *testing.T) {
	needRoot(t)
	err := run(t.Context(), command{argv: []string{"sh", "-c", "echo one; echo two >&2; exit 3"}, limit: time.Minute})
	if err == nil || !strings.Contains(err.Error(), "exit status 3") || !strings.Contains(err.Error(), "one\ntwo") {
		t.Errorf("%v", err)
	}
	err = run(t.Context(), command{argv: []string{"sh", "-c", "echo cp: x: No space left on device >&2; exit 1"}, limit: time.Minute})
	if !errors.Is(err, errNoSpace) {
		t.Errorf("a full disk: %v", err)
	}
	err = run(t.Context(), command{argv: []string{"sleep", "1000"}, limit: 50 * time.Millisecond})
	if err == nil || !strings.Contains(err.Error(), "not finished after 50ms") {
		t.Errorf("too slow: %v", err)
	}
}

func TestTail(t *testing.T) {
	var heard []string
	tail := &tail{line: func(line string) { heard = append(heard, line) }}
	for _, piece := range []string{"a", "b\nc\r\n", "\n", strings.Repeat("x", 3*tailLine), "end"} {
		if n, err := tail.Write([]byte(piece)); n != len(piece) || err != nil {
			t.Fatalf("%d %v", n, err)
		}
	}
	if len(heard) != 5 || heard[0] != "ab" || heard[1] != "c" || !strings.HasSuffix(tail.String(), "x\nend") {
		t.Errorf("heard %d lines, kept %.40q", len(heard), tail.String())
	}
	for range 100 {
		tail.add("line")
	}
	if len(tail.kept) != tailLines {
		t.Errorf("%d lines are kept", len(tail.kept))
	}
}
