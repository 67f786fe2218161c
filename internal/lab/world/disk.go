package world

import (
	"errors"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"
	"google.golang.org/protobuf/proto"

	"github.com/perdure-ha/perdure/internal/core"
)

// disk is a node's log as package wal keeps it: what was synced survives a
// crash; what was not either does or doesn't, as a whole.
type disk struct {
	hard     *raftpb.HardState
	snapshot *raftpb.Snapshot
	entries  []*raftpb.Entry
	local    []byte

	latency time.Duration // mean of a write
	failing bool
	pending *core.Persist
}

var errDisk = errors.New("no space left on device")

// start begins a write; done is called when it ended, unless the node crashed
// meanwhile.
func (n *node) persist(op *core.Persist) {
	w := n.w
	life := n.life
	n.disk.pending = op
	d := n.disk.latency/2 + w.chance(n.disk.latency)
	w.after(d, func() {
		if n.life != life {
			return
		}
		n.disk.pending = nil
		if n.disk.failing {
			n.deliver(core.Persisted{ID: op.ID, Err: errDisk})
			return
		}
		n.disk.write(op)
		n.deliver(core.Persisted{ID: op.ID})
	})
}

func (d *disk) write(op *core.Persist) {
	if op.HardState != nil {
		d.hard = proto.CloneOf(op.HardState)
	}
	if op.Local != nil {
		d.local = slices.Clone(op.Local)
	}
	if op.Snapshot != nil {
		d.restore(op.Snapshot)
	}
	for _, e := range op.Entries {
		if len(d.entries) > 0 {
			first := d.entries[0].GetIndex()
			if e.GetIndex() < first {
				continue
			}
			if keep := e.GetIndex() - first; keep < uint64(len(d.entries)) {
				d.entries = d.entries[:keep]
			}
		}
		d.entries = append(d.entries, e)
	}
}

// restore follows raft: what comes after a snapshot in the log is kept only if
// the log agrees with the snapshot at its index.
func (d *disk) restore(s *raftpb.Snapshot) {
	at := s.GetMetadata().GetIndex()
	if d.snapshot != nil && at <= d.snapshot.GetMetadata().GetIndex() {
		return
	}
	d.snapshot = s
	i := slices.IndexFunc(d.entries, func(e *raftpb.Entry) bool {
		return e.GetIndex() == at && e.GetTerm() == s.GetMetadata().GetTerm()
	})
	if i < 0 {
		d.entries = nil
		return
	}
	d.entries = slices.Clone(d.entries[i+1:])
}

// crash decides what becomes of a write under way.
func (d *disk) crash(kept bool) {
	if d.pending != nil && kept && !d.failing {
		d.write(d.pending)
	}
	d.pending = nil
}

// read is what the next process finds.
func (d *disk) read() core.Disk {
	return core.Disk{HardState: d.hard, Snapshot: d.snapshot, Entries: slices.Clone(d.entries), Local: d.local}
}
