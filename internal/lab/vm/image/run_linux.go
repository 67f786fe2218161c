package image

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"syscall"
	"time"
)

// command is one run of a program.
type command struct {
	argv  []string
	limit time.Duration // upper bound of its time
	dir   string
	env   []string // beside the builder's own
	stdin io.Reader
	// stdout takes the output; nil: it is kept for the error beside stderr.
	stdout io.Writer
	// line hears each line that isn't in stdout.
	line func(string)
}

// run runs a command to its end. It has process and mount namespaces of its own:
// when it ends, is cancelled or the builder dies, its children and mounts go with
// it.
func run(ctx context.Context, c command) error {
	ctx, cancel := context.WithTimeoutCause(ctx, c.limit, fmt.Errorf("not finished after %v", c.limit))
	defer cancel()
	// The kernel's notice of the parent's death is about the thread.
	runtime.LockOSThread()
	defer runtime.UnlockOSThread()
	said := &tail{line: c.line}
	cmd := exec.CommandContext(ctx, c.argv[0], c.argv[1:]...)
	cmd.Dir = c.dir
	// Messages are read by us, and names are in English for errors to be searched.
	cmd.Env = append(append(os.Environ(), "LC_ALL=C.UTF-8", "DEBIAN_FRONTEND=noninteractive"), c.env...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = c.stdin, c.stdout, said
	if c.stdout == nil {
		cmd.Stdout = said
	}
	cmd.WaitDelay = 10 * time.Second
	cmd.SysProcAttr = &syscall.SysProcAttr{
		Setsid:       true,
		Cloneflags:   syscall.CLONE_NEWPID,
		Unshareflags: syscall.CLONE_NEWNS,
		Pdeathsig:    syscall.SIGKILL,
	}
	err := cmd.Run()
	if err == nil {
		return nil
	}
	if ctx.Err() != nil {
		return fmt.Errorf("run %s: %w", c.argv[0], context.Cause(ctx))
	}
	failed := &runError{argv: c.argv, said: said.String(), err: err}
	if strings.Contains(failed.said, "No space left on device") {
		return fmt.Errorf("%w: %w", errNoSpace, failed)
	}
	return failed
}

// output is what a short command prints.
func output(ctx context.Context, argv ...string) (string, error) {
	var out bytes.Buffer
	err := run(ctx, command{argv: argv, limit: time.Minute, stdout: &out})
	return out.String(), err
}

var errNoSpace = errors.New("the disk is full")

// runError is a command that failed, with the end of what it said.
type runError struct {
	argv []string
	said string
	err  error
}

func (e *runError) Error() string {
	text := fmt.Sprintf("run %s: %v", e.argv[0], e.err)
	if said := strings.TrimSpace(e.said); said != "" {
		text += "; it said:\n" + said
	}
	return text
}

func (e *runError) Unwrap() error { return e.err }

// tail keeps the last lines written and hands on each.
type tail struct {
	line func(string)
	rest []byte
	kept []string
}

const (
	tailLines = 20
	tailLine  = 4096 // bytes of a line without an end
)

func (t *tail) Write(p []byte) (int, error) {
	t.rest = append(t.rest, p...)
	for {
		start := t.rest[:min(len(t.rest), tailLine)]
		switch i := bytes.IndexAny(start, "\n\r"); {
		case i >= 0:
			t.add(string(t.rest[:i]))
			t.rest = t.rest[i+1:]
		case len(start) == tailLine:
			t.add(string(start))
			t.rest = t.rest[tailLine:]
		default:
			return len(p), nil
		}
	}
}

func (t *tail) add(line string) {
	if strings.TrimSpace(line) == "" {
		return
	}
	if t.line != nil {
		t.line(line)
	}
	t.kept = append(t.kept, line)
	if len(t.kept) > tailLines {
		t.kept = t.kept[1:]
	}
}

func (t *tail) String() string {
	return strings.Join(append(t.kept, string(t.rest)), "\n")
}
