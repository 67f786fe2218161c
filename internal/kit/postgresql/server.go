package postgresql

import (
	"context"
	"errors"
	"os"
	"path/filepath"
	"strconv"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// stateFile holds the identity of the postmaster.
const stateFile = "postgresql.json"

// Server is one PostgreSQL server on this node.
type Server struct {
	in   kit.Instance
	life kit.Life
}

func (s *Server) data() string { return s.in.Values.String("data") }
func (s *Server) name() string { return "PostgreSQL in " + s.data() }

// running is the server's process, if it runs: whoever started it.
func (s *Server) running() (pidFile, proc.ID, bool) {
	f, err := readPidFile(s.data())
	if err != nil || !postmaster(f.pid, s.data()) {
		return f, proc.ID{}, false
	}
	id, err := proc.Identify(f.pid)
	return f, id, err == nil
}

// Start implements [kit.Resource].
func (s *Server) Start(ctx context.Context, _ cluster.Release) error {
	if err := s.in.ClearFrozen(ctx); err != nil {
		return err
	}
	bin, err := s.programs()
	if err != nil {
		return err
	}
	if _, id, runs := s.running(); runs {
		if !s.in.Owns(id.PID) {
			return message.New(message.DatabaseForeign, s.data(), id.PID)
		}
	} else {
		if err := s.clean(ctx); err != nil {
			return err
		}
		if err := s.launch(ctx, bin); err != nil {
			return err
		}
	}
	_, id, runs := s.running()
	if !runs {
		return message.New(message.DatabaseNotStarted, s.name(), s.output().Tail(0))
	}
	if err := s.ask(ctx); err != nil {
		return err
	}
	s.life.Feed.Clear()
	return s.begin(id)
}

func (s *Server) begin(id proc.ID) error {
	err := s.life.Begin(id, func() kit.Health { return s.ended(id.PID) })
	if kit.Gone(err) {
		return message.New(message.DatabaseEnded, s.name(), id.PID, s.output().Tail(0))
	}
	if err != nil {
		return message.New(message.ProcessNotAdopted, id.PID).Wrap(err)
	}
	return s.in.SaveState(stateFile, id)
}

// clean removes what an earlier life left: processes, and a postmaster.pid whose
// process is not the server of this directory. PostgreSQL looks itself, but
// refuses when the number is another process of its user.
func (s *Server) clean(ctx context.Context) error {
	if err := s.in.EndService(ctx); err != nil {
		return err
	}
	f, err := readPidFile(s.data())
	if errors.Is(err, errNoPidFile) {
		return nil
	}
	s.in.Log.Warn("postmaster.pid is of an earlier life and is removed", "data", s.data(), "pid", f.pid, "err", err)
	if err := os.Remove(filepath.Join(s.data(), "postmaster.pid")); err != nil {
		return message.New(message.DatabaseNotStarted, s.name(), err.Error()).Wrap(err)
	}
	if f.socket != "" && f.port > 0 {
		s.cleanSocket(filepath.Join(f.socket, ".s.PGSQL."+strconv.Itoa(f.port)))
	}
	return nil
}

// cleanSocket removes the lock of a socket that was this directory's and whose
// process has ended. PostgreSQL takes a process that nobody has reaped yet for
// a living one, and right after a crash there is one.
func (s *Server) cleanSocket(path string) {
	b, err := os.ReadFile(path + ".lock")
	if err != nil {
		return
	}
	lines := strings.SplitN(string(b), "\n", 3)
	f, err := parsePidFile(b)
	if err != nil || len(lines) < 3 || lines[1] != s.data() {
		return
	}
	if _, err := proc.Identify(f.pid); !kit.Gone(err) {
		return
	}
	os.Remove(path + ".lock") // at worst PostgreSQL refuses, and says so
	os.Remove(path)
}

func (s *Server) launch(ctx context.Context, bin string) error {
	argv := []string{filepath.Join(bin, "pg_ctl"), "start", "-D", s.data(), "-w", "-t", seconds(ctx)}
	var options []string
	if c := s.in.Values.String("config"); c != "" {
		options = append(options, "-c", "config_file="+c)
	}
	options = append(options, s.in.Values.List("options")...)
	if len(options) > 0 {
		argv = append(argv, "-o", shellWords(options))
	}
	r, err := s.run(ctx, kit.Command{Action: "start", Argv: argv, Keep: true})
	if err == nil && r.ExitCode == 0 {
		return nil
	}
	if err == nil {
		err = message.New(message.DatabaseNotStarted, s.name(), r.Tail)
	}
	return errors.Join(err)
}

// shellWords quotes words for pg_ctl, which hands its -o to a shell.
func shellWords(words []string) string {
	quoted := make([]string, len(words))
	for i, w := range words {
		quoted[i] = "'" + strings.ReplaceAll(w, "'", `'\''`) + "'"
	}
	return strings.Join(quoted, " ")
}

func (s *Server) run(ctx context.Context, c kit.Command) (kit.Result, error) {
	c.User = s.in.Values.String("user")
	return s.in.Runner.Run(ctx, c)
}

// seconds is the time that is left, as pg_ctl takes it.
func seconds(ctx context.Context) string {
	limit := kit.StopTime(ctx)
	return strconv.Itoa(max(int(limit.Seconds()), 1))
}

// output is where the server's own messages go unless it logs elsewhere.
func (s *Server) output() kit.Output {
	return kit.Output{Path: filepath.Join(s.in.RunDir, "start.out")}
}

// Stop implements [kit.Resource].
func (s *Server) Stop(ctx context.Context) error {
	s.life.End()
	if _, id, runs := s.running(); runs && s.in.Owns(id.PID) {
		if err := s.askToEnd(ctx, id); err != nil {
			s.in.Log.Warn("PostgreSQL did not stop in its own way and is killed; its next start recovers", "data", s.data(), "err", err)
		}
	}
	if err := s.in.EndService(ctx); err != nil {
		return err
	}
	s.life.Feed.Clear()
	return s.in.DropState(stateFile)
}

func (s *Server) askToEnd(ctx context.Context, id proc.ID) error {
	bin, err := s.programs()
	if err != nil {
		return err
	}
	if s.in.Frozen() {
		return errors.New("it is frozen and can't hear")
	}
	mode := s.in.Values.String("stop.mode")
	limit := kit.StopTime(ctx)
	if mode != "immediate" {
		limit -= limit / 4 // for the immediate one after it
	}
	for {
		c := kit.Command{Action: "stop", Argv: []string{filepath.Join(bin, "pg_ctl"), "stop", "-D", s.data(), "-w", "-m", mode,
			"-t", strconv.Itoa(max(int(limit.Seconds()), 1))}, Timeout: limit}
		r, err := s.run(ctx, c)
		if !id.Alive() {
			return nil
		}
		if err == nil {
			err = r.Failed()
		}
		if mode == "immediate" || ctx.Err() != nil {
			return err
		}
		s.in.Log.Warn("PostgreSQL doesn't stop and is told to stop immediately", "data", s.data(), "mode", mode, "err", err)
		mode, limit = "immediate", kit.StopTime(ctx)
	}
}

// Close implements [kit.Resource]: the server runs on.
func (s *Server) Close() error {
	s.life.End()
	return nil
}

// Watch implements [kit.Watcher].
func (s *Server) Watch(ctx context.Context, report func(kit.Event)) error {
	return s.life.Feed.Watch(ctx, report)
}

// Adopt implements [kit.Adopter].
func (s *Server) Adopt(context.Context) (bool, error) {
	_, id, runs := s.running()
	if !runs || !s.in.Owns(id.PID) {
		return false, nil
	}
	return true, s.begin(id)
}

// Addresses implements [kit.Guarded].
func (s *Server) Addresses() ([]kit.GuardedAddress, error) { return nil, nil }

// Cgroup implements [kit.Guarded].
func (s *Server) Cgroup() string { return s.in.Group }
