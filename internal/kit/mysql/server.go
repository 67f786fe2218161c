package mysql

import (
	"context"
	"errors"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// stateFile holds the identity of the server's process.
const stateFile = "mysql.json"

// greetPoll is the time between two looks at a starting server.
const greetPoll = 20 * time.Millisecond

// Server is one MariaDB or MySQL server on this node.
type Server struct {
	in   kit.Instance
	life kit.Life
}

func (s *Server) data() string   { return s.in.Values.String("data") }
func (s *Server) socket() string { return s.in.Values.String("socket") }
func (s *Server) name() string   { return "MariaDB/MySQL in " + s.data() }

func (s *Server) output() kit.Output {
	return kit.Output{Path: filepath.Join(s.in.RunDir, "output"), Max: 1 << 20}
}

// running is the process that was started here, if it lives.
func (s *Server) running() (proc.ID, bool, error) {
	var id proc.ID
	was, err := s.in.LoadState(stateFile, &id)
	return id, was && id.Alive(), err
}

// Start implements [kit.Resource].
func (s *Server) Start(ctx context.Context, _ cluster.Release) error {
	if err := s.in.ClearFrozen(ctx); err != nil {
		return err
	}
	id, runs, err := s.running()
	if err != nil {
		return err
	}
	if !runs {
		if err := s.free(ctx); err != nil {
			return err
		}
		if id, err = s.launch(); err != nil {
			return err
		}
	}
	if err := s.greeted(ctx, id); err != nil {
		return err
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

// free ends what an earlier life left, and refuses where another server answers
// at the socket: two on one directory would fight for its lock.
func (s *Server) free(ctx context.Context) error {
	if err := s.in.EndService(ctx); err != nil {
		return err
	}
	if _, err := os.Stat(filepath.Join(s.data(), "mysql")); err != nil {
		return message.New(message.DatabaseNoData, s.data(), "MariaDB or MySQL", err.Error())
	}
	if pid, there := s.stranger(); there {
		return message.New(message.DatabaseForeign, s.data(), pid)
	}
	return s.prepareSocket()
}

// stranger is a server on the same data that is not ours: it works in the data
// directory.
func (s *Server) stranger() (int, bool) {
	links, _ := filepath.Glob("/proc/[0-9]*/cwd")
	for _, l := range links {
		at, err := os.Readlink(l)
		if err != nil || at != s.data() {
			continue
		}
		dir := filepath.Dir(l)
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		exe, _ := os.Readlink(dir + "/exe")
		if _, err := proc.Identify(pid); err == nil && (filepath.Base(exe) == "mariadbd" || filepath.Base(exe) == "mysqld") {
			return pid, true
		}
	}
	return 0, false
}

// prepareSocket makes the socket's directory, which is gone after a boot.
func (s *Server) prepareSocket() error {
	dir := filepath.Dir(s.socket())
	if _, err := os.Stat(dir); err == nil {
		return nil
	}
	if err := os.MkdirAll(dir, 0o755); err != nil {
		return message.New(message.DatabaseNotStarted, s.name(), err.Error()).Wrap(err)
	}
	u, err := user.Lookup(s.in.Values.String("user"))
	if err != nil {
		return message.New(message.NoSuchUser, s.in.Values.String("user")).Wrap(err)
	}
	uid, _ := strconv.Atoi(u.Uid)
	gid, _ := strconv.Atoi(u.Gid)
	if err := os.Chown(dir, uid, gid); err != nil {
		return message.New(message.DatabaseNotStarted, s.name(), err.Error()).Wrap(err)
	}
	return nil
}

func (s *Server) launch() (proc.ID, error) {
	v, out := s.in.Values, s.output()
	bin, err := find(v.String("bin"), "mariadbd", "mysqld")
	if err != nil {
		return proc.ID{}, err
	}
	argv := []string{bin}
	if c := v.String("config"); c != "" {
		argv = append(argv, "--defaults-file="+c) // must be the first
	}
	argv = append(argv, "--datadir="+s.data(), "--socket="+s.socket(), "--pid-file="+filepath.Join(s.data(), "perdure.pid"))
	out.Bound() // at worst the file grows
	l := kit.Launch{Argv: append(argv, v.List("options")...), User: v.String("user"), Output: out,
		Env: []string{s.in.ServiceMark(), "PERDURE_RESOURCE=" + s.in.Resource, "PERDURE_HIERARCHY=" + s.in.Hierarchy}}
	if s.in.Group != "" {
		if l.Group, err = cgroup.Make(s.in.Group); err != nil {
			return proc.ID{}, message.New(message.DatabaseNotStarted, s.name(), err.Error()).Wrap(err)
		}
	}
	from := out.Size()
	cmd, err := l.Start()
	if err != nil {
		return proc.ID{}, err
	}
	id, err := proc.Identify(cmd.Process.Pid)
	go cmd.Wait() // it is ours until it ends; whoever watches it waits by its id
	if err != nil {
		return proc.ID{}, message.New(message.DatabaseNotStarted, s.name(), out.Tail(from))
	}
	return id, s.in.SaveState(stateFile, id)
}

// greeted waits until the server greets clients, or has ended.
func (s *Server) greeted(ctx context.Context, id proc.ID) error {
	tick := time.NewTicker(greetPoll)
	defer tick.Stop()
	for {
		err := greet(ctx, s.socket())
		switch {
		case err == nil:
			return nil
		case !id.Alive():
			return message.New(message.DatabaseNotStarted, s.name(), s.output().Tail(0))
		}
		select {
		case <-ctx.Done():
			return message.New(message.DatabaseNotStarted, s.name(), err.Error()).Wrap(err)
		case <-tick.C:
		}
	}
}

// Stop implements [kit.Resource].
func (s *Server) Stop(ctx context.Context) error {
	id, runs, err := s.running()
	if err != nil {
		return err
	}
	s.life.End()
	if runs && !s.in.Frozen() {
		if err := s.askToEnd(ctx, id); err != nil {
			s.in.Log.Warn("the database did not stop in its own way and is killed; its next start recovers", "data", s.data(), "err", err)
		}
	}
	if err := s.in.EndService(ctx); err != nil {
		return err
	}
	s.life.Feed.Clear()
	return s.in.DropState(stateFile)
}

func (s *Server) askToEnd(ctx context.Context, id proc.ID) error {
	h, err := proc.Open(id)
	if kit.Gone(err) {
		return nil
	}
	if err != nil {
		return err
	}
	defer h.Close()
	if err := h.Signal(syscall.SIGTERM); err != nil {
		return err
	}
	var over <-chan time.Time
	if limit := kit.StopTime(ctx); limit > 0 {
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
	id, runs, err := s.running()
	if err != nil || !runs {
		return false, err
	}
	return true, s.begin(id)
}

// Addresses implements [kit.Guarded].
func (s *Server) Addresses() ([]kit.GuardedAddress, error) { return nil, nil }

// Cgroup implements [kit.Guarded].
func (s *Server) Cgroup() string { return s.in.Group }
