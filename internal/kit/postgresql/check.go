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

// Check implements [kit.Resource]. The light one looks at the process and
// touches neither the data nor the server.
func (s *Server) Check(ctx context.Context, depth kit.Depth) kit.Health {
	var id proc.ID
	was, err := s.in.LoadState(stateFile, &id)
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	if !was {
		return s.stranger()
	}
	if err := s.output().Bound(); err != nil {
		s.in.Log.Warn("output file can't be bounded", "err", err)
	}
	switch {
	case !id.Alive():
		return s.ended(id.PID)
	case s.in.Frozen():
		return kit.Because(cluster.Unknown, message.DatabaseFrozen, s.name())
	case id.Stopped():
		return kit.Because(cluster.Failed, message.DatabaseFrozen, s.name())
	}
	if depth == kit.Deep {
		if err := s.ask(ctx); err != nil {
			return kit.BecauseOf(judge(err), err)
		}
	}
	return kit.Healthy
}

// stranger judges a server that was not brought in service here.
func (s *Server) stranger() kit.Health {
	_, id, runs := s.running()
	switch {
	case !runs:
		return kit.Because(cluster.OutOfService, message.DatabaseNotRunning, s.name())
	case s.in.Owns(id.PID):
		return kit.Because(cluster.Unknown, message.ProcessNotAdopted, id.PID)
	}
	return kit.Because(cluster.Failed, message.DatabaseForeign, s.data(), id.PID)
}

func (s *Server) ended(pid int) kit.Health {
	return kit.Because(cluster.Failed, message.DatabaseEnded, s.name(), pid, s.output().Tail(0))
}

// ask queries the server as a client does, over its socket.
func (s *Server) ask(ctx context.Context) error {
	bin, err := s.programs()
	if err != nil {
		return err
	}
	f, _, runs := s.running()
	if !runs {
		return message.New(message.DatabaseNotRunning, s.name())
	}
	v := s.in.Values
	argv := []string{filepath.Join(bin, "psql"), "-XAtqw", "-v", "ON_ERROR_STOP=1", "-d", v.String("database")}
	switch {
	case f.socket != "":
		argv = append(argv, "-h", f.socket)
	case f.listen != "" && f.listen != "*":
		argv = append(argv, "-h", f.listen)
	default:
		argv = append(argv, "-h", "localhost")
	}
	if f.port > 0 {
		argv = append(argv, "-p", strconv.Itoa(f.port))
	}
	if role := v.String("role"); role != "" {
		argv = append(argv, "-U", role)
	}
	r, err := s.run(ctx, kit.Command{Action: "query", Argv: append(argv, "-c", v.String("query")), Env: []string{"PGAPPNAME=perdure"}})
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

func judge(err error) cluster.Status {
	if errors.Is(err, context.Canceled) { // nobody waits for the answer any more
		return cluster.Unknown
	}
	return cluster.Failed
}

// programs finds pg_ctl and psql for the version of the data.
func (s *Server) programs() (string, error) {
	bin := s.in.Values.String("bin")
	if bin == "" {
		version, err := s.version()
		if err != nil {
			return "", err
		}
		for _, dir := range []string{"/usr/lib/postgresql/" + version + "/bin", "/usr/pgsql-" + version + "/bin", "/usr/bin", "/usr/local/bin"} {
			if _, err := os.Stat(filepath.Join(dir, "pg_ctl")); err == nil {
				bin = dir
				break
			}
		}
		if bin == "" {
			return "", message.New(message.DatabaseNoProgram, "PostgreSQL "+version, "no pg_ctl")
		}
	}
	for _, p := range []string{"pg_ctl", "psql", "postgres"} {
		if _, err := kit.Executable(filepath.Join(bin, p)); err != nil {
			return "", message.New(message.DatabaseNoProgram, "PostgreSQL", filepath.Join(bin, p)).Wrap(err)
		}
	}
	return bin, nil
}

// version is that of the data: 15, or 9.6.
func (s *Server) version() (string, error) {
	b, err := os.ReadFile(filepath.Join(s.data(), "PG_VERSION"))
	if err != nil {
		return "", message.New(message.DatabaseNoData, s.data(), "PostgreSQL", err.Error())
	}
	v := strings.TrimSpace(string(b))
	if _, err := strconv.ParseFloat(v, 64); err != nil || len(v) > 8 {
		return "", message.New(message.DatabaseNoData, s.data(), "PostgreSQL", "PG_VERSION is no version")
	}
	return v, nil
}

// Validate implements [kit.Validator]. The data is on a disk that may not be
// here yet, so only what is on every node is asked for.
func (s *Server) Validate(context.Context) error {
	if err := kit.CheckUser(s.in.Values.String("user")); err != nil {
		return err
	}
	_, err := s.programs()
	if !message.Has(err, message.DatabaseNoData) {
		return err
	}
	for _, pattern := range []string{"/usr/lib/postgresql/*/bin/pg_ctl", "/usr/pgsql-*/bin/pg_ctl", "/usr/bin/pg_ctl", "/usr/local/bin/pg_ctl"} {
		if found, _ := filepath.Glob(pattern); len(found) > 0 {
			return nil
		}
	}
	return message.New(message.DatabaseNoProgram, "PostgreSQL", "no pg_ctl")
}

// Ready implements [kit.Standby].
func (s *Server) Ready(ctx context.Context) kit.Health {
	if err := s.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if h := s.stranger(); h.Status != cluster.OutOfService {
		return h
	}
	return kit.Health{Status: cluster.OutOfService}
}
