package daemon

import (
	"context"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/decide"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/guardian"
	"github.com/perdure-ha/perdure/internal/message"
)

// resetTimeout bounds how long the guardian may take to leave nothing running.
// Until then the node stays out of the cluster, which is safe.
const resetTimeout = 2 * time.Minute

// Guard is the guardian as the daemon uses it: *guardian.Client.
type Guard interface {
	Hello() (guardian.State, error)
	Admitted(cluster.Generation) error
	Renew(guard.Renew) error
	Guard(hierarchy string, e cluster.Epoch, addrs []guard.Address, cgroups []string) error
	Unguard(hierarchy string) error
	Revoke(hierarchy string) error
	Reset(ctx context.Context) (session string, err error)
	Unmanaged(on bool) error
	OnLoss(cluster.QuorumLoss) error
	Events() <-chan guard.Notice
}

var _ Guard = (*guardian.Client)(nil)

// renew moves the deadlines outside this process.
func (d *Daemon) renew(l *arbiter.Lease) {
	if d.cfg.Guard == nil || l.Generation == 0 || l.Until == 0 {
		return
	}
	err := d.cfg.Guard.Renew(guard.Renew{Generation: l.Generation, Until: l.Until, Gate: l.Gate,
		StopAfter: d.core.State().Timing().StopAfter})
	if err != nil {
		d.log.Error("renew the lease at the guardian", "err", err)
	}
}

// admitted tells the guardian before any renewal of that generation.
func (d *Daemon) admitted(g cluster.Generation) {
	if d.cfg.Guard == nil {
		return
	}
	if err := d.cfg.Guard.Admitted(g); err != nil {
		d.log.Error("tell the guardian the generation", "generation", g, "err", err)
	}
	if me := d.core.State().Node(d.id.Node); me == nil || me.WatchdogSeconds != d.watchdog {
		d.group.Go(d.tellWatchdog)
	}
}

// tellWatchdog has the cluster know this node's watchdog: a takeover of what
// only a watchdog guards waits for it.
func (d *Daemon) tellWatchdog() {
	seconds := d.watchdog
	if _, err := d.Propose(d.ctx, cluster.Command{
		By: d.id.Name, SetNode: &cluster.SetNode{Node: d.id.Node, WatchdogSeconds: &seconds},
	}); err != nil && d.ctx.Err() == nil {
		d.log.Warn("tell the cluster this node's watchdog", "err", err)
	}
}

// resetGuard has everything on this node killed, then begins a new session.
func (d *Daemon) resetGuard(why cluster.Reason) {
	d.log.Warn(message.Reason(why).String())
	d.resetting.Store(true)
	d.group.Go(func() {
		defer d.resetting.Store(false)
		d.acts.forget()
		ctx, cancel := context.WithTimeout(d.ctx, resetTimeout)
		defer cancel()
		session, err := d.cfg.Guard.Reset(ctx)
		if err != nil {
			if d.ctx.Err() == nil {
				// Whether something is left is unknown: this node must not say
				// that it is clean. Starting again tries again.
				d.fatal(message.New(message.ResetFailed, err).Wrap(err))
			}
			return
		}
		d.post(core.Reset{Session: session})
	})
}

// watchGuard passes on what the guardian did by itself.
func (d *Daemon) watchGuard() {
	events := d.cfg.Guard.Events()
	for {
		select {
		case <-d.ctx.Done():
			return
		case n, ok := <-events:
			if !ok {
				// Nothing holds the deadlines any more.
				d.fatal(message.New(message.GuardianGone, "its connection ended"))
				return
			}
			if n.Reason.Code != "" {
				d.log.Warn(message.Reason(n.Reason).String(), "notice", n.Kind, "hierarchy", n.Hierarchy)
			}
			switch n.Kind {
			case guard.NoticeReset:
				if !d.resetting.Load() {
					// An earlier daemon asked for it, and died.
					d.acts.forget()
					d.post(core.Reset{Session: n.Session})
				}
			case guard.NoticeDoubt, guard.NoticeFrozen, guard.NoticeKilled:
				d.post(core.Doubt{})
			}
		}
	}
}

// adopt tells the core what an earlier daemon of this session left guarded: it
// must know that there was one even if nothing is.
func (d *Daemon) adopt(found []guard.Guarded) {
	var running []decide.Running
	for _, g := range found {
		running = append(running, decide.Running{Hierarchy: g.Hierarchy, Epoch: g.Epoch, Resources: d.acts.adopt(g.Hierarchy)})
	}
	d.first = core.Adopted{Running: running}
}

// showWeaker says in the log what this node is without, and what was cleaned up
// after an earlier boot.
func (d *Daemon) showWeaker(s *guardian.State) {
	for _, w := range s.Weaker {
		d.log.Warn(message.Reason(w).String())
	}
	for _, c := range s.Cleaned {
		d.log.Warn("left by an earlier run and removed", "what", c)
	}
}
