package mysql

import (
	"context"
	"os"
	"os/user"
	"path/filepath"
	"strconv"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// greetPoll is the time between two looks at a starting server.
const greetPoll = 20 * time.Millisecond

// Server is one MariaDB or MySQL server on this node.
type Server struct {
	kit.Server
	in kit.Instance
}

func (s *Server) data() string   { return s.in.Values.String("data") }
func (s *Server) socket() string { return s.in.Values.String("socket") }
func (s *Server) name() string   { return "MariaDB/MySQL in " + s.data() }

// Start implements [kit.Resource].
func (s *Server) Start(ctx context.Context, _ cluster.Release) error {
	if err := s.in.ClearFrozen(ctx); err != nil {
		return err
	}
	id, runs, err := s.Running()
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
	return s.begin(id)
}

func (s *Server) begin(id proc.ID) error {
	return s.Begin(id, func() kit.Health { return s.ended(id.PID) })
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
	v := s.in.Values
	bin, err := find(v.String("bin"), "mariadbd", "mysqld")
	if err != nil {
		return proc.ID{}, err
	}
	argv := []string{bin}
	if c := v.String("config"); c != "" {
		argv = append(argv, "--defaults-file="+c) // must be the first
	}
	argv = append(argv, "--datadir="+s.data(), "--socket="+s.socket(), "--pid-file="+filepath.Join(s.data(), "perdure.pid"))
	return s.Launch(kit.Launch{Argv: append(argv, v.List("options")...), User: v.String("user")})
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
			return message.New(message.DatabaseNotStarted, s.name(), s.Output().Tail(0))
		}
		select {
		case <-ctx.Done():
			return message.New(message.DatabaseNotStarted, s.name(), err.Error()).Wrap(err)
		case <-tick.C:
		}
	}
}

// Stop implements [kit.Resource].
func (s *Server) Stop(ctx context.Context) error { return s.End(ctx, syscall.SIGTERM) }

// Adopt implements [kit.Adopter].
func (s *Server) Adopt(context.Context) (bool, error) {
	id, runs, err := s.Running()
	if err != nil || !runs {
		return false, err
	}
	return true, s.begin(id)
}
