package core

import (
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/perdure-ha/perdure/internal/cluster"
)

const (
	// proposalsMax bounds what waits to be committed. When it is full the
	// oldest observation for the timeline is dropped, never a report.
	proposalsMax = 512
	// outsideDeadline is how long a command from outside is tried before its
	// outcome is called unknown.
	outsideDeadline = 10 * time.Second
)

// proposals are commands of this node that are not known to be applied.
type proposals struct {
	all []proposal
}

type proposal struct {
	cmd      cluster.Command
	data     []byte
	outside  bool // somebody waits for the outcome
	deadline time.Duration
	again    time.Duration // Mono when to send (again)
	leader   cluster.NodeID
	term     uint64
}

func (p *proposals) add(cmd *cluster.Command, now cluster.Instant, outside bool) {
	q := proposal{cmd: *cmd, outside: outside, deadline: cluster.Never}
	if outside {
		q.deadline = now.Mono + outsideDeadline
	}
	if q.cmd.WallMilli == 0 {
		q.cmd.WallMilli = now.Wall
	}
	q.data = q.cmd.Encode()
	if len(p.all) >= proposalsMax {
		if i := slices.IndexFunc(p.all, func(o proposal) bool { return o.cmd.Note != nil && !o.outside }); i >= 0 {
			p.all = slices.Delete(p.all, i, i+1)
		}
	}
	p.all = append(p.all, q)
}

func (p *proposals) next() time.Duration {
	next := cluster.Never
	inside := false
	for i := range p.all {
		q := &p.all[i]
		if !q.outside && inside {
			continue
		}
		inside = inside || !q.outside
		next = min(next, q.again, q.deadline)
	}
	return next
}

func (p *proposals) take(id uint64) (proposal, bool) {
	i := slices.IndexFunc(p.all, func(q proposal) bool { return q.cmd.ID == id })
	if i < 0 {
		return proposal{}, false
	}
	q := p.all[i]
	p.all = slices.Delete(p.all, i, i+1)
	return q, true
}

// applied ends the waiting for a command; ok reports whether to reply.
func (p *proposals) applied(id uint64, res cluster.Result, index uint64) (Reply, bool) {
	q, ok := p.take(id)
	return Reply{ID: id, Result: res, Index: index}, ok && q.outside
}

// refused ends the waiting for a command that wasn't even proposed.
func (p *proposals) refused(r *Refused) (Reply, bool) {
	q, ok := p.take(r.ID)
	return Reply{ID: r.ID, Result: cluster.Result{Refusal: r.Reason}}, ok && q.outside
}

// restored drops what a snapshot says was applied.
func (p *proposals) restored(s *cluster.State) {
	p.all = slices.DeleteFunc(p.all, func(q proposal) bool {
		return !q.outside && slices.Contains(s.Recent, q.cmd.ID)
	})
}

// inside proposes a command of this node's own. They are committed one after
// the other, so that a report can't overtake an earlier one.
func (c *Core) inside(now cluster.Instant, cmd cluster.Command) {
	cmd.ID = c.rand.Uint64() | 1
	c.props.add(&cmd, now, false)
}

// propose sends what waits to the leader, and again if the leader changed or
// nothing came of it.
func (c *Core) propose(now cluster.Instant) {
	inside := false
	expired := false
	var due [][]byte
	for i := range c.props.all {
		q := &c.props.all[i]
		if now.Mono >= q.deadline {
			expired = true
			c.out.Replies = append(c.out.Replies, Reply{ID: q.cmd.ID, Unknown: true})
			continue
		}
		if !q.outside {
			if inside {
				continue
			}
			inside = true
		}
		same := q.leader == c.raft.leader && q.term == c.raft.term
		if c.raft.leader == 0 || same && now.Mono < q.again {
			if c.raft.leader == 0 {
				q.again = now.Mono + c.state.Timing().RaftTick
			}
			continue
		}
		q.leader, q.term, q.again = c.raft.leader, c.raft.term, now.Mono+c.state.Detection/2
		due = append(due, q.data)
	}
	if expired {
		c.props.all = slices.DeleteFunc(c.props.all, func(q proposal) bool { return now.Mono >= q.deadline })
	}
	// Last, because a leader refuses its own proposal at once, which takes it
	// off the list.
	for _, data := range due {
		c.send(now, &Message{From: c.self, To: c.raft.leader, Propose: data})
	}
}

// proposeFor takes a proposal as leader. A node that doesn't lead drops it: the
// proposer sends it again to whoever does.
func (c *Core) proposeFor(now cluster.Instant, from cluster.NodeID, data []byte) {
	if !c.isLeader() {
		return
	}
	cmd, err := cluster.DecodeCommand(data)
	if err != nil {
		return // a newer peer's; it will be told by the handshake
	}
	if changesConf(cmd) {
		c.proposeConf(now, from, cmd, data)
		return
	}
	c.raft.propose(data) // dropped when too much is under way; sent again
}

// changesConf reports whether the command changes what acks and promises name.
func changesConf(c *cluster.Command) bool {
	return c.Member != nil || c.SetDetection != nil || c.SettleDetection != nil
}

// proposeConf proposes a change of the configuration: of the members, or of
// the detection time. All travel as raft configuration changes, because raft
// proposes one only when the one before is applied. Leases need more: a
// majority must have applied it, or leases could go on under a configuration
// whose successor's successor evicts (docs/design/leases.md).
func (c *Core) proposeConf(now cluster.Instant, from cluster.NodeID, cmd *cluster.Command, data []byte) {
	if c.confKnown(now) < c.state.Majority() {
		return // sent again by whoever wants it
	}
	if cmd.Member == nil {
		// A voter that is added again changes nothing for raft.
		c.proposeChange(raftpb.ConfChangeType_ConfChangeAddNode, c.self, data)
		return
	}
	if res := c.state.CheckMember(cmd.Member); res.Refused() {
		if cmd.ID != 0 {
			c.send(now, &Message{From: c.self, To: from, Refused: &Refused{ID: cmd.ID, Reason: res.Refusal}})
		}
		return
	}
	if cmd.Member.As == cluster.AsNothing && !c.quiet() {
		return // what is under way may give it something; the proposer asks again
	}
	if cmd.Member.Node == c.self && cmd.Member.As != cluster.AsVoter && len(c.state.Voters) > 1 {
		c.handOver(now) // the proposer asks the next leader
		return
	}
	typ := raftpb.ConfChangeType_ConfChangeAddNode
	switch cmd.Member.As {
	case cluster.AsLearner:
		typ = raftpb.ConfChangeType_ConfChangeAddLearnerNode
	case cluster.AsNothing:
		typ = raftpb.ConfChangeType_ConfChangeRemoveNode
	}
	c.proposeChange(typ, cmd.Member.Node, data)
}

func (c *Core) proposeChange(typ raftpb.ConfChangeType, id cluster.NodeID, data []byte) {
	c.raft.proposeConfChange(&raftpb.ConfChangeV2{
		Changes: []*raftpb.ConfChangeSingle{{Type: &typ, NodeId: new(uint64(id))}},
		Context: data,
	})
}

// confKnown counts the voters that are known to have applied the present
// configuration.
func (c *Core) confKnown(now cluster.Instant) int {
	n := 0
	for _, v := range c.state.Voters {
		p := c.peers[v]
		if v == c.self || p != nil && p.beat.Lease.Conf == c.state.Conf && now.Mono-p.heard < c.state.Detection {
			n++
		}
	}
	return n
}

// quiet reports whether everything that this leader proposed is applied, so that
// the state that it sees is the one that its next proposal will meet.
func (c *Core) quiet() bool {
	return !c.disk.busy && !c.raft.node.HasReady() && c.log.last() == c.state.Applied
}

func unmarshal(b []byte, m proto.Message) error { return proto.Unmarshal(b, m) }
