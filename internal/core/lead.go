package core

import (
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/tracker"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/decide"
)

// leadership is what a leader keeps for its term. It is forgotten with it: all
// that lasts is in the replicated state.
type leadership struct {
	term     uint64
	planner  *decide.Planner
	evictor  *arbiter.Evictor
	views    []decide.View
	memberAt time.Duration // Mono before which no member is changed again
	evenAt   time.Duration // Mono since when there are two voters; 0: not
	settleAt time.Duration // Mono when settling goes on
	settling int           // the step that settleAt is for
}

func (l *leadership) next(now cluster.Instant, c *Core) time.Duration {
	return min(l.evictor.Next(now, c.state, c.voter), l.planner.Next(), l.settleAt)
}

// doLead does the leader's work: evictions, the plan, members, settling.
func (c *Core) doLead(now cluster.Instant) {
	if !c.isLeader() {
		c.lead = nil
		return
	}
	if c.appliedT != c.raft.term {
		return // what earlier leaders committed isn't all applied yet
	}
	if c.role == cluster.RoleWitness {
		// It led only to bring a node up to date.
		if now.Mono >= c.nextHandOver {
			c.nextHandOver = now.Mono + c.state.Timing().RaftTick
			c.handOver(now)
		}
		return
	}
	if c.lead == nil || c.lead.term != c.raft.term {
		c.lead = &leadership{
			term: c.raft.term, planner: decide.NewPlannerAt(c.self, c.pace),
			evictor: arbiter.NewEvictor(c.self, c.broken), settleAt: cluster.Never,
		}
	}
	l := c.lead
	asks, evictions := l.evictor.Step(now, c.state, c.voter)
	for i := range asks {
		for _, v := range c.state.Voters {
			if v != asks[i].Node {
				c.send(now, &Message{From: c.self, To: v, Ask: &asks[i]})
			}
		}
	}
	for _, cmd := range evictions {
		cmd.Evidence = append(cmd.Evidence, c.safetyEvidence(now, cmd.Evict.Node)...)
		c.proposeAsLeader(now, cmd)
	}
	for _, cmd := range l.planner.Step(now, c.state, c.observe(now)) {
		c.proposeAsLeader(now, cmd)
	}
	c.settle(now)
	c.members(now)
}

// proposeAsLeader proposes something that this leader will find out again by
// itself if it is lost.
func (c *Core) proposeAsLeader(now cluster.Instant, cmd cluster.Command) {
	if cmd.WallMilli == 0 {
		cmd.WallMilli = now.Wall
	}
	if cmd.By == "" {
		cmd.By = c.state.NodeName(c.self)
	}
	if changesConf(&cmd) {
		c.proposeConf(now, c.self, &cmd, cmd.Encode())
		return
	}
	c.raft.propose(cmd.Encode())
}

// observe is the leader's own view of the nodes.
func (c *Core) observe(now cluster.Instant) []decide.View {
	l := c.lead
	l.views = l.views[:0]
	for i := range c.state.Nodes {
		id := c.state.Nodes[i].ID
		leaving := id == c.self && c.leaving
		if p := c.peers[id]; p != nil && p.beat.Leaving {
			leaving = true // it takes nothing over
		}
		v := decide.View{Node: id, Reachable: c.reachable(now, id), Leaving: leaving, Answers: c.answers(now, id)}
		l.views = append(l.views, v)
	}
	return l.views
}

// settle ends the settling of a lowered detection time.
func (c *Core) settle(now cluster.Instant) {
	l := c.lead
	if c.state.Settling == 0 {
		l.settling, l.settleAt = 0, cluster.Never
		return
	}
	if l.settling != c.state.Settling {
		l.settling, l.settleAt = c.state.Settling, now.Mono
		if c.state.Settling == 2 {
			l.settleAt += c.state.Ceiling + cluster.MarginFor(c.state.Ceiling)
		}
	}
	if now.Mono >= l.settleAt {
		l.settleAt = now.Mono + c.state.Detection
		c.proposeAsLeader(now, cluster.Command{SettleDetection: &cluster.SettleDetection{Conf: c.state.Conf, Step: c.state.Settling}})
	}
}

// members gives votes: an odd number of them, so that two nodes are one vote
// and a learner (which is safe and says so) rather than two votes that can't
// survive either one's loss. New nodes are learners first.
func (c *Core) members(now cluster.Instant) {
	l := c.lead
	if now.Mono < l.memberAt {
		return
	}
	l.memberAt = now.Mono + c.state.Timing().RaftTick
	s := c.state
	if s.Settling != 0 {
		return
	}
	for i := range s.Nodes {
		if s.Nodes[i].Lost {
			if n := s.Successor(&s.Nodes[i]); n != nil && !c.reachable(now, n.ID) {
				continue // it may have to ask for its new id again, under the old one
			}
			c.changeMember(now, s.Nodes[i].ID, cluster.AsNothing)
			return
		}
		if s.Nodes[i].Role == cluster.RoleStorage && !s.Nodes[i].Storage.Proven() {
			continue // it is being tried, or was refused
		}
		if id := s.Nodes[i].ID; !s.IsVoter(id) && !isLearner(s, id) {
			c.changeMember(now, id, cluster.AsLearner)
			return
		}
	}
	ready := c.readyLearners(now)
	if c.leaving {
		return
	}
	n := len(s.Voters)
	switch {
	case n%2 == 1 && len(ready) >= 2 && n+2 <= cluster.MaxVoters,
		n%2 == 0 && len(ready) >= 1 && n < cluster.MaxVoters:
		c.changeMember(now, ready[0], cluster.AsVoter)
		l.evenAt = 0
	case n == 2:
		if l.evenAt == 0 {
			l.evenAt = now.Mono
		}
		if now.Mono-l.evenAt < 2*s.Detection {
			return
		}
		l.evenAt = now.Mono
		for _, v := range s.Voters {
			if v != c.self {
				c.changeMember(now, v, cluster.AsLearner)
			}
		}
	default:
		l.evenAt = 0
	}
}

// ReasonVotes: votes are kept odd: node {0} becomes {1}.
const ReasonVotes = "PD1014"

func (c *Core) changeMember(now cluster.Instant, id cluster.NodeID, as cluster.MemberAs) {
	c.lead.memberAt = now.Mono + c.state.Timing().RaftTick
	c.proposeAsLeader(now, cluster.Command{
		Member: &cluster.Member{Node: id, As: as},
		Reason: cluster.Because(ReasonVotes, c.state.NodeName(id), as),
	})
}

func isLearner(s *cluster.State, id cluster.NodeID) bool {
	for _, l := range s.Learners {
		if l == id {
			return true
		}
	}
	return false
}

// readyLearners are those that hold the whole log and are heard, in order of
// id.
func (c *Core) readyLearners(now cluster.Instant) []cluster.NodeID {
	if len(c.state.Learners) == 0 {
		return nil
	}
	match := make(map[cluster.NodeID]uint64)
	c.raft.node.WithProgress(func(id uint64, typ raft.ProgressType, pr tracker.Progress) {
		if typ == raft.ProgressTypeLearner && pr.RecentActive {
			match[cluster.NodeID(id)] = pr.Match
		}
	})
	var ready []cluster.NodeID
	for _, id := range c.state.Learners {
		n := c.state.Node(id)
		if n == nil || n.Presence == cluster.Left || !c.reachable(now, id) {
			continue
		}
		if m, ok := match[id]; ok && m+16 >= c.state.Applied {
			ready = append(ready, id)
		}
	}
	return ready
}
