package mysql

import (
	"context"
	"errors"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Check implements [kit.Resource]. The light one looks at the process; the deep
// one queries.
func (s *Server) Check(ctx context.Context, depth kit.Depth) kit.Health {
	id, runs, err := s.Running()
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	if err := s.Output().Bound(); err != nil {
		s.in.Log.Warn("output file can't be bounded", "err", err)
	}
	switch {
	case id.PID == 0:
		if pid, there := s.stranger(); there {
			return kit.Because(cluster.Failed, message.DatabaseForeign, s.data(), pid)
		}
		return kit.Because(cluster.OutOfService, message.DatabaseNotRunning, s.name())
	case !runs:
		return s.ended(id.PID)
	case s.in.Frozen():
		return kit.Because(cluster.Unknown, message.DatabaseFrozen, s.name())
	case id.Stopped():
		return kit.Because(cluster.Failed, message.DatabaseFrozen, s.name())
	}
	if depth == kit.Deep {
		if err := s.ask(ctx); errors.Is(err, context.Canceled) {
			return kit.BecauseOf(cluster.Unknown, err) // nobody waits for the answer any more
		} else if err != nil {
			return kit.BecauseOf(cluster.Failed, err)
		}
	}
	return kit.Healthy
}

func (s *Server) ended(pid int) kit.Health {
	return kit.Because(cluster.Failed, message.DatabaseEnded, s.name(), pid, s.Output().Tail(0))
}

// ask queries the server as a client does, over its socket.
func (s *Server) ask(ctx context.Context) error {
	v := s.in.Values
	client, err := find(v.String("client"), "mariadb", "mysql")
	if err != nil {
		return err
	}
	who := v.String("client.user")
	c := kit.Command{Action: "query", Argv: []string{client, "--socket=" + s.socket(), "--user=" + who, "--batch", "--skip-column-names",
		"--connect-timeout=10", "-e", v.String("query")}}
	if who != "root" {
		c.User = who
	} else {
		c.Env = []string{"HOME=/root"}
	}
	r, err := s.in.Runner.Run(ctx, c)
	if err != nil {
		if errors.Is(err, context.Canceled) {
			return err
		}
		return message.New(message.DatabaseNoAnswer, s.name(), err.Error()).Wrap(err)
	}
	if r.ExitCode != 0 {
		return message.New(message.DatabaseNoAnswer, s.name(), r.Tail)
	}
	return nil
}

// find is a program by its setting, or the first of its usual names.
func find(given string, names ...string) (string, error) {
	if given != "" {
		names = []string{given}
	}
	var last error
	for _, n := range names {
		path, err := kit.Executable(n)
		if err == nil {
			return path, nil
		}
		last = err
	}
	return "", message.New(message.DatabaseNoProgram, "MariaDB/MySQL", names).Wrap(last)
}

// Validate implements [kit.Validator]. The data is on a disk that may not be
// here yet, so only what is on every node is asked for.
func (s *Server) Validate(context.Context) error {
	v := s.in.Values
	for _, who := range []string{v.String("user"), v.String("client.user")} {
		if err := kit.CheckUser(who); err != nil {
			return err
		}
	}
	if _, err := find(v.String("bin"), "mariadbd", "mysqld"); err != nil {
		return err
	}
	_, err := find(v.String("client"), "mariadb", "mysql")
	return err
}

// Ready implements [kit.Standby].
func (s *Server) Ready(ctx context.Context) kit.Health {
	if err := s.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if h := s.Check(ctx, kit.Light); h.Status != cluster.OutOfService {
		return h
	}
	return kit.Health{Status: cluster.OutOfService}
}
