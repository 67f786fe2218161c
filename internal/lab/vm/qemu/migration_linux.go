package qemu

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// bandwidth is that of a migration in bytes per second: no limit.
const bandwidth = 4 << 30

const (
	// pollEvery is how often QEMU is asked how far it is.
	pollEvery = 5 * time.Millisecond
	// pollPatience is for a whole migration or mirror. The lab's largest disk
	// (256 MB) takes 3 s.
	pollPatience = 2 * time.Minute
)

// poll asks until it is done, at most for pollPatience.
func poll(ctx context.Context, what string, done func(context.Context) (bool, error)) error {
	ctx, cancel := context.WithTimeout(ctx, pollPatience)
	defer cancel()
	tick := time.NewTicker(pollEvery)
	defer tick.Stop()
	for {
		ok, err := done(ctx)
		if err != nil || ok {
			return err
		}
		select {
		case <-tick.C:
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w", what, context.Cause(ctx))
		}
	}
}

// shareMemory says whether the guest's memory is left out of the next migration,
// because the other side has the same file. It must be said at both sides.
func (p *process) shareMemory(ctx context.Context, yes bool) error {
	capability := map[string]any{"capability": "x-ignore-shared", "state": yes}
	return p.execute(ctx, "migrate-set-capabilities", map[string]any{"capabilities": []any{capability}}, nil)
}

// migrate begins to send the machine's state.
func (p *process) migrate(ctx context.Context, uri string) error {
	if err := p.execute(ctx, "migrate-set-parameters", map[string]any{"max-bandwidth": bandwidth}, nil); err != nil {
		return err
	}
	return p.execute(ctx, "migrate", map[string]any{"uri": uri}, nil)
}

// migrated waits until the state is sent, or loaded.
// Source: MigrationStatus in qapi/migration.json of QEMU.
func (p *process) migrated(ctx context.Context) error {
	err := poll(ctx, "the state", func(ctx context.Context) (bool, error) {
		var info struct {
			Status    string `json:"status"`
			ErrorDesc string `json:"error-desc"`
		}
		if err := p.execute(ctx, "query-migrate", nil, &info); err != nil {
			return false, err
		}
		if info.Status == "failed" || info.Status == "cancelled" {
			return false, fmt.Errorf("the migration %s: %s", info.Status, info.ErrorDesc)
		}
		return info.Status == "completed", nil
	})
	if err != nil {
		return err
	}
	return poll(ctx, "the devices", func(ctx context.Context) (bool, error) {
		status, err := p.status(ctx)
		return status != "inmigrate", err
	})
}

// isRunning reports whether the guest's processor runs.
func (p *process) isRunning(ctx context.Context) (bool, error) {
	status, err := p.status(ctx)
	return status == "running", err
}

func (p *process) status(ctx context.Context) (string, error) {
	var s struct {
		Status string `json:"status"`
	}
	err := p.execute(ctx, "query-status", nil, &s)
	return s.Status, err
}

// mirror is a job that copies a disk and everything that is written meanwhile.
type mirror struct {
	job string
	p   *process
}

// startMirror copies a disk into a node. "write-blocking" sends each write to both,
// so that the copy is never behind once it is in step.
func (p *process) startMirror(ctx context.Context, d *drive, target string) (mirror, error) {
	m := mirror{job: "mirror-" + d.Name, p: p}
	return m, p.execute(ctx, "blockdev-mirror", map[string]any{
		"job-id": m.job, "device": d.top, "target": target, "sync": "full", "copy-mode": "write-blocking"}, nil)
}

// find is the state of the job; ok is false if it is gone.
func (m mirror) find(ctx context.Context) (ready, ok bool, err error) {
	var jobs []struct {
		Device string `json:"device"`
		Ready  bool   `json:"ready"`
	}
	if err := m.p.execute(ctx, "query-block-jobs", nil, &jobs); err != nil {
		return false, false, err
	}
	for _, j := range jobs {
		if j.Device == m.job {
			return j.Ready, true, nil
		}
	}
	return false, false, nil
}

// ready waits until the copy is in step.
func (m mirror) ready(ctx context.Context) error {
	return poll(ctx, m.job, func(ctx context.Context) (bool, error) {
		ready, ok, err := m.find(ctx)
		if err == nil && !ok {
			err = errors.New(m.job + " failed") // QEMU says why in its events only
		}
		return ready, err
	})
}

// gone waits until the job has ended.
func (m mirror) gone(ctx context.Context) error {
	return poll(ctx, "the end of "+m.job, func(ctx context.Context) (bool, error) {
		_, ok, err := m.find(ctx)
		return !ok, err
	})
}

// stop ends the job. In step and without force, the copy stays good.
func (m mirror) stop(ctx context.Context, force bool) error {
	if err := m.p.execute(ctx, "block-job-cancel", map[string]any{"device": m.job, "force": force}, nil); err != nil {
		return err
	}
	return m.gone(ctx)
}
