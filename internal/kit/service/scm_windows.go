package service

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"time"

	"golang.org/x/sys/windows"
	"golang.org/x/sys/windows/svc"
	"golang.org/x/sys/windows/svc/mgr"
)

// scm is the service control manager of Windows.
// Source: learn.microsoft.com, "Service Control Manager".
type scm struct{}

func system(*slog.Logger) manager { return scm{} }

// fullName is the name as it is.
func fullName(unit string) string { return unit }

func with(unit string, f func(*mgr.Service) error) error {
	m, err := mgr.Connect()
	if err != nil {
		return fmt.Errorf("connect to the service control manager: %w", err)
	}
	defer m.Disconnect()
	s, err := m.OpenService(unit)
	if err != nil {
		return fmt.Errorf("open the service %s: %w", unit, err)
	}
	defer s.Close()
	return f(s)
}

// active are the states in the words of package service.
var active = map[svc.State]string{
	svc.Stopped: "inactive", svc.StartPending: "activating", svc.StopPending: "deactivating", svc.Running: "active",
	svc.ContinuePending: "reloading", svc.PausePending: "deactivating", svc.Paused: "maintenance",
}

// Look implements manager.
func (scm) Look(_ context.Context, unit string) (State, error) {
	st := State{Loaded: "loaded"}
	err := with(unit, func(s *mgr.Service) error {
		q, err := s.Query()
		if err != nil {
			return fmt.Errorf("query the service %s: %w", unit, err)
		}
		c, err := s.Config()
		if err != nil {
			return fmt.Errorf("read the configuration of the service %s: %w", unit, err)
		}
		st.Active, st.Enabled = active[q.State], c.StartType == mgr.StartAutomatic
		if c.StartType == mgr.StartDisabled {
			st.Loaded = "masked"
		}
		if q.Win32ExitCode != 0 && q.State == svc.Stopped && q.Win32ExitCode != uint32(windows.ERROR_SERVICE_NEVER_STARTED) {
			st.Active, st.Result = "failed", fmt.Sprintf("exit code %d", q.Win32ExitCode)
		}
		return nil
	})
	if errors.Is(err, windows.ERROR_SERVICE_DOES_NOT_EXIST) {
		return State{Loaded: "not-found", Active: "inactive"}, nil
	}
	return st, err
}

// Start implements manager.
func (m scm) Start(ctx context.Context, unit string) (string, error) {
	err := with(unit, func(s *mgr.Service) error {
		err := s.Start()
		if errors.Is(err, windows.ERROR_SERVICE_ALREADY_RUNNING) {
			return nil
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("start the service %s: %w", unit, err)
	}
	return m.until(ctx, unit, "active")
}

// Stop implements manager.
func (m scm) Stop(ctx context.Context, unit string) (string, error) {
	err := with(unit, func(s *mgr.Service) error {
		_, err := s.Control(svc.Stop)
		if errors.Is(err, windows.ERROR_SERVICE_NOT_ACTIVE) {
			return nil
		}
		return err
	})
	if err != nil {
		return "", fmt.Errorf("stop the service %s: %w", unit, err)
	}
	return m.until(ctx, unit, "inactive")
}

func (m scm) until(ctx context.Context, unit, wanted string) (string, error) {
	tick := time.NewTicker(statePoll)
	defer tick.Stop()
	for {
		st, err := m.Look(ctx, unit)
		switch {
		case err != nil:
			return "", err
		case st.Active == wanted, wanted == "inactive" && st.Active == "failed":
			return "done", nil
		case stopped(st):
			return "failed", nil
		}
		select {
		case <-ctx.Done():
			return "timeout", nil
		case <-tick.C:
		}
	}
}

// Kill implements manager.
func (scm) Kill(_ context.Context, unit string) error {
	return with(unit, func(s *mgr.Service) error {
		q, err := s.Query()
		if err != nil || q.ProcessId == 0 {
			return err
		}
		p, err := windows.OpenProcess(windows.PROCESS_TERMINATE, false, q.ProcessId)
		if err != nil {
			return fmt.Errorf("open the process of the service %s: %w", unit, err)
		}
		defer windows.CloseHandle(p)
		return windows.TerminateProcess(p, 1)
	})
}

// Manual implements manager.
func (scm) Manual(_ context.Context, unit string) (changed bool, err error) {
	err = with(unit, func(s *mgr.Service) error {
		c, err := s.Config()
		if err != nil || c.StartType != mgr.StartAutomatic {
			return err
		}
		c.StartType, c.DelayedAutoStart, changed = mgr.StartManual, false, true
		return s.UpdateConfig(c)
	})
	return changed, err
}

// Hold implements manager: the recovery actions of the service are removed.
func (scm) Hold(_ context.Context, unit string) error {
	return with(unit, func(s *mgr.Service) error {
		if a, err := s.RecoveryActions(); err != nil || len(a) == 0 {
			return nil
		}
		return s.ResetRecoveryActions()
	})
}

// Forget implements manager: Windows keeps no failed state.
func (scm) Forget(context.Context, string) error { return nil }

// Watch implements manager: light checks ask.
func (scm) Watch(context.Context, string, func()) error { return nil }
