package core

import (
	"fmt"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// rawNode is raft as this package uses it. Raft has no clock and no goroutine
// here, so nothing becomes ready in it unless something was asked of it; asking
// whether something is ready, and what its status is, costs more than all else
// that an ordinary step does.
type rawNode struct {
	node *raft.RawNode
	// asked: something was, since it last had nothing ready.
	asked bool

	// Raft's status, read once after each change.
	isLead bool
	wants  bool // it is a candidate
	leader cluster.NodeID
	term   uint64
}

func newRawNode(c *raft.Config) (*rawNode, error) {
	node, err := raft.NewRawNode(c)
	if err != nil {
		return nil, err
	}
	r := &rawNode{node: node, asked: true}
	r.refresh()
	return r, nil
}

func (r *rawNode) refresh() {
	st := r.node.BasicStatus()
	r.isLead, r.leader, r.term = st.RaftState == raft.StateLeader, cluster.NodeID(st.Lead), st.GetTerm()
	r.wants = st.RaftState == raft.StateCandidate || st.RaftState == raft.StatePreCandidate
}

// ready is what must be written and sent; nil: nothing.
func (r *rawNode) ready() *raft.Ready {
	if !r.asked {
		return nil
	}
	if !r.node.HasReady() {
		r.asked = false
		return nil
	}
	rd := r.node.Ready()
	return &rd
}

func (r *rawNode) advance(rd *raft.Ready) {
	r.asked = true
	r.node.Advance(*rd)
	r.refresh()
}

func (r *rawNode) tick() {
	r.asked = true
	r.node.Tick()
	r.refresh()
}

// step takes a message. Raft refuses what makes no sense; that is its normal
// business.
func (r *rawNode) step(m *raftpb.Message) (err error) {
	defer func() {
		// Raft panics when the leader knows that this node had more than it
		// has (raft/v3 log.go, commitTo). That is a disk that went back, and
		// has a way out.
		if p := recover(); p != nil {
			err = fmt.Errorf("%w: raft: %v", ErrReverted, p)
		}
	}()
	r.asked = true
	_ = r.node.Step(m)
	if t := m.GetType(); m.GetTerm() == r.term && (t == raftpb.MsgHeartbeatResp || t == raftpb.MsgHeartbeat && m.GetFrom() == uint64(r.leader)) {
		return nil // the two that come all the time change neither term nor leader
	}
	r.refresh()
	return nil
}

// forgetLeader is refused by a candidate, which has none to forget.
func (r *rawNode) forgetLeader() {
	r.asked = true
	_ = r.node.ForgetLeader()
	r.refresh()
}

// campaign is refused while a configuration change waits.
func (r *rawNode) campaign() {
	r.asked = true
	_ = r.node.Campaign()
	r.refresh()
}

// propose drops the proposal when too much is under way: it is sent again.
func (r *rawNode) propose(data []byte) {
	r.asked = true
	_ = r.node.Propose(data)
}

func (r *rawNode) proposeConfChange(cc raftpb.ConfChangeI) {
	r.asked = true
	_ = r.node.ProposeConfChange(cc)
}

func (r *rawNode) applyConfChange(cc raftpb.ConfChangeI) *raftpb.ConfState {
	r.asked = true
	return r.node.ApplyConfChange(cc)
}

// snapshotSent says so at once: whether it arrived is learnt from the
// follower's next answer.
func (r *rawNode) snapshotSent(to uint64) {
	r.asked = true
	r.node.ReportSnapshot(to, raft.SnapshotFinish)
}

func (r *rawNode) transferLeader(to uint64) {
	r.asked = true
	r.node.TransferLeader(to)
}
