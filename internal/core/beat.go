package core

import (
	"errors"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// doBeat sends the heartbeat when it is due. Nothing waits for it and it waits
// for nothing: no disk, no kit.
func (c *Core) doBeat(now cluster.Instant) {
	if now.Mono < c.nextBeat {
		return
	}
	c.nextBeat += c.beatInterval()
	if c.nextBeat <= now.Mono {
		c.nextBeat = now.Mono + c.beatInterval()
	}
	b := &Heartbeat{
		Term: c.raft.term, Applied: c.state.Applied, Protocol: Protocol, Leaving: c.leaving, Life: c.life,
		Lease: arbiter.Beat{Node: c.self, Generation: c.holder.Generation(), Conf: c.state.Conf, Sent: now.Boot},
	}
	switch {
	case c.isLeader():
		if !c.stalled(now) {
			b.Leader = c.self
		}
	case c.raft.leader != 0:
		b.Leader, b.LeaderAge = c.raft.leader, age(now.Mono-c.leaderSeen)
	}
	voter := c.state.IsVoter(c.self)
	b.LogTerm, b.LogIndex = c.furthest()
	b.Heard = make([]Heard, 0, len(c.state.Nodes))
	c.out.BeatTo = c.out.BeatTo[:0]
	for i := range c.state.Nodes {
		id := c.state.Nodes[i].ID
		if id == c.self {
			continue
		}
		if p := c.peers[id]; p != nil {
			b.Heard = append(b.Heard, Heard{Node: id, Age: age(now.Mono - p.heard)})
		}
		// Nodes without a vote need each other's word for nothing, so that the
		// number of heartbeats grows with the nodes and not with their square.
		if (voter || c.state.IsVoter(id)) && c.state.Nodes[i].Role != cluster.RoleStorage {
			c.out.BeatTo = append(c.out.BeatTo, id)
		}
	}
	c.out.Beat = b
	c.stampStorage(now)
	c.probe(now)
}

// furthest is the furthest end that the durable log had in this process's life.
// A new leader may replace a long conflicting tail in several messages, so that
// the log ends earlier for a while; peers would take that for a disk that went
// back. One that did has another process.
func (c *Core) furthest() (term, index uint64) {
	index = c.log.last()
	term, _ = c.log.Term(index) // the last entry is always there
	if term > c.farTerm || term == c.farTerm && index > c.farIndex {
		c.farTerm, c.farIndex = term, index
	}
	return c.farTerm, c.farIndex
}

// leaderHaste is the part of the interval by which the leader's heartbeats come
// sooner than others', and nearBeat the part in which others join them. The rest of
// the cluster then falls into step with the leader within seconds and wakes two or
// three times for each heartbeat instead of six: with the leader's, and with the
// answers and the others' heartbeats, which come together. None is ever later than
// by a clock of its own, so no lease is shorter for it.
const leaderHaste, nearBeat = 16, 8

// beatInterval is the longest time to the next heartbeat.
func (c *Core) beatInterval() time.Duration {
	interval := c.state.Timing().Heartbeat
	if c.isLeader() {
		interval -= interval / leaderHaste
	}
	return interval
}

// joinBeat sends the next heartbeat with the leader's, which was just heard, if it
// would be due soon.
func (c *Core) joinBeat(now cluster.Instant) {
	if now.Mono < c.nextBeat && c.nextBeat-now.Mono <= c.beatInterval()/nearBeat {
		c.nextBeat = now.Mono
		c.due = min(c.due, now.Mono)
	}
}

// stalled reports whether the leader's disk keeps it from leading.
func (c *Core) stalled(now cluster.Instant) bool {
	return c.disk.busy && now.Mono-c.disk.since > c.state.Timing().LeaderSilence/2
}

func age(d time.Duration) uint32 {
	return uint32(min(max(d.Milliseconds(), 0), 1<<30))
}

// ackEverywhere is every how many heartbeats the answer goes on all comm paths:
// five times in a lease.
const ackEverywhere = 4

// beatReceived hears a peer.
func (c *Core) beatReceived(now cluster.Instant, from cluster.NodeID, network string, b *Heartbeat) {
	p := c.peers[from]
	if p == nil {
		if c.state.Applied > 0 && c.state.Node(from) == nil {
			return // not, or not any more, one of us
		}
		p = new(peer)
		c.peers[from] = p
	}
	// The same heartbeat comes on every comm path; its first copy is answered.
	// What comes later than a newer one of the same process says nothing new
	// either.
	again := b.Life == p.beat.Life && b.Lease.Sent <= p.beat.Lease.Sent
	p.heard = now.Mono
	if again {
		return
	}
	if b.LogTerm < p.beat.LogTerm || b.LogTerm == p.beat.LogTerm && b.LogIndex < p.beat.LogIndex {
		p.reverted = true
	}
	p.beat = *b
	for _, l := range c.links {
		l.watch.Beat(now, from, b.Life, b.Lease.Sent)
	}
	if p.reverted {
		// What it promised and voted may be forgotten: nothing that it says
		// counts any more. It is told, and comes back under a new id.
		c.out.Acks = append(c.out.Acks, AckOut{To: from, Ack: arbiter.Ack{
			Voter: c.self, Generation: b.Lease.Generation, Sent: b.Lease.Sent, Refusal: arbiter.RefusedReverted}})
		return
	}
	if b.Term >= c.raft.term && b.Leader != 0 && b.Leader != c.self {
		if b.Leader == from {
			c.sawLeader(now, now.Mono)
			c.joinBeat(now)
		} else {
			// Second-hand word ages by one heartbeat at each hand, so that
			// two nodes can't keep a dead leader alive between them.
			c.sawLeader(now, now.Mono-time.Duration(b.LeaderAge)*time.Millisecond-c.state.Timing().Heartbeat)
		}
	}
	if b.Lease.Generation == 0 || b.Lease.Node != from || !c.state.IsVoter(c.self) {
		return
	}
	if !c.hears(b) {
		return
	}
	// The answer takes the same way back, and every few times all of them: a
	// lease must also live where one path works there and another one back.
	if p.beats++; p.beats%ackEverywhere == 0 {
		network = ""
	}
	c.out.Acks = append(c.out.Acks, AckOut{To: from, Network: network, Ack: c.voter.Acknowledge(now, c.state, b.Lease)})
}

// hears reports whether the sender of a heartbeat hears this node. One that is
// heard but hears nobody can't renew its lease, so it has stopped serving; were
// it acknowledged on and on, nobody could ever take over from it. When it hears
// this node again, its next heartbeat says so.
func (c *Core) hears(b *Heartbeat) bool {
	limit := age(deafBeats * c.state.Timing().Heartbeat)
	return slices.ContainsFunc(b.Heard, func(h Heard) bool { return h.Node == c.self && h.Age <= limit })
}

// deafBeats is how many heartbeats a node may miss of this one before it is
// taken to be deaf. The outage of a deaf node is longer by so much.
const deafBeats = 3

// ErrReverted: this node's disk has gone back behind what others heard of it.
var ErrReverted = errors.New("this node's log has gone back: it forgot what it told other nodes")

// ackReceived counts the answer to one of this node's heartbeats.
func (c *Core) ackReceived(now cluster.Instant, from cluster.NodeID, a arbiter.Ack) {
	if a.Voter != from {
		return
	}
	if a.Refusal == arbiter.RefusedReverted && a.Sent <= now.Boot {
		c.out.Fatal = ErrReverted
		return
	}
	// A voter that hasn't been heard yet may be one whose disk went back.
	if p := c.peers[from]; p == nil || p.reverted {
		return
	}
	c.holder.Heard(now, a)
}

// reachable reports whether the node was heard lately.
func (c *Core) reachable(now cluster.Instant, id cluster.NodeID) bool {
	if id == c.self {
		return true
	}
	p := c.peers[id]
	return p != nil && now.Mono-p.heard < c.state.Detection/2
}

// countLease follows the lease, and gives up a generation that can't live.
func (c *Core) countLease(now cluster.Instant) {
	l := c.holder.Lease(now, c.state)
	if l != c.lease {
		if l.Until > c.lease.Until || l.Generation != c.lease.Generation {
			grown := l
			c.out.Lease = &grown
		}
		c.lease = l
	}
	if alive := l.Alive(now); alive != c.served {
		c.served = alive
		c.exec.Lease(now, alive)
	}
	if !c.resetting && c.givenUp(now, l) {
		if c.hopeless == 0 {
			c.hopeless = now.Mono
		}
		// An eviction that is under way is likelier to be learnt of within a
		// detection time; then there is a better reason.
		if now.Mono-c.hopeless > c.state.Detection {
			why := cluster.Because(ReasonHopeless, c.state.NodeName(c.self))
			c.reset(&why)
		}
	} else {
		c.hopeless = 0
	}
}

// givenUp reports whether this generation should end: no majority can ever
// acknowledge it again, or none did for so long that the guardian has stopped
// everything, and a voter's promise may be why. Nothing is lost by a new one then.
func (c *Core) givenUp(now cluster.Instant, l arbiter.Lease) bool {
	if c.holder.Generation() == 0 || !l.Over(now) {
		return false
	}
	return c.holder.Hopeless(c.state) || now.Boot >= l.Until+c.state.Timing().StopAfter && c.holder.Against(c.state) > 0
}

// answer is the voter's word on a promise.
func (c *Core) answer(now cluster.Instant, from cluster.NodeID, ask arbiter.Ask) {
	a := &arbiter.Answer{Ask: ask, Voter: c.self, Silent: -1}
	if ago, ok := c.voter.Silent(now, ask.Node, ask.Generation); ok {
		a.Silent = ago
	}
	m := &Message{From: c.self, To: from, Answer: a}
	if !c.voter.MayPromise(now, c.state, ask.Node, ask.Generation, ask.Conf) {
		if ask.Conf == c.state.Conf {
			a.Wait = max(c.voter.Ripe(c.state, ask.Node, ask.Generation)-now.Mono, 0)
		}
		c.send(now, m)
		return
	}
	a.Yes = true
	if ask.Phase != arbiter.Do {
		c.send(now, m)
		return
	}
	if c.voter.MakePromise(ask.Node, ask.Generation) {
		c.disk.localDirty = true
	}
	switch {
	case c.broken.SendFirst:
		c.send(now, m)
	case c.disk.localDirty:
		c.disk.answers = append(c.disk.answers, m)
	case c.disk.busy && c.disk.op.Local != nil:
		c.disk.after = append(c.disk.after, m)
	default:
		c.send(now, m)
	}
}
