package core

import (
	"fmt"
	"math"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"
	"go.etcd.io/raft/v3/tracker"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// A passive voter is a member of the cluster that is no process: its state is
// one object in shared storage, and whoever has something for it loads the
// object, steps it, and saves it if nobody else has meanwhile. Only then does
// anything that it says count. The rules are in docs/design/storage-witness.md.

// compactAbove is how many bytes, and compactEntries how many entries, of log
// an object keeps behind its snapshot: little, because each save writes all.
const (
	compactAbove   = 32 << 10
	compactEntries = 64
)

// passive is an object that was read, ready to be stepped.
type passive struct {
	head     objectHead
	arb      arbiter.Passive
	snap     *raftpb.SnapshotMetadata
	snapData []byte // compressed, as it lies in the object
	log      *memlog
	state    *cluster.State
	appliedT uint64
	raft     *rawNode
	failed   error
}

// begin makes a raft node of what was read. It remembers no leader and no
// campaign: nothing of that is in the object.
func (p *passive) begin() error {
	node, err := newRawNode(&raft.Config{
		ID: uint64(p.head.Voter), Storage: p.log, Applied: p.state.Applied,
		ElectionTick: cluster.RaftElectionTicks, HeartbeatTick: 1,
		MaxSizePerMsg: 256 << 10, MaxCommittedSizePerReady: math.MaxUint64, MaxInflightMsgs: 64, MaxUncommittedEntriesSize: 16 << 20,
		CheckQuorum: true, PreVote: true, Logger: quiet{},
	})
	if err != nil {
		return fmt.Errorf("step passive voter %v: %w", p.head.Voter, err)
	}
	p.raft = node
	return nil
}

// pump moves raft along; what it returns counts once the object is saved.
func (p *passive) pump() (ms []*raftpb.Message) {
	for p.failed == nil {
		rd := p.raft.ready()
		if rd == nil {
			return ms
		}
		if !raft.IsEmptySnap(rd.Snapshot) {
			p.restore(rd.Snapshot)
		}
		p.log.append(rd.Entries)
		if rd.HardState != nil && !raft.IsEmptyHardState(rd.HardState) {
			p.log.hard = rd.HardState
		}
		for _, m := range rd.Messages {
			if m.GetTo() == 0 || m.GetTo() == uint64(p.head.Voter) {
				continue
			}
			if m.GetType() == raftpb.MsgSnap {
				p.raft.snapshotSent(m.GetTo())
			}
			ms = append(ms, m)
		}
		for _, e := range rd.CommittedEntries {
			p.apply(e)
		}
		p.raft.advance(rd)
	}
	return nil
}

func (p *passive) restore(snap *raftpb.Snapshot) {
	s, err := cluster.DecodeState(snap.GetData())
	if err != nil {
		p.failed = err
		return
	}
	p.state, p.appliedT = s, snap.GetMetadata().GetTerm()
	p.log.restore(snap.GetMetadata())
	p.snap, p.snapData = snap.GetMetadata(), deflate(snap.GetData())
	p.arb.Applied(s)
}

func (p *passive) apply(e *raftpb.Entry) {
	if e.GetIndex() <= p.state.Applied || p.failed != nil {
		return
	}
	p.appliedT = e.GetTerm()
	data := e.GetData()
	switch e.GetType() {
	case raftpb.EntryConfChange, raftpb.EntryConfChangeV2:
		cc, ctx, err := decodeConfChange(e)
		if err != nil {
			p.failed = err
			return
		}
		p.log.conf = p.raft.applyConfChange(cc)
		data = ctx
	}
	if len(data) == 0 {
		p.state.Applied = e.GetIndex()
		return
	}
	cmd, err := cluster.DecodeCommand(data)
	if err != nil {
		p.failed = fmt.Errorf("apply entry %d at passive voter %v: %w", e.GetIndex(), p.head.Voter, err)
		return
	}
	p.state.Apply(e.GetIndex(), cmd)
	p.arb.Applied(p.state)
}

// compact replaces the snapshot when the log behind it has grown.
func (p *passive) compact() {
	var size int
	for _, e := range p.log.entries {
		size += len(e.GetData()) + 24
	}
	if p.state.Applied <= p.snap.GetIndex() || size < compactAbove && len(p.log.entries) < compactEntries {
		return
	}
	snap := snapshotOf(p.state, p.appliedT)
	p.snap, p.snapData = snap.GetMetadata(), deflate(snap.GetData())
	p.log.compact(p.state.Applied)
}

// caughtUp reports whether the node holds all of the log, as this voter knows
// that leads for a moment.
func (p *passive) caughtUp(id cluster.NodeID) bool {
	last, yes := p.log.last(), false
	if p.state.Applied != last {
		return false
	}
	p.raft.node.WithProgress(func(pid uint64, typ raft.ProgressType, pr tracker.Progress) {
		yes = yes || cluster.NodeID(pid) == id && typ == raft.ProgressTypePeer && pr.Match >= last
	})
	return yes
}

// shorterThan reports whether the candidate's log is behind this voter's.
func (p *passive) shorterThan(m *raftpb.Message) bool {
	last := p.log.last()
	term, err := p.log.Term(last)
	return err == nil && (m.GetLogTerm() < term || m.GetLogTerm() == term && m.GetIndex() < last)
}
