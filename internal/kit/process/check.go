package process

import (
	"context"
	"errors"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// Check implements [kit.Resource].
func (p *Process) Check(ctx context.Context, depth kit.Depth) kit.Health {
	r := p.current()
	if r == nil {
		return p.notRunning()
	}
	if err := p.output().Bound(); err != nil {
		p.in.Log.Warn("output file can't be bounded", "err", err)
	}
	if frozen, err := p.frozen(); err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	} else if frozen {
		return kit.Because(cluster.Unknown, message.ProcessFrozen, r.id.PID)
	}
	if !p.pidless() && r.id.Stopped() {
		return kit.Because(cluster.Failed, message.ProcessStopped, r.id.PID)
	}
	if depth == kit.Deep {
		if err := p.probe(ctx); err != nil {
			return kit.BecauseOf(cluster.Failed, err)
		}
	}
	select {
	case <-r.ended:
		return p.notRunning()
	default:
		return kit.Healthy
	}
}

// notRunning tells a program that was never started here, or was stopped, from
// one that ended by itself: that left its state file behind.
func (p *Process) notRunning() kit.Health {
	var id proc.ID
	left, err := p.in.LoadState(stateFile, &id)
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	p.mu.Lock()
	how := p.last
	p.mu.Unlock()
	lives := left && !p.pidless() && id.Alive()
	if p.in.Group != "" && !lives {
		if lives, err = p.group().Populated(); err != nil {
			return kit.BecauseOf(cluster.Unknown, err)
		}
	}
	switch {
	case lives && !left:
		// Processes that nobody knows: not in service, and not out of it.
		return kit.Because(cluster.Failed, message.ProcessLeftover, p.in.Group)
	case lives && how == "":
		return kit.Because(cluster.Unknown, message.ProcessNotAdopted, id.PID)
	case !left:
		return kit.Because(cluster.OutOfService, message.ProcessNotRunning)
	}
	return kit.Because(cluster.Failed, message.ProcessEnded, id.PID, how, p.output().Tail(0))
}

// Ready implements [kit.Standby].
func (p *Process) Ready(ctx context.Context) kit.Health {
	if err := p.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if h := p.Check(ctx, kit.Light); h.Status != cluster.OutOfService {
		return h
	}
	return kit.Health{Status: cluster.OutOfService}
}

// Adopt implements [kit.Adopter].
func (p *Process) Adopt(context.Context) (bool, error) {
	if p.current() != nil {
		return true, nil
	}
	var id proc.ID
	if found, err := p.in.LoadState(stateFile, &id); err != nil || !found {
		return false, err
	}
	r := &run{id: id, ended: make(chan struct{})}
	if p.pidless() {
		lives, err := p.group().Populated()
		boot, _ := proc.BootID()
		if err != nil || !lives || id.Boot != boot {
			return false, err
		}
	} else {
		h, err := proc.Open(id)
		if errors.Is(err, proc.ErrGone) {
			return false, nil
		}
		if err != nil {
			return false, message.New(message.ProcessNotAdopted, id.PID).Wrap(err)
		}
		r.handle = h
	}
	p.begin(r)
	p.in.Log.Info("running program was adopted", "pid", id.PID)
	return true, nil
}
