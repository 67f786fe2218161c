package samba

import (
	"context"
	"errors"
	"os"
	"strings"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// answerPoll is the time between two questions to a starting server.
const answerPoll = 50 * time.Millisecond

// askLimit bounds one question to a starting server, which may not listen yet.
const askLimit = 2 * time.Second

// Samba is one file server on this node.
type Samba struct {
	kit.Server
	in kit.Instance
}

func (s *Samba) config() string { return s.in.Values.String("config") }
func (s *Samba) name() string   { return "Samba with " + s.config() }

// Start implements [kit.Resource].
func (s *Samba) Start(ctx context.Context, _ cluster.Release) error {
	if err := s.in.ClearFrozen(ctx); err != nil {
		return err
	}
	id, runs, err := s.Running()
	if err != nil {
		return err
	}
	if !runs {
		if err := s.in.EndService(ctx); err != nil {
			return err
		}
		if _, err := os.Stat(s.config()); err != nil {
			return message.New(message.ServerConfig, s.config(), err.Error()).Wrap(err)
		}
		v := s.in.Values
		argv := []string{v.String("bin"), "--foreground", "--no-process-group", "--debug-stdout", "--configfile=" + s.config()}
		if id, err = s.Launch(kit.Launch{Argv: append(argv, v.List("options")...)}); err != nil {
			return err
		}
	}
	if err := s.answered(ctx, id); err != nil {
		return err
	}
	return s.Begin(id, func() kit.Health { return s.ended(id.PID) })
}

// answered waits until the server serves, or has ended.
func (s *Samba) answered(ctx context.Context, id proc.ID) error {
	tick := time.NewTicker(answerPoll)
	defer tick.Stop()
	for {
		one, cancel := context.WithTimeout(ctx, askLimit)
		err := negotiate(one, s.in.Values.String("address"))
		cancel()
		switch {
		case err == nil && id.Alive():
			return nil
		case !id.Alive():
			return message.New(message.ServerConfig, s.config(), s.Output().Tail(0))
		}
		select {
		case <-ctx.Done():
			return message.New(message.ServerNoAnswer, s.name(), err.Error()).Wrap(err)
		case <-tick.C:
		}
	}
}

// Stop implements [kit.Resource].
func (s *Samba) Stop(ctx context.Context) error { return s.End(ctx, syscall.SIGTERM) }

// Check implements [kit.Resource].
func (s *Samba) Check(ctx context.Context, depth kit.Depth) kit.Health {
	id, runs, err := s.Running()
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	s.Output().Bound() // at worst the file grows
	switch {
	case id.PID == 0:
		return kit.Because(cluster.OutOfService, message.ProcessNotRunning)
	case !runs:
		return s.ended(id.PID)
	case s.in.Frozen():
		return kit.Because(cluster.Unknown, message.ProcessFrozen, id.PID)
	case id.Stopped():
		return kit.Because(cluster.Failed, message.ProcessStopped, id.PID)
	}
	if depth == kit.Deep {
		if err := negotiate(ctx, s.in.Values.String("address")); errors.Is(err, context.Canceled) {
			return kit.BecauseOf(cluster.Unknown, err) // nobody waits for the answer any more
		} else if err != nil {
			return kit.Because(cluster.Failed, message.ServerNoAnswer, s.name(), err.Error())
		}
	}
	return kit.Healthy
}

func (s *Samba) ended(pid int) kit.Health {
	return kit.Because(cluster.Failed, message.ProcessEnded, pid, "", s.Output().Tail(0))
}

// Validate implements [kit.Validator].
func (s *Samba) Validate(ctx context.Context) error {
	if _, err := kit.Executable(s.in.Values.String("bin")); err != nil {
		return err
	}
	if _, err := os.Stat(s.config()); err != nil {
		return nil // on a disk that comes with the hierarchy
	}
	if _, err := kit.Executable("testparm"); err != nil {
		return nil
	}
	r, err := s.in.Runner.Run(ctx, kit.Command{Action: "testparm", Argv: []string{"testparm", "--suppress-prompt", s.config()}, Capture: 64 << 10})
	if err == nil && (r.ExitCode != 0 || strings.Contains(r.Output, "Unknown parameter")) {
		err = message.New(message.ServerConfig, s.config(), r.Tail)
	}
	return err
}

// Ready implements [kit.Standby].
func (s *Samba) Ready(ctx context.Context) kit.Health {
	if err := s.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if h := s.Check(ctx, kit.Light); h.Status != cluster.OutOfService {
		return h
	}
	return kit.Health{Status: cluster.OutOfService}
}

// Adopt implements [kit.Adopter].
func (s *Samba) Adopt(context.Context) (bool, error) {
	id, runs, err := s.Running()
	if err != nil || !runs {
		return false, err
	}
	return true, s.Begin(id, func() kit.Health { return s.ended(id.PID) })
}
