package process

import (
	"context"
	"errors"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// killReserve is the part of the time for a stop that is kept for killing what
// doesn't end (1 s, or a quarter of a short one).
const killReserve = time.Second

// Stop implements [kit.Resource].
func (p *Process) Stop(ctx context.Context) error {
	if r, err := p.toStop(); err != nil {
		return err
	} else if r != nil {
		p.askToEnd(ctx, r)
	}
	if err := p.killAll(ctx); err != nil {
		return err
	}
	// Whatever was watched has ended now, and its watch ends with it.
	if r := p.current(); r != nil {
		select {
		case <-r.ended:
		case <-ctx.Done():
			return message.New(message.ProcessWontEnd, r.id.PID, ctx.Err().Error()).Wrap(ctx.Err())
		}
	}
	p.watching.Wait()
	p.feed.Clear()
	if p.in.Group != "" {
		p.group().Remove() // at worst an empty directory stays
	}
	return p.in.DropState(stateFile)
}

// toStop is the life to end: the one that we know, or one that an earlier
// daemon left.
func (p *Process) toStop() (*run, error) {
	if p.current() == nil {
		if _, err := p.Adopt(context.Background()); err != nil {
			return nil, err
		}
	}
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.run != nil {
		p.run.stopping = true
	}
	return p.run, nil
}

// askToEnd sends the stop signal and waits for the grace. Frozen processes are
// not waited for: they can't hear.
func (p *Process) askToEnd(ctx context.Context, r *run) {
	if frozen, err := p.frozen(); err == nil && frozen {
		return
	}
	sig := signalOf(p.in.Values.Text("stop.signal"))
	if err := p.signal(r, sig); err != nil {
		if !errors.Is(err, proc.ErrGone) {
			p.in.Log.Warn("stop signal could not be sent; the program is killed", "err", err)
		}
		return
	}
	// A program under SIGSTOP hears nothing before it is continued.
	if err := p.signalAll(r, wakeUp); err != nil && !errors.Is(err, proc.ErrGone) {
		p.in.Log.Warn("program could not be continued before its stop", "err", err)
	}
	grace := p.in.Values.Duration("stop.grace")
	if end, ok := ctx.Deadline(); ok {
		left := time.Until(end)
		grace = min(grace, left-min(killReserve, left/4))
	}
	timer := time.NewTimer(grace)
	defer timer.Stop()
	select {
	case <-r.ended:
	case <-ctx.Done():
	case <-timer.C:
		p.in.Log.Warn("program didn't end by itself and is killed", "pid", r.id.PID, "signal", sig.String(), "grace", grace)
	}
}

func (p *Process) signal(r *run, sig syscall.Signal) error {
	if !p.pidless() {
		return r.handle.Signal(sig)
	}
	return p.signalAll(r, sig)
}

// signalAll sends a signal to every process of the resource, where there are
// groups; otherwise to its first one.
func (p *Process) signalAll(r *run, sig syscall.Signal) error {
	if p.in.Group == "" {
		return r.handle.Signal(sig)
	}
	pids, err := p.group().Procs()
	if err != nil {
		return err
	}
	for _, pid := range pids {
		id, err := proc.Identify(pid)
		if err != nil {
			continue
		}
		h, err := proc.Open(id)
		if err != nil {
			continue
		}
		h.Signal(sig)
		h.Close()
	}
	return nil
}

// killAll ends every process of the resource, known or left behind.
func (p *Process) killAll(ctx context.Context) error {
	var root proc.ID
	if r := p.current(); r != nil {
		root = r.id
	}
	err := p.in.KillService(ctx, root)
	if err != nil {
		return message.New(message.ProcessWontEnd, root.PID, err.Error()).Wrap(err)
	}
	return nil
}

func (p *Process) frozen() (bool, error) {
	if p.in.Group == "" {
		return false, nil
	}
	return p.group().Frozen()
}
