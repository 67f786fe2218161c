package core

import (
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Raft's own election clock isn't used: it draws from the system's randomness
// and knows nothing of what third nodes see. Followers are never ticked. When
// nobody has had word of the leader for [cluster.Timing.LeaderSilence], raft is
// told to forget it (raft/v3 RawNode.ForgetLeader), so that votes are granted,
// and a node campaigns after a random delay of its own.

// elect runs the leader's tick or the follower's patience.
func (c *Core) elect(now cluster.Instant) {
	t := c.state.Timing()
	if c.isLeader() {
		c.leaderSeen, c.forgot = now.Mono, false
		if now.Mono >= c.nextTick {
			c.nextTick = c.withBeat(now.Mono + t.RaftTick)
			c.raft.tick()
		}
		return
	}
	// A learner forgets as well: a candidate may not know yet that this node
	// lost its vote, and then needs it.
	voter := c.state.IsVoter(c.self)
	alone := voter && len(c.state.Voters) == 1
	if !c.forgot && (alone || now.Mono-c.leaderSeen >= t.LeaderSilence) {
		c.forgot = true
		c.raft.forgetLeader()
	}
	// Who is alone needn't wait for others, but for its own disk: its vote for
	// itself counts when it is written, and a campaign begun anew throws it away.
	due := now.Mono >= c.campaignAt || alone && !c.raft.wants
	if voter && c.forgot && c.mayCampaign() && due {
		c.campaignAt = now.Mono + t.CampaignSpread + c.chance(t.CampaignSpread)
		if c.askForHelp() {
			c.campaignAt += t.CampaignSpread // it has to speak with several voters, one after the other
			return
		}
		c.raft.campaign()
	}
}

// withBeat is the last heartbeat up to a time, or the time itself if there is none:
// what goes out with a heartbeat wakes nobody once more.
func (c *Core) withBeat(at time.Duration) time.Duration {
	if at < c.nextBeat {
		return at
	}
	return at - (at-c.nextBeat)%c.beatInterval()
}

// mayCampaign keeps a witness from leading, unless only its log is complete.
func (c *Core) mayCampaign() bool {
	return c.role != cluster.RoleWitness || c.mayLead
}

// electAt is when elect has something to do (Mono).
func (c *Core) electAt() time.Duration {
	if !c.forgot {
		return c.leaderSeen + c.state.Timing().LeaderSilence
	}
	if !c.state.IsVoter(c.self) || !c.mayCampaign() {
		return cluster.Never
	}
	return c.campaignAt
}

// sawLeader notes word of the leader as of the Mono time at.
func (c *Core) sawLeader(now cluster.Instant, at time.Duration) {
	if at <= c.leaderSeen {
		return
	}
	c.leaderSeen = at
	if now.Mono-at < c.state.Timing().LeaderSilence {
		c.forgot = false
		c.mayLead = false
		c.scheduleCampaign(now)
	}
}

func (c *Core) scheduleCampaign(now cluster.Instant) {
	t := c.state.Timing()
	c.campaignAt = c.leaderSeen + t.LeaderSilence + c.chance(t.CampaignSpread)
	if c.role == cluster.RoleWitness {
		c.campaignAt += 2 * t.CampaignSpread // nodes first
	}
}

func (c *Core) chance(below time.Duration) time.Duration {
	if below <= 0 {
		return 0
	}
	return time.Duration(c.rand.Int64N(int64(below)))
}

// handOver gives leadership to the voter that is furthest, if one is caught up.
// It reports whether one was asked.
func (c *Core) handOver(now cluster.Instant) bool {
	var best uint64
	var at uint64
	c.raft.node.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		n := c.state.Node(cluster.NodeID(id))
		if typ != raft.ProgressTypePeer || id == uint64(c.self) || n == nil || n.Role != cluster.RoleNode ||
			!c.reachable(now, n.ID) || pr.Match < at {
			return
		}
		if best == 0 || pr.Match > at {
			best, at = id, pr.Match
		}
	})
	if best == 0 || at < c.state.Applied {
		return false
	}
	c.raft.transferLeader(best)
	return true
}
