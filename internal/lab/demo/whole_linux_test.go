package demo

import (
	"bytes"
	"context"
	"encoding/json"
	"io"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/procs"
)

// nobody is the ordinary user as whom the demo runs when the tests are root's.
const nobody = 65534

// ordinary prepares a directory with the program for an ordinary user, and
// returns a command for it. Whatever it leaves behind is found in the directory,
// or by the directory's name in the environment of its processes.
func ordinary(t *testing.T, args ...string) *exec.Cmd {
	t.Helper()
	// t.TempDir is closed to others.
	dir, err := os.MkdirTemp("", "ordinary-")
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() { _ = os.RemoveAll(dir) })
	binary := filepath.Join(dir, "perdure")
	ctx, cancel := context.WithTimeout(t.Context(), 3*time.Minute)
	defer cancel()
	build := exec.CommandContext(ctx, "go", "build", "-o", binary, "../../../cmd/perdure")
	build.Env = append(os.Environ(), "CGO_ENABLED=0")
	if out, err := build.CombinedOutput(); err != nil {
		t.Fatalf("build perdure: %v\n%s", err, out)
	}
	tmp := filepath.Join(dir, "tmp")
	if err := os.Mkdir(tmp, 0o700); err != nil {
		t.Fatal(err)
	}
	cmd := exec.CommandContext(t.Context(), binary, args...)
	cmd.Dir = "/"
	cmd.Env = append(os.Environ(), "TMPDIR="+tmp, "HOME="+tmp)
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if os.Geteuid() == 0 {
		if err := os.Chmod(dir, 0o755); err != nil {
			t.Fatal(err)
		}
		if err := os.Chown(tmp, nobody, nobody); err != nil {
			t.Fatal(err)
		}
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: nobody, Gid: nobody}
	}
	t.Cleanup(func() {
		left, err := os.ReadDir(tmp)
		if err != nil || len(left) > 0 {
			t.Errorf("left behind: %v (%v)", left, err)
		}
		running, err := procs.Marked(func(entry string) bool { return strings.Contains(entry, "="+tmp+"/") })
		if err != nil || len(running) > 0 {
			t.Errorf("still running: %v (%v)", running, err)
		}
	})
	return cmd
}

// TestOrdinaryUser plays what needs no privileges as a user without any.
func TestOrdinaryUser(t *testing.T) {
	faults := []string{"server-killed", "daemon-killed", "switchover", "power-loss",
		"frozen-2s", "corrupt-state", "frozen-20s", "isolated"}
	cmd := ordinary(t, "demo", "--once", "--json", "--fault", strings.Join(faults, ","))
	var out, live bytes.Buffer
	cmd.Stdout, cmd.Stderr = &out, &live
	if err := cmd.Run(); err != nil {
		t.Fatalf("%v\n%s%s", err, live.String(), out.String())
	}
	var report Report
	if err := json.Unmarshal(out.Bytes(), &report); err != nil {
		t.Fatalf("%v: %s", err, out.String())
	}
	if !report.Survived || len(report.Results) != 6 || strings.Join(report.Skipped, " ") != "frozen-20s isolated" {
		t.Errorf("%d results, skipped %v: %s", len(report.Results), report.Skipped, out.String())
	}
	for _, r := range report.Results {
		t.Logf("%s: %s → %s: %s", r.Name, r.Owner, r.After, r.Verdict)
	}
	if !strings.Contains(live.String(), "loopback") {
		t.Errorf("it isn't said what is different: %s", live.String())
	}
}

// TestStaysUntilInterrupted: without --once the cluster stays to be played with,
// by the scripts that are printed, and Ctrl-C leaves nothing.
func TestStaysUntilInterrupted(t *testing.T) {
	cmd := ordinary(t, "demo", "--fault", "switchover", "--lang", "ja")
	live, err := cmd.StderrPipe()
	if err != nil {
		t.Fatal(err)
	}
	var out bytes.Buffer
	cmd.Stdout = &out
	if err := cmd.Start(); err != nil {
		t.Fatal(err)
	}
	said := newListener(live)
	script := said.await(t, "n2 ", time.Minute)
	script = strings.TrimSpace(script[strings.Index(script, "n2 ")+3:])
	status := exec.CommandContext(t.Context(), script, "status")
	if text, err := status.CombinedOutput(); err != nil || !strings.Contains(string(text), "SAFE") {
		t.Errorf("%s status: %v\n%s", script, err, text)
	}
	if err := cmd.Process.Signal(os.Interrupt); err != nil {
		t.Fatal(err)
	}
	said.drain()
	if err := cmd.Wait(); err != nil {
		t.Errorf("ended by Ctrl-C: %v", err)
	}
	if !strings.Contains(out.String(), "スイッチオーバー") {
		t.Errorf("not in Japanese: %s", out.String())
	}
}

// listener reads lines as they come.
type listener struct {
	lines chan string
	ended sync.WaitGroup
}

func newListener(r io.Reader) *listener {
	l := &listener{lines: make(chan string, 1000)}
	l.ended.Go(func() {
		defer close(l.lines)
		var rest []byte
		buf := make([]byte, 4096)
		for {
			n, err := r.Read(buf)
			rest = append(rest, buf[:n]...)
			for {
				line, after, ok := bytes.Cut(rest, []byte("\n"))
				if !ok {
					break
				}
				l.lines <- string(line)
				rest = after
			}
			if err != nil {
				return
			}
		}
	})
	return l
}

// await returns the first line that has a path after the word.
func (l *listener) await(t *testing.T, word string, wait time.Duration) string {
	t.Helper()
	deadline := time.After(wait)
	for {
		select {
		case line, ok := <-l.lines:
			if !ok {
				t.Fatalf("it ended before it said %q", word)
			}
			if at := strings.Index(line, word); at >= 0 && strings.HasPrefix(strings.TrimSpace(line[at+len(word):]), "/") {
				return line
			}
		case <-deadline:
			t.Fatalf("it didn't say %q within %v", word, wait)
		}
	}
}

func (l *listener) drain() {
	for range l.lines {
	}
	l.ended.Wait()
}
