package world

import (
	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// history remembers what was said once and must never be taken back.
type history struct {
	promises  map[promised]bool
	leaders   map[uint64]cluster.NodeID // by term
	committed map[uint64]uint64         // term of a committed entry, by index
}

// promised: the voter will never acknowledge the node's generation again.
type promised struct {
	voter, node cluster.NodeID
	generation  cluster.Generation
}

func newHistory() history {
	return history{promises: make(map[promised]bool), leaders: make(map[uint64]cluster.NodeID), committed: make(map[uint64]uint64)}
}

func (h *history) promise(voter, node cluster.NodeID, g cluster.Generation) {
	h.promises[promised{voter, node, g}] = true
}

// acked checks that a promise is kept, through every crash and restart.
func (c *checker) acked(n *node, a *core.AckOut) {
	if a.Ack.Refusal == arbiter.Granted && c.history.promises[promised{n.id, a.To, a.Ack.Generation}] {
		c.fail("%s acknowledged %v (generation %d) after it had promised never to", n.name, a.To, a.Ack.Generation)
	}
}

// led checks that a term has one leader.
func (c *checker) led(n *node, b *core.Heartbeat) {
	if b.Leader == n.id {
		c.leads(n, b.Term)
	}
}

func (c *checker) leads(n *node, term uint64) { c.leadsAs(n.id, term) }

func (c *checker) leadsAs(id cluster.NodeID, term uint64) {
	if old, ok := c.history.leaders[term]; ok && old != id {
		c.fail("%v leads in term %d, in which %v has led", id, term, old)
	}
	c.history.leaders[term] = id
}

// said looks at what leaves a node.
func (c *checker) said(n *node, m *core.Message) {
	if m.From != n.id {
		return // passed on
	}
	if a := m.Answer; a != nil && a.Yes && a.Phase == arbiter.Do {
		c.history.promise(n.id, a.Node, a.Generation)
	}
	if m.Raft == nil || m.Raft.GetType() != raftpb.MsgApp {
		return
	}
	c.leads(n, m.Raft.GetTerm())
	for _, e := range m.Raft.GetEntries() {
		if e.GetIndex() > m.Raft.GetCommit() {
			return
		}
		c.commitsAs(n.id, e.GetIndex(), e.GetTerm())
	}
}

func (c *checker) commitsAs(id cluster.NodeID, index, term uint64) {
	if old, ok := c.history.committed[index]; ok && old != term {
		c.fail("%v says that entry %d of term %d is committed, and it was committed with term %d", id, index, term, old)
	}
	c.history.committed[index] = term
}
