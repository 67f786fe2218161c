package daemon

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/pki"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

var _ api.Backend = (*Daemon)(nil)

// serve starts the API and returns what ends it.
func (d *Daemon) serve() (func(), error) {
	l, err := api.Listen(d.cfg.RunDir)
	if err != nil {
		return nil, err
	}
	s := api.NewServer(d, kits{}, d.log)
	access := api.Access{CAPin: pki.Pin(d.creds.CA())}
	var closeAudit func()
	if a := d.openAudit(); a != nil {
		access.Audit, closeAudit = a, a.log.Close
	}
	s.SetAccess(access)
	d.group.Go(func() { d.serveRemote(s) })
	done := make(chan struct{})
	go func() {
		defer close(done)
		if err := s.Serve(l); err != nil {
			d.fatal(fmt.Errorf("serve the API on %s: %w", api.SocketPath(d.cfg.RunDir), err))
		}
	}()
	return func() {
		_ = s.Close()
		<-done
		if closeAudit != nil {
			closeAudit()
		}
	}, nil
}

// State is the replicated state as applied here.
func (d *Daemon) State() *cluster.State {
	if v := d.view.Load(); v != nil {
		return v.state
	}
	return &cluster.State{Version: cluster.StateVersion}
}

// Changed returns a channel that is closed at the next change.
func (d *Daemon) Changed() <-chan struct{} { return d.changed.wait() }

// Propose carries a command to the leader and waits for its outcome.
func (d *Daemon) Propose(ctx context.Context, c cluster.Command) (cluster.Result, error) {
	for c.ID == 0 {
		c.ID = seed()
	}
	answer := d.asked.expect(c.ID)
	defer d.asked.forget(c.ID)
	began := time.Now()
	d.post(core.Propose{Command: c})
	select {
	case r := <-answer:
		if r.Unknown {
			return cluster.Result{}, message.New(message.ProposalUnknown, time.Since(began).Round(time.Second))
		}
		return r.Result, nil
	case <-ctx.Done():
		return cluster.Result{}, message.New(message.ProposalUnknown, time.Since(began).Round(time.Second)).Wrap(ctx.Err())
	case <-d.ctx.Done():
		return cluster.Result{}, message.New(message.Stopping, d.id.Name)
	}
}

// Local is what this node knows by itself.
func (d *Daemon) Local() api.Local {
	l := api.Local{Self: d.id.Node, Software: d.cfg.Software, Alarms: d.alarms.standing()}
	if v := d.view.Load(); v != nil {
		now := clock.Now()
		l.Leader, l.Term = v.view.Leader, v.view.Term
		l.LeaseAlive, l.LeaseLeft = v.lease.Alive(now), max(v.lease.Until-now.Boot, 0)
		heard := 0
		for _, h := range v.view.Heard {
			ago := now.Mono - h.At
			if h.At == 0 {
				ago = -1
			}
			l.Nodes = append(l.Nodes, api.NodeHeard{Node: h.Node, Ago: ago})
			if v.state.IsVoter(h.Node) && ago >= 0 && ago < v.state.Detection/2 {
				heard++
			}
		}
		if v.state.IsVoter(d.id.Node) {
			heard++
		}
		l.Quorum = len(v.state.Voters) > 0 && heard >= v.state.Majority()
	}
	for _, p := range d.ep.Stats() {
		l.Paths = append(l.Paths, api.PathState{
			Peer: p.Peer, Network: p.Network, Local: p.Local.String(), Remote: p.Remote.String(), State: p.State.String(),
			Sent: p.Sent, Received: p.Received, Lost: p.Lost, RTT: p.RTT.P50, Worst: p.RTT.P99, Heard: p.LastHeard,
		})
	}
	l.WorstRTT = worstRTT(d.ep.Stats())
	if d.cfg.Guard != nil {
		if g, err := d.cfg.Guard.Hello(); err == nil {
			l.Guarded.Gate, l.Guarded.Session = g.Gate, g.Session
			switch {
			case g.Watchdog == 0:
				l.Guarded.Watchdog = "none"
			case g.WatchdogArmed:
				l.Guarded.Watchdog = fmt.Sprintf("armed, %v", g.Watchdog)
			default:
				l.Guarded.Watchdog = fmt.Sprintf("%v, armed when the first hierarchy starts", g.Watchdog)
			}
			l.Alarms = append(l.Alarms, g.Weaker...)
		}
	}
	l.Vitals = vitals(d.vitals.Load())
	if d.hooks != nil {
		l.Hooks = d.hookStates(d.State(), time.Now())
	}
	if how := d.stopping.Load(); how != nil {
		l.Stopping = string(*how)
	}
	return l
}

// worstRTT is the longest round trip that a heartbeat may need: to each peer the
// quickest comm path counts, because a heartbeat takes all of them.
func worstRTT(paths []commpath.PathStats) (worst time.Duration) {
	quickest := make(map[cluster.NodeID]time.Duration)
	for _, p := range paths {
		if p.RTT.Samples == 0 || p.State == commpath.StateDown {
			continue
		}
		if q, ok := quickest[p.Peer]; !ok || p.RTT.P99 < q {
			quickest[p.Peer] = p.RTT.P99
		}
	}
	for _, d := range quickest {
		worst = max(worst, d)
	}
	return worst
}

// CreateToken makes a one-time join token.
func (d *Daemon) CreateToken(ctx context.Context, role cluster.Role, valid time.Duration) (string, error) {
	t := pki.Token{Cluster: d.id.Cluster, CAPin: pki.Pin(d.creds.CA()), Secret: pki.NewSecret(), Expires: time.Now().Add(valid)}
	s := d.State()
	for _, n := range s.Nodes {
		// Only nodes answer a join: they hold the CA's key. This one first.
		if n.Role != cluster.RoleNode {
			continue
		}
		var own []string
		for _, p := range commPaths(n.Paths) {
			own = append(own, p.Address.String())
		}
		if n.ID == d.id.Node {
			t.Addresses = append(own, t.Addresses...)
		} else {
			t.Addresses = append(t.Addresses, own...)
		}
	}
	if len(t.Addresses) > 16 {
		t.Addresses = t.Addresses[:16]
	}
	text, err := t.Encode()
	if err != nil {
		return "", err
	}
	res, err := d.Propose(ctx, cluster.Command{AddToken: &cluster.AddToken{
		Token:   cluster.Token{Hash: secretHash(t.Secret), ExpiresUnix: t.Expires.Unix(), Role: role},
		NowUnix: time.Now().Unix(),
	}})
	if err != nil {
		return "", err
	}
	if res.Refused() {
		return "", message.Reason(res.Refusal).Err()
	}
	return text, nil
}

// Stop ends the daemon and its guardian in the given way.
func (d *Daemon) Stop(ctx context.Context, how api.StopMode) error {
	if !d.stopping.CompareAndSwap(nil, &how) {
		return message.New(message.Stopping, d.id.Name)
	}
	d.changed.wake()
	if how != api.StopKeep || d.cfg.Guard == nil {
		d.post(core.Shutdown{Move: how == api.StopMove, Keep: how == api.StopStay})
		return d.awaitDeparture(ctx)
	}
	d.post(core.Manage{Unmanaged: true})
	for {
		changed := d.Changed()
		// That the node is unmanaged already proves nothing: an earlier word that
		// it is managed again may be on its way. This one makes it void.
		me := d.State().Node(d.id.Node)
		if me != nil {
			res, err := d.Propose(ctx, cluster.Command{
				Reason:       cluster.Because(core.ReasonPlannedStop, me.Name),
				SetUnmanaged: &cluster.SetUnmanaged{Node: me.ID, Generation: me.Generation, On: true},
			})
			if err == nil && !res.Refused() {
				break
			}
		}
		select {
		case <-changed:
		case <-d.ctx.Done():
			return nil
		case <-ctx.Done():
			return message.New(message.StopUnfinished, d.id.Name).Wrap(ctx.Err())
		}
	}
	// From here on the cluster knows that nobody takes over; now the guardian
	// may drop its deadlines.
	if err := d.cfg.Guard.Unmanaged(true); err != nil {
		return err
	}
	d.log.Info(message.Text(message.English, message.KeptRunning, d.id.Name))
	d.depart()
	return nil
}

// alonePatience is how many detection times a stop waits for a leader: more than
// an election takes, and less than a shutdown of all machines should hang.
const alonePatience = 3

// awaitDeparture waits until the cluster agreed that this node left. Without a
// leader it never will: after a while the node leaves all the same, and the
// guardian ends what still runs here.
func (d *Daemon) awaitDeparture(ctx context.Context) error {
	detection := d.State().Detection
	tick := time.NewTicker(max(detection, cluster.DetectionMin) / 4)
	defer tick.Stop()
	seen := time.Now()
	for {
		select {
		case <-d.ctx.Done():
			return nil
		case <-ctx.Done():
			return message.New(message.StopUnfinished, d.id.Name).Wrap(ctx.Err())
		case now := <-tick.C:
			if v := d.view.Load(); v != nil && v.view.Leader != 0 {
				seen = now
			} else if alone := now.Sub(seen); alone > alonePatience*detection {
				d.log.Warn(message.New(message.LeftAlone, d.id.Name, alone).Error())
				d.depart()
				return nil
			}
		}
	}
}

// depart ends this daemon for good, and its guardian with it: otherwise the
// guardian would start it again.
func (d *Daemon) depart() {
	if d.stopping.Load() != nil && d.cfg.StopGuardian != nil {
		d.cfg.StopGuardian()
	}
	d.end(errDeparted)
}

// stopOnSignal is what a termination signal does: services move to other nodes
// and the node leaves, unless a stop is under way already.
func (d *Daemon) stopOnSignal(signal context.Context) {
	select {
	case <-d.ctx.Done():
		return
	case <-signal.Done():
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(signal), core.LeaveDeadline)
	defer cancel()
	if err := d.Stop(ctx, api.StopAsSet(d.State(), d.id.Node)); err != nil && !message.Has(err, message.Stopping) {
		d.log.Error("stop", "err", err)
		d.end(errDeparted)
	}
}

// remanage has the guardian hold deadlines again, once a lease lives, and then
// tells the cluster. In the other order a node could be evicted whose guardian
// keeps everything open.
func (d *Daemon) remanage(s *cluster.State) {
	me := s.Node(d.id.Node)
	if !d.unmanaged || d.stopping.Load() != nil || me == nil ||
		me.Presence != cluster.Present && me.Presence != cluster.Unmanaged || !d.core.Lease().Alive(clock.Now()) {
		return
	}
	if err := d.cfg.Guard.Unmanaged(false); err != nil {
		d.log.Error("end the unmanaged state at the guardian", "err", err)
		return
	}
	d.unmanaged = false
	d.group.Go(func() { d.post(core.Manage{}) }) // not here: this is the loop that takes it
}

// CheckPaths completes and checks comm paths that a person gave.
func (d *Daemon) CheckPaths(paths []cluster.Path) error { return CheckPaths(paths) }
