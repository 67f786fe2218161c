package e2e

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"strings"
	"sync"
	"syscall"
	"testing"
)

// twoAtOnce has two administrators create the same thing at the same moment.
func twoAtOnce(t *testing.T, s *shop) {
	answers := make([]answer, 6)
	var all sync.WaitGroup
	for i := range answers {
		all.Go(func() { answers[i] = s.nodes[i%3].perdure("hierarchy", "create", "twin") })
	}
	all.Wait()
	made := 0
	for _, a := range answers {
		switch {
		case a.code == 0:
			made++
		case !strings.Contains(a.err, "twin exists already"):
			t.Errorf("%v", a)
		}
	}
	if made != 1 {
		t.Errorf("%d of them succeeded: %v", made, answers)
	}
	s.nodes[1].must(t, "hierarchy", "delete", "twin")
}

// interrupted breaks off the watching of a long switchover, and then cancels it.
func interrupted(t *testing.T, s *shop) {
	a := s.nodes[0]
	dir := t.TempDir()
	up := filepath.Join(dir, "up")
	a.must(t, "hierarchy", "create", "slow", "--nodes", "a,b")
	// The stop waits until a file is there.
	leave := filepath.Join(dir, "leave")
	a.must(t, "resource", "create", "script", "tape", "-H", "slow",
		"start=/bin/touch "+up, fmt.Sprintf(`check=/bin/sh -c "test -e %s || exit 3"`, up),
		fmt.Sprintf(`stop=/bin/sh -c "until test -e %s; do sleep 0.1; done; rm -f %s"`, leave, up), "stop.timeout=1m")
	a.must(t, "hierarchy", "start", "slow")

	ctx, cancel := context.WithTimeout(context.Background(), commandMax)
	defer cancel()
	c := a.command(ctx, "switchover", "slow", "--to", "b")
	var out, errs lockedBuffer
	c.Stdout, c.Stderr = &out, &errs
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	until(t, "progress is shown", settle, func() error {
		if out.String() == "" {
			return errors.New("nothing yet")
		}
		return nil
	})
	_ = c.Process.Signal(syscall.SIGINT)
	var exit *exec.ExitError
	if err := c.Wait(); !errors.As(err, &exit) || exit.ExitCode() != 3 {
		t.Errorf("exit %v, want code 3\n%s%s", err, out.String(), errs.String())
	}
	if flat := strings.Join(strings.Fields(errs.String()), " "); !strings.Contains(flat, "perdure switchover slow --cancel") {
		t.Errorf("it isn't said how to cancel: %s", flat)
	}
	a.must(t, "switchover", "slow", "--cancel")
	if err := os.WriteFile(leave, nil, 0o600); err != nil {
		t.Fatal(err)
	}
	servedBy(t, a, "slow", "a")
	a.must(t, "hierarchy", "stop", "slow")
	a.must(t, "hierarchy", "delete", "slow")
}

// failedNode refuses a switchover to a node on which it failed, until that is
// cleared.
func failedNode(t *testing.T, s *shop) {
	a := s.nodes[0]
	up := filepath.Join(t.TempDir(), "up")
	b := filepath.Join(s.nodes[1].dir, "run")
	a.must(t, "hierarchy", "create", "picky", "--nodes", "a,b")
	a.must(t, "resource", "create", "script", "picked", "-H", "picky",
		fmt.Sprintf(`start=/bin/sh -c "case $PERDURE_RUN_DIR in %s*) echo not here >&2; exit 1;; esac; touch %s"`, b, up),
		fmt.Sprintf(`check=/bin/sh -c "test -e %s || exit 3"`, up), "stop=/bin/rm -f "+up, "recovery.max=0")
	a.must(t, "hierarchy", "start", "picky")
	failed := a.perdure("switchover", "picky", "--to", "b")
	if failed.code != 1 || !strings.Contains(failed.err, "PD7204") {
		t.Errorf("a switchover that failed: %v", failed)
	}
	a.follow(t, failed)
	servedBy(t, a, "picky", "a")
	s.refuses(t, a, "PD3009", []string{"failed on node b", "perdure hierarchy clear picky --node b"}, "switchover", "picky", "--to", "b")
	a.must(t, "hierarchy", "clear", "picky", "--node", "b")
	a.must(t, "hierarchy", "stop", "picky")
	a.must(t, "hierarchy", "delete", "picky")
}

// lockedBuffer is written by a command while a test reads it.
type lockedBuffer struct {
	mu sync.Mutex
	b  bytes.Buffer
}

func (l *lockedBuffer) Write(p []byte) (int, error) {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.Write(p)
}

func (l *lockedBuffer) String() string {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.b.String()
}
