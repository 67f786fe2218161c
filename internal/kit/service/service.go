package service

import (
	"context"
	"path/filepath"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// stateFile says that it was brought in service here.
const stateFile = "service.json"

// statePoll is the time between two looks at a service that is on its way.
const statePoll = 50 * time.Millisecond

// askTimeout bounds questions to the manager where the caller has no deadline
// (2 s).
const askTimeout = 2 * time.Second

// Service is one service of the operating system.
type Service struct {
	in   kit.Instance
	unit string
	m    manager
}

func newService(in kit.Instance, m manager) *Service {
	return &Service{in: in, unit: fullName(in.Values.String("unit")), m: m}
}

// kept is what the state file holds.
type kept struct {
	Unit string `json:"unit"`
}

// Start implements [kit.Resource].
func (s *Service) Start(ctx context.Context, _ cluster.Release) error {
	if err := s.Validate(ctx); err != nil {
		return err
	}
	if err := s.own(ctx); err != nil {
		return err
	}
	st, err := s.look(ctx)
	if err != nil {
		return err
	}
	if st.Active == "failed" {
		// Start limits count failures; the cluster has its own.
		if err := s.m.Forget(ctx, s.unit); err != nil {
			return s.refused(err)
		}
	}
	result, err := s.m.Start(ctx, s.unit)
	if err != nil {
		return s.refused(err)
	}
	if result != "done" {
		st, _ := s.look(ctx)
		return message.New(message.UnitNotStarted, s.unit, result, st.words())
	}
	// Done means that the job is over; some units end at once.
	if st, err = s.settled(ctx); err != nil {
		return err
	}
	if st.Active != "active" && st.Active != "reloading" {
		return message.New(message.UnitNotStarted, s.unit, result, st.words())
	}
	return s.in.SaveState(stateFile, kept{s.unit})
}

// own makes the service the cluster's: nobody else starts it.
func (s *Service) own(ctx context.Context) error {
	changed, err := s.m.Manual(ctx, s.unit)
	if err != nil {
		return s.refused(err)
	}
	if changed {
		s.in.Log.Warn("the service started at boot by itself; it is set to manual start now, because the cluster decides where it runs", "unit", s.unit)
	}
	if s.in.Values.String("restart") == "system" {
		return nil
	}
	if err := s.m.Hold(ctx, s.unit); err != nil {
		return s.refused(err)
	}
	return nil
}

// settled waits while it is on its way, and returns where it arrived.
func (s *Service) settled(ctx context.Context) (State, error) {
	tick := time.NewTicker(statePoll)
	defer tick.Stop()
	for {
		st, err := s.look(ctx)
		if err != nil || st.Active != "activating" && st.Active != "deactivating" || st.Sub == "auto-restart" {
			return st, err
		}
		select {
		case <-ctx.Done():
			return st, message.New(message.UnitNotStarted, s.unit, "timeout", st.words()).Wrap(context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// Stop implements [kit.Resource]. What doesn't stop in time is killed.
func (s *Service) Stop(ctx context.Context) error {
	st, err := s.look(ctx)
	if err != nil {
		return err
	}
	if st.Loaded == "not-found" && stopped(st) {
		return s.in.DropState(stateFile)
	}
	if err := s.own(ctx); err != nil { // at boot nobody else starts it
		s.in.Log.Warn("the service could not be set to manual start", "unit", s.unit, "err", err)
	}
	if !stopped(st) {
		if err := s.end(ctx); err != nil {
			return err
		}
	}
	if st, err = s.settled(ctx); err != nil {
		return err
	}
	if !stopped(st) {
		return message.New(message.UnitNotStopped, s.unit, st.words())
	}
	if st.Active == "failed" {
		if err := s.m.Forget(ctx, s.unit); err != nil {
			s.in.Log.Warn("the failure of the service could not be cleared", "unit", s.unit, "err", err)
		}
	}
	return s.in.DropState(stateFile)
}

func (s *Service) end(ctx context.Context) error {
	asked := ctx
	if limit := kit.StopTime(ctx); limit > 0 {
		var cancel context.CancelFunc
		asked, cancel = context.WithTimeout(ctx, limit)
		defer cancel()
	}
	result, err := s.m.Stop(asked, s.unit)
	if err == nil && result == "done" {
		return nil
	}
	if ctx.Err() != nil {
		return message.New(message.UnitNotStopped, s.unit, ctx.Err().Error()).Wrap(ctx.Err())
	}
	s.in.Log.Warn("the service doesn't stop and is killed", "unit", s.unit, "result", result, "err", err)
	if err := s.m.Kill(ctx, s.unit); err != nil {
		return s.refused(err)
	}
	return nil
}

func stopped(st State) bool { return st.Active == "inactive" || st.Active == "failed" }

// Check implements [kit.Resource].
func (s *Service) Check(ctx context.Context, _ kit.Depth) kit.Health {
	st, err := s.look(ctx)
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	return s.judge(st)
}

// judge says what a state means.
func (s *Service) judge(st State) kit.Health {
	switch st.Active {
	case "active", "reloading":
		if st.Enabled && s.in.Values.String("restart") != "system" {
			return kit.Because(cluster.Degraded, message.UnitEnabled, s.unit)
		}
		return kit.Healthy
	case "failed":
		return kit.Because(cluster.Failed, message.UnitFailed, s.unit, st.words())
	case "activating", "deactivating", "maintenance":
		// Nobody here ordered that: it fails again and again, or somebody
		// stops it.
		return kit.Because(cluster.Failed, message.UnitFailed, s.unit, st.words())
	case "inactive":
		var k kept
		was, err := s.in.LoadState(stateFile, &k)
		if err != nil {
			return kit.BecauseOf(cluster.Unknown, err)
		}
		if was {
			return kit.Because(cluster.Failed, message.UnitStopped, s.unit)
		}
		return kit.Because(cluster.OutOfService, message.UnitInactive, s.unit)
	}
	return kit.Because(cluster.Unknown, message.UnitOdd, s.unit, st.words())
}

// words is a state for people.
func (st State) words() string {
	w := []string{}
	for _, s := range []string{st.Active, st.Sub, st.Result} {
		if s != "" && s != "success" {
			w = append(w, s)
		}
	}
	if st.Loaded != "" && st.Loaded != "loaded" {
		w = append(w, st.Loaded)
	}
	return strings.Join(w, ", ")
}

func (s *Service) look(ctx context.Context) (State, error) {
	st, err := s.m.Look(ctx, s.unit)
	if err != nil {
		return State{}, message.New(message.ManagerSilent, err.Error()).Wrap(err)
	}
	return st, nil
}

// refused is what the manager said, or that it said nothing.
func (s *Service) refused(err error) error {
	return message.New(message.UnitRefused, s.unit, err.Error()).Wrap(err)
}

// Validate implements [kit.Validator].
func (s *Service) Validate(ctx context.Context) error {
	st, err := s.look(ctx)
	if err != nil {
		return err
	}
	if st.Loaded != "loaded" {
		return message.New(message.UnitMissing, s.unit, st.Loaded)
	}
	return nil
}

// Ready implements [kit.Standby].
func (s *Service) Ready(ctx context.Context) kit.Health {
	if err := s.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	st, err := s.look(ctx)
	switch {
	case err != nil:
		return kit.BecauseOf(cluster.Unknown, err)
	case st.Enabled:
		return kit.Because(cluster.Failed, message.UnitEnabled, s.unit)
	case !stopped(st):
		return s.judge(st)
	}
	return kit.Health{Status: cluster.OutOfService}
}

// Adopt implements [kit.Adopter].
func (s *Service) Adopt(ctx context.Context) (bool, error) {
	st, err := s.look(ctx)
	if err != nil || stopped(st) {
		return false, err
	}
	return true, s.in.SaveState(stateFile, kept{s.unit})
}

// Watch implements [kit.Watcher].
func (s *Service) Watch(ctx context.Context, report func(kit.Event)) error {
	last := kit.Healthy
	return s.m.Watch(ctx, s.unit, func() {
		h := s.Check(ctx, kit.Light)
		if h.String() != last.String() && ctx.Err() == nil {
			report(kit.Event{Health: h, At: time.Now()})
		}
		last = h
	})
}

// Addresses implements [kit.Guarded].
func (s *Service) Addresses() ([]kit.GuardedAddress, error) { return nil, nil }

// Cgroup implements [kit.Guarded]: the unit's own, so that the guardian can kill
// it at the end of a lease. It is not frozen before: it lies outside of the
// group that is frozen as a whole.
func (s *Service) Cgroup() string {
	root, _, found := strings.Cut(s.in.Group, "/perdure/")
	if !found {
		return ""
	}
	ctx, cancel := context.WithTimeout(context.Background(), askTimeout)
	defer cancel()
	st, err := s.m.Look(ctx, s.unit)
	switch {
	case err != nil || st.Loaded != "loaded":
		return ""
	case st.Group != "":
		return filepath.Join(root, st.Group)
	}
	return filepath.Join(root, "system.slice", s.unit) // where it will be, unless it has a slice of its own
}

// Close implements [kit.Resource].
func (s *Service) Close() error { return nil }
