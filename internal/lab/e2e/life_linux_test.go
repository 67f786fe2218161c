package e2e

import (
	"context"
	"errors"
	"fmt"
	"os"
	"regexp"
	"strings"
	"syscall"
	"testing"
	"time"
	"unicode"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestLife goes through the life of a cluster of two nodes and a witness.
func TestLife(t *testing.T) {
	a, b, w := newMachine(t, "a", 11, 1), newMachine(t, "b", 11, 2), newMachine(t, "w", 11, 3)
	s := &shop{nodes: []*machine{a, b}}
	began := time.Now()
	begin(t, a)
	t.Run("the last voter stays", func(t *testing.T) {
		(&shop{nodes: []*machine{a}}).refuses(t, a, "PD7012", nil, "node", "remove", "a", "-y")
	})
	b.join(t, a.token(t, cluster.RoleNode), cluster.RoleNode)
	t.Run("follow status until it is safe", func(t *testing.T) { becomeSafe(t, a, w) })
	if took := time.Since(began); took > time.Minute {
		t.Errorf("a safe cluster took %v", took)
	}
	s.nodes = append(s.nodes, w)
	s.service = protect(t, a, "app", "a", "b")

	t.Run("two languages", func(t *testing.T) { languages(t, a) })
	t.Run("watch", func(t *testing.T) { watch(t, a) })
	t.Run("daemon killed", func(t *testing.T) { daemonKilled(t, s) })
	t.Run("stop and keep", func(t *testing.T) { stopAndKeep(t, s) })
	t.Run("clean stop", func(t *testing.T) { cleanStop(t, s) })
	t.Run("restart of everything", func(t *testing.T) { restartAll(t, s) })
}

// first is the first line of the status.
func first(m *machine) string {
	line, _, _ := strings.Cut(m.perdure("status").out, "\n")
	return line
}

// fix is the command in a first line; there is room for it on the same line.
var fix = regexp.MustCompile(`fix: perdure (.*)`)

// becomeSafe does what the status says, word for word, with two nodes and a
// machine that could be a witness.
func becomeSafe(t *testing.T, a, w *machine) {
	until(t, "not safe with two votes", settle, func() error {
		if line := first(a); !strings.HasPrefix(line, "NOT SAFE: ") || !strings.Contains(line, "votes") || !strings.Contains(line, "--role witness") {
			return errors.New(line)
		}
		return nil
	})
	line := first(a)
	found := fix.FindStringSubmatch(line)
	if found == nil || !strings.Contains(found[1], "witness") {
		t.Fatalf("no command adds a third vote: %s", line)
	}
	hint := a.perdure(strings.Fields(found[1])...)
	if hint.code != 0 {
		t.Fatalf("%v", hint)
	}
	token := strings.TrimSpace(hint.out)
	_, there, ok := strings.Cut(strings.TrimSpace(hint.err), "there: perdure ")
	there, _, _ = strings.Cut(there, "\n")
	if !ok || !strings.Contains(there, "TOKEN") {
		t.Fatalf("it isn't said what to do with it: %v", hint)
	}
	// The host name and the addresses of this machine are not those of three.
	words := append(strings.Fields(strings.ReplaceAll(there, "TOKEN", token)), "--node", "w")
	joined := w.perdure(append(words, w.paths()...)...)
	if joined.code != 0 || !strings.Contains(joined.out, "perdure install --witness") {
		t.Fatalf("%v", joined)
	}
	w.on(t, cluster.RoleWitness)
	until(t, "safe with three votes", settle, func() error {
		if line := first(a); !strings.HasPrefix(line, "SAFE: ") {
			return errors.New(a.perdure("status").String())
		}
		if quiet := a.perdure("status", "-q"); quiet.code != 0 {
			return errors.New(quiet.String())
		}
		return nil
	})
}

// languages says everything in English and Japanese.
func languages(t *testing.T, a *machine) {
	for _, command := range []string{"status", "status --long", "why app", "why app --all", "node list", "hierarchy show app",
		"resource show app-web", "path list", "quorum status", "quorum detection", "events -n 20", "token list", "kit show ip", "alarm"} {
		words := strings.Fields(command)
		en, ja := a.must(t, words...), a.must(t, append(words, "--lang", "ja")...)
		if strings.TrimSpace(en) == "" {
			t.Errorf("%s says nothing", command)
		}
		if strings.ContainsFunc(en, japanese) {
			t.Errorf("%s has Japanese in English:\n%s", command, en)
		}
		if !strings.ContainsFunc(ja, japanese) {
			t.Errorf("%s has no Japanese:\n%s", command, ja)
		}
		for _, bad := range []string{"%!", "{0}", "{1}", "PD0000", "<nil>"} {
			if strings.Contains(en+ja, bad) {
				t.Errorf("%q in %s:\n%s\n%s", bad, command, en, ja)
			}
		}
	}
}

func japanese(r rune) bool { return unicode.In(r, unicode.Hiragana, unicode.Katakana, unicode.Han) }

// watch looks at the status on a terminal for two seconds and ends it with
// Ctrl-C.
func watch(t *testing.T, a *machine) {
	terminal, err := os.OpenFile("/dev/ptmx", os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be made here: %v", err)
	}
	defer terminal.Close()
	n, err := unix.IoctlGetInt(int(terminal.Fd()), unix.TIOCGPTN)
	if err == nil {
		err = unix.IoctlSetPointerInt(int(terminal.Fd()), unix.TIOCSPTLCK, 0)
	}
	if err != nil {
		t.Skipf("no terminal can be made here: %v", err)
	}
	line, err := os.OpenFile(fmt.Sprintf("/dev/pts/%d", n), os.O_RDWR|unix.O_NOCTTY, 0)
	if err != nil {
		t.Skipf("no terminal can be made here: %v", err)
	}
	if err := unix.IoctlSetWinsize(int(line.Fd()), unix.TIOCSWINSZ, &unix.Winsize{Row: 40, Col: 120}); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), commandMax)
	defer cancel()
	c := a.command(ctx, "status", "--watch")
	c.Env = append(c.Env, "TERM=xterm")
	c.Stdin, c.Stdout, c.Stderr = line, line, line
	c.SysProcAttr = &syscall.SysProcAttr{Setsid: true, Setctty: true}
	var seen lockedBuffer
	if err := c.Start(); err != nil {
		t.Fatal(err)
	}
	_ = line.Close()
	read := make(chan struct{})
	go func() {
		defer close(read)
		b := make([]byte, 4096)
		for {
			n, err := terminal.Read(b)
			_, _ = seen.Write(b[:n])
			if err != nil {
				return // EIO when the last writer has gone
			}
		}
	}()
	until(t, "a page", settle, func() error {
		if !strings.Contains(seen.String(), "SAFE") {
			return fmt.Errorf("%q", seen.String())
		}
		return nil
	})
	a.must(t, "hierarchy", "create", "seen")
	until(t, "the change is shown", settle, func() error {
		if !strings.Contains(seen.String(), "seen") || strings.Count(seen.String(), "\x1b[2J") < 2 {
			return fmt.Errorf("%q", seen.String())
		}
		return nil
	})
	_, _ = terminal.Write([]byte{3}) // Ctrl-C, as typed
	if err := c.Wait(); err != nil {
		t.Errorf("status --watch ends with %v", err)
	}
	<-read
	a.must(t, "hierarchy", "delete", "seen")
}

// daemonKilled kills the owner's daemon: the guardian holds everything up.
func daemonKilled(t *testing.T, s *shop) {
	a := s.nodes[0]
	pid, daemon := servicePID(t, s.service), a.daemon()
	if err := syscall.Kill(daemon, syscall.SIGKILL); err != nil {
		t.Fatal(err)
	}
	until(t, "the daemon is back", settle, func() error {
		if now := a.daemon(); now == 0 || now == daemon {
			return fmt.Errorf("daemon %d", now)
		}
		return nil
	})
	servedBy(t, a, "app", "a")
	a.admitted(t)
	if now := servicePID(t, s.service); now != pid {
		t.Errorf("the service was started again: process %d, then %d", pid, now)
	}
}

// stopAndKeep stops the owner's daemon with its services running on, for longer
// than any lease, and starts it again.
func stopAndKeep(t *testing.T, s *shop) {
	a, b := s.nodes[0], s.nodes[1]
	pid := servicePID(t, s.service)
	a.must(t, "node", "stop", "--keep")
	a.ended(t, settle)
	until(t, "the other node says so", settle, func() error {
		if page := b.perdure("status").out; !strings.Contains(page, "unmanaged") {
			return errors.New(page)
		}
		return nil
	})
	long := time.NewTimer(4 * time.Second)
	defer long.Stop()
	<-long.C
	if now := servicePID(t, s.service); now != pid {
		t.Errorf("the service didn't run on: process %d, then %d", pid, now)
	}
	if at, err := b.owner("app"); at != "a" {
		t.Errorf("the hierarchy moved to %q: %v", at, err)
	}
	a.on(t, cluster.RoleNode)
	a.admitted(t)
	servedBy(t, b, "app", "a")
	if now := servicePID(t, s.service); now != pid {
		t.Errorf("the service was started again: process %d, then %d", pid, now)
	}
}

// cleanStop stops the owner: the service moves first.
func cleanStop(t *testing.T, s *shop) {
	a, b := s.nodes[0], s.nodes[1]
	pid := servicePID(t, s.service)
	a.must(t, "node", "stop")
	a.ended(t, settle)
	servedBy(t, b, "app", "b")
	if alive(pid) {
		t.Errorf("process %d still runs on the node that left", pid)
	}
	servicePID(t, s.service)
	a.on(t, cluster.RoleNode)
	a.admitted(t)
}

// restartAll stops everything at once, as before a power cut that was announced,
// and starts it again: what was in service comes back by itself.
func restartAll(t *testing.T, s *shop) {
	pid := servicePID(t, s.service)
	for _, m := range s.nodes {
		if m.top == nil {
			t.Fatalf("%s isn't on", m.name)
		}
		_ = m.top.Process.Signal(syscall.SIGTERM)
	}
	for _, m := range s.nodes {
		m.ended(t, 30*time.Second)
	}
	if alive(pid) {
		t.Errorf("process %d still runs", pid)
	}
	for i, m := range s.nodes {
		m.on(t, []cluster.Role{cluster.RoleNode, cluster.RoleNode, cluster.RoleWitness}[i])
	}
	until(t, "the service is back", settle, func() error {
		_, err := s.nodes[0].owner("app")
		return err
	})
	servicePID(t, s.service)
	until(t, "safe again", settle, func() error {
		if line := first(s.nodes[0]); !strings.HasPrefix(line, "SAFE: ") {
			return errors.New(s.nodes[0].perdure("status").out)
		}
		return nil
	})
}
