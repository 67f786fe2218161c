package core

import (
	"encoding/json"
	"fmt"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// snapshotEvery is how many entries are applied between two snapshots on disk,
// and keepEntries how many stay for followers that are a little behind.
const (
	snapshotEvery = 512
	keepEntries   = 128
)

// diskQueue is the one durable write under way and what waits for it.
type diskQueue struct {
	id         uint64
	busy       bool
	since      time.Duration
	ready      *raft.Ready // of the write under way; nil: only local
	op         *Persist
	localDirty bool
	answers    []*Message // to be sent when local is durable
	after      []*Message // those of the write under way
	retry      time.Duration
	failing    bool // the last write failed, and it was said
}

func (d *diskQueue) retryAt() time.Duration {
	if d.retry == 0 {
		return cluster.Never
	}
	return d.retry
}

// local is the node's own durable record beside raft's.
type local struct {
	Version  int               `json:"version"`
	Promises []arbiter.Promise `json:"promises,omitempty"`
}

func decodeLocal(b []byte) ([]arbiter.Promise, error) {
	if len(b) == 0 {
		return nil, nil
	}
	var l local
	if err := json.Unmarshal(b, &l); err != nil {
		return nil, fmt.Errorf("read the promises: %w", err)
	}
	if l.Version != 1 {
		return nil, fmt.Errorf("read the promises: version %d, this software reads 1: upgrade this node", l.Version)
	}
	return l.Promises, nil
}

func (c *Core) encodeLocal() []byte {
	b, err := json.Marshal(local{Version: 1, Promises: c.voter.Promises()})
	if err != nil {
		panic(fmt.Sprintf("encode the promises: %v", err))
	}
	return b
}

// pump moves raft's output along: to the disk first, then to the peers and the
// state.
func (c *Core) pump(now cluster.Instant) {
	if c.disk.retry != 0 && now.Mono >= c.disk.retry {
		c.disk.retry = 0
		c.out.Persist = c.disk.op
	}
	for !c.disk.busy {
		rd := c.raft.ready()
		op := c.writeFor(rd)
		if op == nil {
			if rd == nil {
				return
			}
			c.complete(now, rd)
			continue
		}
		c.disk.id++
		op.ID = c.disk.id
		c.disk.busy, c.disk.since, c.disk.ready, c.disk.op = true, now.Mono, rd, op
		c.disk.after, c.disk.answers = c.disk.answers, nil
		c.disk.localDirty = false
		c.out.Persist = op
		if c.broken.SendFirst {
			if rd != nil {
				c.sendRaft(now, rd.Messages)
				rd.Messages = nil
			}
			c.release(now)
		}
	}
}

// writeFor is what must be durable before rd is acted on; nil if nothing must.
// A commit index that moved alone is not worth a write: it is learnt again.
func (c *Core) writeFor(rd *raft.Ready) *Persist {
	need := c.disk.localDirty
	var hs *raftpb.HardState
	if rd != nil {
		if rd.HardState != nil && !raft.IsEmptyHardState(rd.HardState) {
			hs = rd.HardState
		}
		vote := hs != nil && (hs.GetTerm() != c.hardOnDisk.GetTerm() || hs.GetVote() != c.hardOnDisk.GetVote())
		need = need || vote || len(rd.Entries) > 0 || !raft.IsEmptySnap(rd.Snapshot)
	}
	if !need {
		return nil
	}
	op := &Persist{HardState: hs}
	if c.disk.localDirty {
		op.Local = c.encodeLocal()
	}
	if rd != nil {
		op.Entries = rd.Entries
		if !raft.IsEmptySnap(rd.Snapshot) {
			op.Snapshot = rd.Snapshot
		}
	}
	if op.HardState == nil {
		op.HardState = c.log.hard
	}
	if op.Snapshot == nil && c.state.Applied >= c.snapAt+snapshotEvery {
		op.Snapshot = snapshotOf(c.state, c.appliedT)
	}
	return op
}

// persisted goes on where pump had to wait.
func (c *Core) persisted(now cluster.Instant, e Persisted) {
	if !c.disk.busy || e.ID != c.disk.id {
		return
	}
	if e.Err != nil {
		if !c.disk.failing {
			c.disk.failing = true
			c.out.Alarms = append(c.out.Alarms, cluster.Because(AlarmDisk, e.Err))
		}
		c.disk.retry = now.Mono + time.Second
		return
	}
	op := c.disk.op
	c.disk.busy, c.disk.op, c.disk.retry, c.disk.failing = false, nil, 0, false
	c.hardOnDisk = op.HardState
	c.release(now)
	rd := c.disk.ready
	c.disk.ready = nil
	if op.Snapshot != nil && op.Snapshot.GetMetadata().GetIndex() > c.snapAt {
		c.snapAt = op.Snapshot.GetMetadata().GetIndex()
	}
	if rd != nil {
		c.complete(now, rd)
	}
	if c.snapAt > keepEntries {
		c.log.compact(min(c.snapAt-keepEntries, c.state.Applied))
	}
}

// AlarmDisk: the state directory can't be written: {0}.
const AlarmDisk = "PD8001"

// release sends what waited for the local record.
func (c *Core) release(now cluster.Instant) {
	for _, m := range c.disk.after {
		c.send(now, m)
	}
	c.disk.after = nil
}

// complete acts on a Ready whose write, if any, is durable.
func (c *Core) complete(now cluster.Instant, rd *raft.Ready) {
	if !raft.IsEmptySnap(rd.Snapshot) {
		c.restore(now, rd.Snapshot)
	}
	c.log.append(rd.Entries)
	if rd.HardState != nil && !raft.IsEmptyHardState(rd.HardState) {
		c.log.hard = rd.HardState
	}
	c.sendRaft(now, rd.Messages)
	changed := false
	for _, e := range rd.CommittedEntries {
		changed = c.applyEntry(now, e) || changed
	}
	c.raft.advance(rd)
	if changed {
		c.stateChanged(now)
	}
}

func (c *Core) restore(now cluster.Instant, snap *raftpb.Snapshot) {
	s, err := cluster.DecodeState(snap.GetData())
	if err != nil {
		c.out.Fatal = err
		return
	}
	c.state = s
	c.appliedT = snap.GetMetadata().GetTerm()
	c.log.restore(snap.GetMetadata())
	c.props.restored(c.state)
	c.stateChanged(now)
}

// applyEntry carries out one committed entry.
func (c *Core) applyEntry(now cluster.Instant, e *raftpb.Entry) (changed bool) {
	if e.GetIndex() <= c.state.Applied {
		return false
	}
	c.appliedT = e.GetTerm()
	data := e.GetData()
	switch e.GetType() {
	case raftpb.EntryConfChange, raftpb.EntryConfChangeV2:
		cc, ctx, err := decodeConfChange(e)
		if err != nil {
			c.out.Fatal = err
			return false
		}
		c.log.conf = c.raft.applyConfChange(cc)
		data = ctx
	}
	if len(data) == 0 {
		c.state.Applied = e.GetIndex()
		return false
	}
	cmd, err := cluster.DecodeCommand(data)
	if err != nil {
		// Guessing would make this node's state differ from the others'.
		c.out.Fatal = fmt.Errorf("apply entry %d: %w", e.GetIndex(), err)
		return false
	}
	res := c.state.Apply(e.GetIndex(), cmd)
	if cmd.ID != 0 {
		if r, ok := c.props.applied(cmd.ID, res, e.GetIndex()); ok {
			c.out.Replies = append(c.out.Replies, r)
		}
	}
	return true
}

func decodeConfChange(e *raftpb.Entry) (raftpb.ConfChangeI, []byte, error) {
	if e.GetType() == raftpb.EntryConfChange {
		cc := new(raftpb.ConfChange)
		if err := unmarshal(e.GetData(), cc); err != nil {
			return nil, nil, fmt.Errorf("apply the configuration change %d: %w", e.GetIndex(), err)
		}
		return cc, cc.GetContext(), nil
	}
	cc := new(raftpb.ConfChangeV2)
	if err := unmarshal(e.GetData(), cc); err != nil {
		return nil, nil, fmt.Errorf("apply the configuration change %d: %w", e.GetIndex(), err)
	}
	return cc, cc.GetContext(), nil
}

func (c *Core) isLeader() bool { return c.raft.isLead }

// sendRaft hands raft's messages to the transport. A witness's requests for
// votes are dropped unless it must help a shorter log along.
func (c *Core) sendRaft(now cluster.Instant, ms []*raftpb.Message) {
	for _, m := range ms {
		if m.GetTo() == 0 || m.GetTo() == uint64(c.self) {
			continue
		}
		if m.GetType() == raftpb.MsgSnap {
			c.raft.snapshotSent(m.GetTo())
		}
		c.send(now, &Message{From: c.self, To: cluster.NodeID(m.GetTo()), Raft: m})
	}
}

// send hands a message to the transport, or to this node itself.
func (c *Core) send(now cluster.Instant, m *Message) {
	if m.To == c.self {
		c.received(now, c.self, m)
		return
	}
	m.Via = c.route(now, m)
	if l := c.link(m.Via); l != nil {
		c.toStorage(now, l, m)
		return
	}
	c.out.Messages = append(c.out.Messages, m)
}

// route is the peer to which a message for the target is handed: the target
// itself if both sides hear each other, otherwise somebody who hears both.
func (c *Core) route(now cluster.Instant, m *Message) cluster.NodeID {
	to := m.To
	if isStorage(c.state, to) {
		return c.routeStorage(now, m)
	}
	fresh := c.state.Detection / 4
	if p := c.peers[to]; p != nil && now.Mono-p.heard < fresh && p.beat.hears(c.self, fresh) {
		return to
	}
	for i := range c.state.Nodes {
		id := c.state.Nodes[i].ID
		p := c.peers[id]
		if id == to || p == nil || now.Mono-p.heard >= fresh {
			continue
		}
		if p.beat.hears(c.self, fresh) && p.beat.hears(to, fresh) {
			return id
		}
	}
	// The object of a passive voter keeps messages for nodes that come by.
	for _, l := range c.links {
		if p := c.peers[l.voter]; p != nil && now.Mono-p.heard < 2*fresh && p.beat.hears(to, 2*fresh) {
			return l.voter
		}
	}
	return to
}

func (b *Heartbeat) hears(id cluster.NodeID, within time.Duration) bool {
	for _, h := range b.Heard {
		if h.Node == id {
			return time.Duration(h.Age)*time.Millisecond < within
		}
	}
	return false
}

// received takes a message, or passes it on.
func (c *Core) received(now cluster.Instant, from cluster.NodeID, m *Message) {
	if m.To != c.self {
		if !m.Relayed && c.state.Node(m.To) != nil {
			m.Relayed, m.Via = true, m.To
			if l := c.link(m.To); l != nil {
				c.toStorage(now, l, m)
				return
			}
			c.out.Messages = append(c.out.Messages, m)
		}
		return
	}
	if l := c.link(m.From); l != nil && !isStorage(c.state, from) {
		l.host = from // it speaks through this node
	}
	switch {
	case m.Raft != nil:
		if m.Raft.GetFrom() != uint64(m.From) {
			return
		}
		c.stepRaft(now, m.Raft)
	case m.Propose != nil:
		c.proposeFor(now, m.From, m.Propose)
	case m.Refused != nil:
		if r, ok := c.props.refused(m.Refused); ok {
			c.out.Replies = append(c.out.Replies, r)
		}
	case m.Ask != nil:
		c.answer(now, m.From, *m.Ask)
	case m.Answer != nil:
		if c.lead != nil && m.Answer.Voter == m.From {
			c.lead.evictor.Answered(now, *m.Answer)
		}
	case m.Probe != nil:
		c.probed(now, m.From, m.Probe)
	case m.Proof != nil:
		c.proven(now, m.From, m.Proof)
	case m.Ack != nil:
		c.ackReceived(now, m.From, *m.Ack)
	}
}

func (c *Core) stepRaft(now cluster.Instant, m *raftpb.Message) {
	if p := c.peers[cluster.NodeID(m.GetFrom())]; p != nil && p.reverted {
		return
	}
	switch m.GetType() {
	case raftpb.MsgApp, raftpb.MsgHeartbeat, raftpb.MsgSnap:
		if m.GetTerm() >= c.raft.term {
			c.sawLeader(now, now.Mono)
		}
	case raftpb.MsgPreVote, raftpb.MsgVote:
		if c.role == cluster.RoleWitness && c.shorter(m) {
			c.mayLead = true
		}
	case raftpb.MsgProp, raftpb.MsgHup, raftpb.MsgBeat, raftpb.MsgTimeoutNow:
		if m.GetType() != raftpb.MsgTimeoutNow || c.role == cluster.RoleWitness {
			return // proposals have a way of their own; the rest is local
		}
	}
	if err := c.raft.step(m); err != nil {
		c.out.Fatal = err
	}
}

// shorter reports whether the candidate's log is behind this node's.
func (c *Core) shorter(m *raftpb.Message) bool {
	last := c.log.last()
	term, err := c.log.Term(last)
	return err == nil && (m.GetLogTerm() < term || m.GetLogTerm() == term && m.GetIndex() < last)
}

// quiet swallows raft's own log: what matters to people is said in the
// project's words. Panics stay.
type quiet struct{}

func (quiet) Debug(...any)            {}
func (quiet) Debugf(string, ...any)   {}
func (quiet) Error(...any)            {}
func (quiet) Errorf(string, ...any)   {}
func (quiet) Info(...any)             {}
func (quiet) Infof(string, ...any)    {}
func (quiet) Warning(...any)          {}
func (quiet) Warningf(string, ...any) {}
func (quiet) Fatal(v ...any)          { panic(fmt.Sprint(v...)) }
func (quiet) Fatalf(f string, v ...any) {
	panic(fmt.Sprintf(f, v...))
}
func (quiet) Panic(v ...any)            { panic(fmt.Sprint(v...)) }
func (quiet) Panicf(f string, v ...any) { panic(fmt.Sprintf(f, v...)) }
