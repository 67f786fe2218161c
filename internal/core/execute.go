package core

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// execute hands on what the executor wants, and asks for admission.
func (c *Core) execute(now cluster.Instant) {
	actions, commands := c.exec.Step(now)
	c.out.Actions = append(c.out.Actions, actions...)
	for _, cmd := range commands {
		if cmd.By == "" {
			cmd.By = c.state.NodeName(c.self)
		}
		c.inside(now, cmd)
	}
	c.admit(now)
	c.manage(now)
}

// admit asks for a generation for this boot, as long as it has none.
func (c *Core) admit(now cluster.Instant) {
	me := c.state.Node(c.self)
	if c.session == "" || c.role != cluster.RoleNode || me == nil || c.resetting || c.departed || c.leaving {
		return
	}
	if me.Session == c.session && me.Presence != cluster.Left {
		return
	}
	if now.Mono < c.admitAt || !c.exec.Clean() {
		return // admission states that nothing of earlier boots runs here
	}
	c.admitAt = now.Mono + c.state.Detection/2
	c.props.drop(func(cmd *cluster.Command) bool { return cmd.Admit != nil })
	c.inside(now, cluster.Command{
		Admit: &cluster.Admit{Node: c.self, Session: c.session, Previous: me.Generation},
		By:    me.Name,
	})
}

// manage brings the unmanaged state of this node to what is wanted: a daemon
// that runs manages, unless it was asked to leave the services alone or its
// guardian isn't ready.
func (c *Core) manage(now cluster.Instant) {
	me := c.state.Node(c.self)
	g := c.holder.Generation()
	if me == nil || g == 0 || (me.Presence == cluster.Unmanaged) == c.unmanage || now.Mono < c.manageAt {
		return
	}
	c.manageAt = now.Mono + c.state.Detection/2
	c.inside(now, cluster.Command{
		SetUnmanaged: &cluster.SetUnmanaged{Node: c.self, Generation: g, On: c.unmanage, HandOvers: me.HandOvers},
		Reason:       cluster.Because(ReasonPlannedStop, me.Name),
	})
}

// ReasonPlannedStop: the daemon of node {0} is stopped or started as planned.
const ReasonPlannedStop = "PD1016"

// leave carries a clean stop through: nothing is owned any more, leadership is
// handed over, the departure is committed.
func (c *Core) leave(now cluster.Instant) {
	if !c.leaving || c.departed {
		return
	}
	me := c.state.Node(c.self)
	if me == nil || c.role != cluster.RoleNode || me.Presence == cluster.Left {
		if c.isLeader() && len(c.state.Voters) > 1 && now.Mono < c.leaveBy {
			if now.Mono >= c.nextHandOver {
				c.nextHandOver = now.Mono + c.state.Timing().RaftTick
				c.handOver(now)
			}
			c.leaveAt = min(c.nextHandOver, c.leaveBy)
			return
		}
		why := cluster.Because(ReasonLeft, c.state.NodeName(c.self))
		c.out.Departed = &why
		c.departed = true
		return
	}
	c.leaveBy = now.Mono + c.state.Detection
	owned := false
	for i := range c.state.Hierarchies {
		h := &c.state.Hierarchies[i]
		if h.Owner != c.self {
			continue
		}
		owned = true
		if now.Mono < c.leaveAt {
			continue
		}
		if c.keepsAll {
			c.exec.Leave(h.Name, true)
		} else if to := c.refuge(now, h); to != 0 && c.moveFirst {
			if h.Move == nil {
				c.inside(now, cluster.Command{StartMove: &cluster.StartMove{Hierarchy: h.Name, To: to},
					Reason: cluster.Because(ReasonLeaving, me.Name)})
			}
		} else if c.moveFirst {
			// Nobody asked for it to be out of service: after a restart of all
			// machines it comes back by itself.
			c.exec.Leave(h.Name, false)
		} else if h.Want == cluster.WantInService {
			c.inside(now, cluster.Command{SetWant: &cluster.SetWant{Hierarchy: h.Name, Want: cluster.WantOutOfService},
				Reason: cluster.Because(ReasonLeaving, me.Name)})
		}
	}
	if now.Mono < c.leaveAt {
		return
	}
	c.leaveAt = now.Mono + c.state.Detection/2
	if !owned {
		c.inside(now, cluster.Command{Leave: &cluster.Leave{Node: c.self, Generation: me.Generation}, Reason: cluster.Because(ReasonLeaving, me.Name)})
	}
}

// ReasonLeaving: node {0} is being stopped.
const ReasonLeaving = "PD1015"

// refuge is the node that a hierarchy goes to when this one leaves; 0: none.
func (c *Core) refuge(now cluster.Instant, h *cluster.Hierarchy) cluster.NodeID {
	if c.state.Suspended(h) {
		return 0 // nothing of it is moved
	}
	for _, id := range h.Nodes {
		n := c.state.Node(id)
		if id == c.self || n == nil || !n.Takes() || h.FailedOn(id) {
			continue
		}
		// A node without a vote doesn't hear others without one; being present
		// must do.
		if p := c.peers[id]; p != nil && (now.Mono-p.heard > c.state.Detection/2 || p.beat.Leaving) {
			continue
		}
		return id
	}
	return 0
}

func (p *proposals) drop(which func(*cluster.Command) bool) {
	p.all = slices.DeleteFunc(p.all, func(q proposal) bool { return !q.outside && which(&q.cmd) })
}

// LeaveDeadline is how long a clean stop may take before the daemon gives up
// waiting for it.
const LeaveDeadline = 2 * time.Minute
