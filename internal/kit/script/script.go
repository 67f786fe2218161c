package script

import (
	"context"
	"errors"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// Script is one resource that commands take care of.
type Script struct{ in kit.Instance }

// recoverable is a script with a recover command.
type recoverable struct{ *Script }

// Recover implements [kit.Recoverer].
func (r recoverable) Recover(ctx context.Context) error {
	return r.act(ctx, "recover", true)
}

// Start implements [kit.Resource].
func (s *Script) Start(ctx context.Context, how cluster.Release) error {
	if !s.in.Values.Has("start") {
		return nil
	}
	// A group that was frozen at the end of a lease would freeze the command.
	if s.in.Group != "" {
		g := cgroup.At(s.in.Group)
		if frozen, err := g.Frozen(); err == nil && frozen {
			if err := s.killRest(ctx); err != nil {
				return err
			}
		}
	}
	if how == "" {
		how = "fresh"
	}
	return s.act(ctx, "start", true, "PERDURE_START="+string(how))
}

// Stop implements [kit.Resource]. Whatever the start command left running is
// ended as well: out of service means that nothing runs.
func (s *Script) Stop(ctx context.Context) error {
	var err error
	if s.in.Values.Has("stop") {
		err = s.act(ctx, "stop", false)
	}
	return errors.Join(err, s.killRest(ctx))
}

// killReserve is the part of the time for a stop that is kept for killing what
// is left (1 s, or a quarter of a short one).
const killReserve = time.Second

// act runs the command of an action and expects exit code 0.
func (s *Script) act(ctx context.Context, action string, keep bool, env ...string) error {
	c := s.command(action, env...)
	c.Keep = keep
	if end, ok := ctx.Deadline(); ok && action == "stop" {
		left := time.Until(end)
		c.Timeout = max(left-min(killReserve, left/4), time.Millisecond)
	}
	r, err := s.in.Runner.Run(ctx, c)
	if err == nil && r.ExitCode != 0 {
		err = r.Failed()
	}
	return err
}

func (s *Script) command(action string, env ...string) kit.Command {
	v := s.in.Values
	return kit.Command{Action: action, Argv: v.List(action), Dir: v.String("directory"), User: v.String("user"),
		Env: append(env, v.List("env")...)}
}

func (s *Script) killRest(ctx context.Context) error {
	if err := s.in.KillService(ctx, proc.ID{}); err != nil {
		return message.New(message.CommandStuck, s.in.Values.Text("start"), killReserve).Wrap(err)
	}
	if s.in.Group != "" {
		cgroup.At(s.in.Group).Remove() // at worst an empty directory stays
	}
	return nil
}

// Check implements [kit.Resource].
func (s *Script) Check(ctx context.Context, depth kit.Depth) kit.Health {
	r, err := s.in.Runner.Run(ctx, s.command("check", "PERDURE_DEPTH="+depth.String()))
	if err != nil {
		return kit.BecauseOf(judge(err), err)
	}
	switch r.ExitCode {
	case exitInService:
		return kit.Healthy
	case exitOutOfService:
		return kit.Because(cluster.OutOfService, message.ScriptOut, r.Command)
	case exitDegraded:
		return kit.Because(cluster.Degraded, message.ScriptDegraded, r.Command, r.Tail)
	case exitUnknown:
		return kit.Because(cluster.Unknown, message.ScriptUnknown, r.Command, r.Tail)
	}
	return kit.Because(cluster.Failed, message.ScriptFailed, r.Command, r.ExitCode, r.Tail)
}

// judge says what it means that the check command did not end by itself.
func judge(err error) cluster.Status {
	e, ok := message.From(err)
	switch {
	case !ok || errors.Is(err, context.Canceled): // nobody waits for the answer any more
		return cluster.Unknown
	case e.Code() == message.CommandTimedOut, e.Code() == message.CommandKilled:
		return cluster.Failed
	}
	return cluster.Unknown
}

// Validate implements [kit.Validator].
func (s *Script) Validate(context.Context) error {
	v := s.in.Values
	for _, action := range []string{"check", "start", "stop", "recover", "ready"} {
		if !v.Has(action) {
			continue
		}
		if _, err := kit.Executable(v.List(action)[0]); err != nil {
			return err
		}
	}
	if err := kit.CheckDir(v.String("directory")); err != nil {
		return err
	}
	return kit.CheckUser(v.String("user"))
}

// Ready implements [kit.Standby].
func (s *Script) Ready(ctx context.Context) kit.Health {
	err := s.Validate(ctx)
	if err == nil && s.in.Values.Has("ready") {
		err = s.act(ctx, "ready", false)
	}
	if err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	return kit.Health{Status: cluster.OutOfService}
}

// Adopt implements [kit.Adopter]: the check command knows what runs.
func (s *Script) Adopt(ctx context.Context) (bool, error) {
	h := s.Check(ctx, kit.Light)
	if h.Status == cluster.Unknown {
		return false, message.Reason(h.Reason).Err()
	}
	return h.Status.Serving(), nil
}

// Addresses implements [kit.Guarded].
func (s *Script) Addresses() ([]kit.GuardedAddress, error) { return nil, nil }

// Cgroup implements [kit.Guarded].
func (s *Script) Cgroup() string { return s.in.Group }

// Close implements [kit.Resource].
func (s *Script) Close() error { return nil }
