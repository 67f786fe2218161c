package core

import (
	"bytes"
	"compress/flate"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"hash/crc32"
	"io"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// The object of a passive voter. The table is in docs/formats.md.
const (
	objectMagic   = "PERDUOBJ"
	objectVersion = 1
	objectFixed   = 8 + 2 + 2 + 4 + 4 + 4 + 4 // up to the head
	// ObjectMax bounds an object in bytes: it must fit into a slot of a block
	// disk.
	ObjectMax = 1<<20 - 4096
	// stateMax bounds the state document that is unpacked from an object.
	stateMax = 64 << 20
)

// ErrObject: the bytes aren't an object, or are damaged.
var ErrObject = errors.New("not an object of a storage witness, or damaged")

// ErrForeign: the store belongs to another cluster, another lineage of it, or
// to another storage witness.
var ErrForeign = errors.New("the store is another cluster's")

// objectHead is the part of the object that is JSON.
type objectHead struct {
	Cluster string         `json:"cluster"`
	Lineage uint64         `json:"lineage"`
	Store   string         `json:"store"`           // random, given when it was made
	Voter   cluster.NodeID `json:"voter,omitempty"` // 0: nobody's yet
	// Counter counts the saves, and Nonce is another in each.
	Counter uint64 `json:"counter"`
	Nonce   uint64 `json:"nonce"`

	Term   uint64 `json:"term,omitempty"`
	Vote   uint64 `json:"vote,omitempty"`
	Commit uint64 `json:"commit,omitempty"`

	// Marks are the nonces of each node's last save: a node that doesn't find
	// its own knows that the object went back or forked.
	Marks   []mark          `json:"marks,omitempty"`
	Arbiter arbiter.Passive `json:"arbiter"`
	Mail    []letter        `json:"mail,omitempty"`
}

type mark struct {
	Node  cluster.NodeID `json:"node"`
	Nonce uint64         `json:"nonce"`
}

// letter is a message that waits for a node which can't be reached otherwise.
type letter struct {
	To   cluster.NodeID `json:"to"`
	Data []byte         `json:"data"`
}

// StoreID says whose object it is.
type StoreID struct {
	Cluster string
	Lineage uint64
	Store   string
}

// NewObject is the object of a store that was just made, for a cluster that
// doesn't count on it yet.
func NewObject(id StoreID, nonce uint64) []byte {
	s := &cluster.State{Version: cluster.StateVersion, Detection: cluster.DetectionBalanced, Ceiling: cluster.DetectionBalanced}
	p := &passive{
		head:  objectHead{Cluster: id.Cluster, Lineage: id.Lineage, Store: id.Store, Counter: 1, Nonce: nonce},
		snap:  &raftpb.SnapshotMetadata{Index: new(uint64(0)), Term: new(uint64(0)), ConfState: &raftpb.ConfState{AutoLeave: new(false)}},
		state: s, snapData: deflate(s.Encode()), log: &memlog{hard: &raftpb.HardState{}},
	}
	return p.encode()
}

// ObjectFor is the object of a voter that holds the state; for tests.
func ObjectFor(id StoreID, voter cluster.NodeID, s *cluster.State) []byte {
	snap := snapshotOf(s, 1)
	p := &passive{
		head: objectHead{Cluster: id.Cluster, Lineage: id.Lineage, Store: id.Store, Voter: voter, Counter: 1, Nonce: 1},
		snap: snap.GetMetadata(), snapData: deflate(snap.GetData()), state: s,
		log: &memlog{hard: &raftpb.HardState{Term: new(uint64(1)), Vote: new(uint64(0)), Commit: new(s.Applied)}},
	}
	return p.encode()
}

// ObjectOwner reads whose object it is, without the rest; voter is 0 if no
// voter uses it yet.
func ObjectOwner(b []byte) (id StoreID, voter cluster.NodeID, err error) {
	head, _, err := openObject(b)
	if err != nil {
		return StoreID{}, 0, err
	}
	return StoreID{Cluster: head.Cluster, Lineage: head.Lineage, Store: head.Store}, head.Voter, nil
}

func (p *passive) encode() []byte {
	h := p.head
	h.Term, h.Vote, h.Commit = p.log.hard.GetTerm(), p.log.hard.GetVote(), p.log.hard.GetCommit()
	h.Arbiter = p.arb
	head := mustJSON(h)
	conf := mustProto(p.snap)
	b := make([]byte, 0, objectFixed+len(head)+len(conf)+len(p.snapData)+64*len(p.log.entries)+8)
	b = append(b, objectMagic...)
	le := binary.LittleEndian
	b = le.AppendUint16(b, objectVersion)
	b = le.AppendUint16(b, 0)
	b = le.AppendUint32(b, uint32(len(head)))
	b = le.AppendUint32(b, uint32(len(conf)))
	b = le.AppendUint32(b, uint32(len(p.snapData)))
	b = le.AppendUint32(b, uint32(len(p.log.entries)))
	b = append(b, head...)
	b = append(b, conf...)
	b = append(b, p.snapData...)
	for _, e := range p.log.entries {
		d := mustProto(e)
		b = le.AppendUint32(b, uint32(len(d)))
		b = append(b, d...)
	}
	return sealed(b)
}

// sealed appends the checksum.
func sealed(b []byte) []byte {
	return binary.LittleEndian.AppendUint32(b[:len(b):len(b)], crc32.Checksum(b, castagnoli))
}

var castagnoli = crc32.MakeTable(crc32.Castagnoli)

// parts are the pieces of an object behind its head.
type parts struct {
	conf, snap []byte
	entries    [][]byte
}

func openObject(b []byte) (h objectHead, ps parts, err error) {
	bad := func(what string) error { return fmt.Errorf("%s: %w", what, ErrObject) }
	le := binary.LittleEndian
	switch {
	case len(b) < objectFixed+4 || len(b) > ObjectMax:
		return h, ps, bad(fmt.Sprintf("%d bytes", len(b)))
	case string(b[:8]) != objectMagic:
		return h, ps, bad("another magic number")
	case le.Uint32(b[len(b)-4:]) != crc32.Checksum(b[:len(b)-4], castagnoli):
		return h, ps, bad("checksum")
	}
	if v := le.Uint16(b[8:]); v != objectVersion {
		return h, ps, fmt.Errorf("object of a storage witness of version %d, this software reads %d: upgrade this node", v, objectVersion)
	}
	rest := b[objectFixed : len(b)-4]
	take := func(n uint32) []byte {
		if err != nil || uint64(n) > uint64(len(rest)) {
			err = bad("length")
			return nil
		}
		x := rest[:n:n]
		rest = rest[n:]
		return x
	}
	head := take(le.Uint32(b[12:]))
	ps.conf, ps.snap = take(le.Uint32(b[16:])), take(le.Uint32(b[20:]))
	for range le.Uint32(b[24:]) {
		n := take(4)
		if err != nil {
			return h, ps, err
		}
		ps.entries = append(ps.entries, take(le.Uint32(n)))
	}
	if err == nil && len(rest) != 0 {
		err = bad("bytes too many")
	}
	if err != nil {
		return h, ps, err
	}
	if err := json.Unmarshal(head, &h); err != nil {
		return h, ps, fmt.Errorf("head: %v: %w", err, ErrObject)
	}
	return h, ps, nil
}

// applied is a state document that is known from an earlier step. What was
// committed up to an index is the same for ever, so it needn't be read again.
type applied struct {
	state *cluster.State
	term  uint64 // of the last entry applied
}

// decodeObject reads an object. If known isn't nil and fits, its state is used
// instead of the object's snapshot, and belongs to the result.
func decodeObject(b []byte, known *applied) (*passive, error) {
	h, ps, err := openObject(b)
	if err != nil {
		return nil, err
	}
	p := &passive{head: h, arb: h.Arbiter, snap: new(raftpb.SnapshotMetadata), snapData: bytes.Clone(ps.snap)}
	p.head.Arbiter = arbiter.Passive{}
	if err := unmarshal(ps.conf, p.snap); err != nil {
		return nil, fmt.Errorf("snapshot: %v: %w", err, ErrObject)
	}
	if known != nil && known.state.Applied >= p.snap.GetIndex() && known.state.Applied <= h.Commit {
		p.state, p.appliedT = known.state, known.term
	} else {
		doc, err := inflate(ps.snap)
		if err != nil {
			return nil, fmt.Errorf("snapshot: %v: %w", err, ErrObject)
		}
		if p.state, err = cluster.DecodeState(doc); err != nil {
			return nil, err
		}
		p.appliedT = p.snap.GetTerm()
		if p.state.Applied != p.snap.GetIndex() {
			return nil, fmt.Errorf("snapshot at %d of a state at %d: %w", p.snap.GetIndex(), p.state.Applied, ErrObject)
		}
	}
	p.log = &memlog{
		hard: &raftpb.HardState{Term: new(h.Term), Vote: new(h.Vote), Commit: new(h.Commit)},
		conf: &raftpb.ConfState{}, state: func() (*cluster.State, uint64) { return p.state, p.appliedT },
	}
	p.log.restore(p.snap)
	var es []*raftpb.Entry
	for i, d := range ps.entries {
		e := new(raftpb.Entry)
		if err := unmarshal(d, e); err != nil {
			return nil, fmt.Errorf("entry: %v: %w", err, ErrObject)
		}
		if e.GetIndex() != p.snap.GetIndex()+uint64(i)+1 {
			return nil, fmt.Errorf("entry %d out of order: %w", e.GetIndex(), ErrObject)
		}
		es = append(es, e)
	}
	p.log.append(es)
	if p.state.Applied != p.snap.GetIndex() {
		p.log.conf = confState(p.state)
	}
	if h.Commit > p.log.last() || h.Commit < p.log.base {
		return nil, fmt.Errorf("commit %d outside of the log: %w", h.Commit, ErrObject)
	}
	return p, nil
}

func deflate(b []byte) []byte {
	var out bytes.Buffer
	w, err := flate.NewWriter(&out, flate.BestSpeed)
	if err == nil {
		_, err = w.Write(b)
	}
	if err == nil {
		err = w.Close()
	}
	if err != nil {
		panic(fmt.Sprintf("compress the cluster state: %v", err)) // memory doesn't fail
	}
	return out.Bytes()
}

func inflate(b []byte) ([]byte, error) {
	r := flate.NewReader(bytes.NewReader(b))
	doc, err := io.ReadAll(io.LimitReader(r, stateMax+1))
	if err == nil && len(doc) > stateMax {
		err = errors.New("too long")
	}
	return doc, err
}
