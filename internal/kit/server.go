package kit

import (
	"context"
	"errors"
	"path/filepath"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// Server is a program that serves in the foreground, in the resource's own
// group: what kits of servers have in common. They know how it is started, when
// it is ready and what it should answer.
type Server struct {
	In   Instance
	Life Life
}

// serverFile holds the identity of the program.
const serverFile = "server.json"

// Output is where it prints.
func (s *Server) Output() Output {
	return Output{Path: filepath.Join(s.In.RunDir, "output"), Max: 1 << 20}
}

// Running is the program that was started here, and whether it lives. The zero
// ID: none was.
func (s *Server) Running() (proc.ID, bool, error) {
	var id proc.ID
	was, err := s.In.LoadState(serverFile, &id)
	return id, was && id.Alive(), err
}

// Launch starts the program. Output, group and mark are filled in.
func (s *Server) Launch(l Launch) (proc.ID, error) {
	l.Output = s.Output()
	l.Output.Bound() // at worst the file grows
	l.Env = append([]string{s.In.ServiceMark(), "PERDURE_RESOURCE=" + s.In.Resource, "PERDURE_HIERARCHY=" + s.In.Hierarchy}, l.Env...)
	if s.In.Group != "" {
		g, err := cgroup.Make(s.In.Group)
		if err != nil {
			return proc.ID{}, message.New(message.CommandNotStarted, JoinWords(l.Argv), err.Error()).Wrap(err)
		}
		l.Group = g
	}
	from := l.Output.Size()
	cmd, err := l.Start()
	if err != nil {
		return proc.ID{}, err
	}
	id, err := proc.Identify(cmd.Process.Pid)
	// It outlives this daemon, so nobody waits for this: it ends with the
	// program, whose end is known by its identity.
	go cmd.Wait()
	if err != nil {
		return proc.ID{}, message.New(message.ProcessEndedEarly, err.Error(), l.Output.Tail(from))
	}
	return id, s.In.SaveState(serverFile, id)
}

// Begin watches the program from now on; judge says what its end means.
func (s *Server) Begin(id proc.ID, judge func() Health) error {
	s.Life.Feed.Clear()
	err := s.Life.Begin(id, judge)
	if Gone(err) {
		return message.Reason(judge().Reason).Err()
	}
	if err != nil {
		return message.New(message.ProcessNotAdopted, id.PID).Wrap(err)
	}
	return nil
}

// End asks the program to end, and ends all that is left of it.
func (s *Server) End(ctx context.Context, sig syscall.Signal) error {
	id, runs, err := s.Running()
	if err != nil {
		return err
	}
	s.Life.End()
	if runs && !s.In.Frozen() {
		if err := askToEnd(ctx, id, sig); err != nil {
			s.In.Log.Warn("the program did not end in its own way and is killed", "pid", id.PID, "err", err)
		}
	}
	if err := s.In.EndService(ctx); err != nil {
		return err
	}
	s.Life.Feed.Clear()
	return s.In.DropState(serverFile)
}

func askToEnd(ctx context.Context, id proc.ID, sig syscall.Signal) error {
	h, err := proc.Open(id)
	if Gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.Signal(sig); err != nil {
		return err
	}
	var over <-chan time.Time
	if limit := StopTime(ctx); limit > 0 {
		timer := time.NewTimer(limit)
		defer timer.Stop()
		over = timer.C
	}
	select {
	case <-h.Done():
		return nil
	case <-over:
		return errors.New("it didn't end in time")
	case <-ctx.Done():
		return ctx.Err()
	}
}

// Close stops watching; the program runs on.
func (s *Server) Close() error {
	s.Life.End()
	return nil
}

// Watch implements [Watcher].
func (s *Server) Watch(ctx context.Context, report func(Event)) error {
	return s.Life.Feed.Watch(ctx, report)
}

// Addresses implements [Guarded].
func (s *Server) Addresses() ([]GuardedAddress, error) { return nil, nil }

// Cgroup implements [Guarded].
func (s *Server) Cgroup() string { return s.In.Group }
