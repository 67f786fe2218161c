package kit

import (
	"context"
	"errors"
	"fmt"
	"os"
	"os/exec"
	"path/filepath"
	"sync"
	"sync/atomic"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// Exec runs commands on this machine.
type Exec struct {
	// Dir takes the files of output.
	Dir string
	// Env is added for every command.
	Env []string
	// Service is the group in which a Keep command leaves what it started;
	// empty: none.
	Service string
	// Commands is the group that has one group for each other command; empty:
	// none. It must not be inside Service, or a stop command would stand still
	// when the service is frozen.
	Commands string
}

// killGrace bounds the wait for a killed tree (2 s): what waits for a dead disk
// in the kernel can't be killed.
const killGrace = 2 * time.Second

// outputCheck is how often the size of a running command's output is looked at.
const outputCheck = 200 * time.Millisecond

// commandCount tells commands apart that run at the same time.
var commandCount atomic.Uint64

// hung holds, for each file of output, the end of the command that could not
// be killed: as long as it waits in the kernel, another one would wait beside
// it, and after a night there would be thousands.
var hung sync.Map // path of the output → chan struct{}, closed at the end

// Run implements [Runner]. When it returns, the command and, unless Keep, all
// that it started are gone, except for what can't be killed.
func (e Exec) Run(ctx context.Context, c Command) (Result, error) {
	r := Result{Command: c.Line(), ExitCode: -1}
	begun := time.Now()
	if ctx.Err() != nil {
		return r, message.New(message.CommandTimedOut, r.Command, time.Duration(0), "").Wrap(ctx.Err())
	}
	out := Output{Path: filepath.Join(e.Dir, c.Action+".out"), Max: int64(c.Capture)}
	if e.waits(out.Path) {
		return r, message.New(message.CommandStuck, r.Command, killGrace)
	}
	if err := out.Bound(); err != nil && !errors.Is(err, os.ErrNotExist) {
		return r, message.New(message.CommandNotStarted, r.Command, err.Error()).Wrap(err)
	}
	from := out.Size()
	t, err := e.tree(c)
	if err != nil {
		return r, message.New(message.CommandNotStarted, r.Command, err.Error()).Wrap(err)
	}
	env := append(append(append([]string{}, e.Env...), "PERDURE_ACTION="+c.Action, t.mark), c.Env...)
	if c.Keep {
		env = append(env, serviceMark(e.Dir))
	}
	cmd, err := Launch{Argv: c.Argv, Env: env, Dir: c.Dir, User: c.User, Input: c.Input, Output: out, Group: t.group}.Start()
	if err != nil {
		t.clean()
		return r, err
	}
	t.root, _ = proc.Identify(cmd.Process.Pid) // it may be over; then the mark tells
	if c.Timeout > 0 {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, c.Timeout)
		defer cancel()
	}
	ended, err := e.wait(ctx, cmd, out, t)
	r.Took, r.Tail = time.Since(begun), out.Tail(from)
	if c.Capture > 0 {
		r.Output = out.Since(from)
	}
	switch {
	case err != nil:
		return r, message.New(message.CommandStuck, r.Command, killGrace).Wrap(err)
	case ctx.Err() != nil && ended != nil:
		return r, message.New(message.CommandTimedOut, r.Command, r.Took, r.Tail).Wrap(ctx.Err())
	}
	if !c.Keep {
		if err := t.kill(); err != nil {
			return r, message.New(message.CommandStuck, r.Command, killGrace).Wrap(err)
		}
		t.clean()
	}
	var exit *exec.ExitError
	if errors.As(ended, &exit) {
		if sig := killedBy(exit.ProcessState); sig != "" {
			return r, message.New(message.CommandKilled, r.Command, sig, r.Tail)
		}
		r.ExitCode = exit.ExitCode()
		return r, nil
	}
	if ended != nil {
		return r, message.New(message.CommandNotStarted, r.Command, ended.Error()).Wrap(ended)
	}
	r.ExitCode = 0
	return r, nil
}

// wait returns how the command ended. If the context ends first, the tree is
// killed; the second error says that it could not be.
func (e Exec) wait(ctx context.Context, cmd *exec.Cmd, out Output, t *tree) (ended, stuck error) {
	done, gone := make(chan error, 1), make(chan struct{})
	go func() {
		done <- cmd.Wait()
		close(gone)
	}()
	tick := time.NewTicker(outputCheck)
	defer tick.Stop()
	for {
		select {
		case err := <-done:
			return err, nil
		case <-tick.C:
			out.Bound() // at worst the file grows
		case <-ctx.Done():
			stuck := t.kill()
			select {
			case err := <-done:
				if err == nil { // it ended by itself in the same moment
					return nil, stuck
				}
				return err, stuck
			case <-time.After(killGrace):
				hung.Store(out.Path, gone)
				return ctx.Err(), errors.Join(stuck, fmt.Errorf("process %d didn't end", cmd.Process.Pid))
			}
		}
	}
}

// waits reports whether an earlier command of the kind is still in the kernel.
func (e Exec) waits(path string) bool {
	gone, there := hung.Load(path)
	if !there {
		return false
	}
	select {
	case <-gone.(chan struct{}):
		hung.CompareAndDelete(path, gone)
		return false
	default:
		return true
	}
}

// tree is the processes of one command.
type tree struct {
	group cgroup.Group
	mark  string
	root  proc.ID
	own   bool // the group is this command's alone
}

func (e Exec) tree(c Command) (*tree, error) {
	n := commandCount.Add(1)
	t := &tree{mark: fmt.Sprintf("PERDURE_COMMAND=%s/%s.%d.%d", e.Dir, c.Action, os.Getpid(), n)}
	path := ""
	switch {
	case c.Keep && e.Service != "":
		path = filepath.Join(e.Service, c.Action)
	case !c.Keep && e.Commands != "":
		path = filepath.Join(e.Commands, fmt.Sprintf("%s.%d.%d", c.Action, os.Getpid(), n))
		t.own = true
	}
	if path == "" {
		return t, nil
	}
	g, err := cgroup.Make(path)
	t.group = g
	return t, err
}

func (t *tree) kill() error {
	ctx, cancel := context.WithTimeout(context.Background(), killGrace)
	defer cancel()
	if t.group.Path() != "" {
		return t.group.Kill(ctx)
	}
	return proc.KillTree(ctx, proc.Match{Root: t.root, Mark: t.mark})
}

func (t *tree) clean() {
	if t.own {
		t.group.Remove() // at worst an empty directory stays
	}
}

func killedBy(s *os.ProcessState) string {
	if w, ok := s.Sys().(syscall.WaitStatus); ok && w.Signaled() {
		return w.Signal().String()
	}
	return ""
}
