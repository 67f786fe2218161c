package core

import (
	"errors"
	"fmt"
	"math/rand/v2"
	"slices"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// Batch is what a node has for a passive voter at one time.
type Batch struct {
	// Join: an object that is nobody's becomes this voter's. Only for a voter
	// that has no vote yet.
	Join bool
	// Stamp asks for an acknowledgement; nil: the object is only read, unless
	// there is something else.
	Stamp *arbiter.Stamp
	Raft  []*raftpb.Message
	Asks  []StampedAsk
	// Mail is for nodes that can't be reached otherwise.
	Mail []*Message
	// Known are the stamps that this node has seen. A vote isn't given while
	// the leader's has moved since.
	Known []arbiter.Stamp
	// Help asks the voter to lead for a moment, because only its log is
	// complete.
	Help bool
}

// StampedAsk asks for a promise, if the stamp is still the one seen.
type StampedAsk struct {
	Ask  arbiter.Ask
	Seen arbiter.Stamp
}

// saves reports whether the batch changes the object.
func (b *Batch) saves() bool {
	return b.Join || b.Stamp != nil || len(b.Raft) > 0 || len(b.Asks) > 0 || len(b.Mail) > 0 || b.Help
}

// Outcome is what came of a batch. It counts only once the object is saved.
type Outcome struct {
	Ack *arbiter.Ack // of the stamp
	// Messages are from the voter; most are for the node that brought the batch.
	Messages []*Message
	// Mail was waiting for this node.
	Mail []*Message
	Seen Seen
	// Shorter: a vote was refused because the candidate's log is shorter.
	Shorter bool
	// Saved reports whether the object was changed.
	Saved bool
}

// Seen is what the object shows.
type Seen struct {
	Counter uint64
	Conf    uint64
	Applied uint64
	Term    uint64
	Stamps  []arbiter.Stamp
}

// ErrWentBack: the object isn't the one that this node saved, or older than one
// that it has seen.
var ErrWentBack = errors.New("the storage witness's object has gone back, or another one is in its place")

// ErrUnused: the object is nobody's yet, though the cluster counts on the
// voter.
var ErrUnused = errors.New("the storage witness's object was made anew: what it held is lost")

// Stepper is one process's dealings with one passive voter. It remembers what
// it saved, so that an object which went back is found out.
//
// The caller loads the object, calls [Stepper.Step], saves the result if the
// object hasn't changed meanwhile, and calls [Stepper.Saved]. Nothing of the
// outcome may be used before that save has succeeded.
type Stepper struct {
	self   cluster.NodeID
	voter  cluster.NodeID
	id     StoreID
	rand   *rand.Rand
	broken arbiter.Broken

	counter, nonce uint64   // the highest seen
	mark           uint64   // of the last save known to have succeeded; 0: none
	unknown        []uint64 // marks of later saves that may have succeeded
	trying         uint64   // the mark under way
	cache          *passive // as saved last, with a voter that leads
	known          *applied // the newest state known to be committed
	next           *passive
}

// unknownMax bounds the saves whose end is unknown.
const unknownMax = 64

// NewStepper remembers nothing yet.
func NewStepper(self, voter cluster.NodeID, id StoreID, seed uint64, broken arbiter.Broken) *Stepper {
	return &Stepper{self: self, voter: voter, id: id, rand: rand.New(rand.NewPCG(seed, uint64(voter))), broken: broken}
}

// Step applies a batch to the object. next is nil if there is nothing to save.
func (s *Stepper) Step(object []byte, b *Batch) (next []byte, out *Outcome, err error) {
	defer func() {
		// Raft panics at a state that can't be (raft/v3 log.go): then the object
		// is whole and makes no sense.
		if p := recover(); p != nil {
			next, out, err = nil, nil, fmt.Errorf("step storage witness %v: %v: %w", s.voter, p, ErrObject)
		}
	}()
	p, err := s.open(object, b)
	if err != nil {
		return nil, nil, err
	}
	out = new(Outcome)
	ms := p.pump()
	defer func() {
		if p.failed == nil && p.state.Applied > 0 {
			s.known = &applied{state: p.state, term: p.appliedT}
		}
	}()
	if p.failed == nil && !b.saves() && !slices.ContainsFunc(p.head.Mail, func(l letter) bool { return l.To == s.self }) {
		out.Seen = p.seen()
		return nil, out, nil
	}
	if b.Help {
		p.raft.campaign()
		ms = append(ms, p.pump()...)
	}
	for _, m := range b.Raft {
		ms = append(ms, s.stepRaft(p, b, m, out)...)
	}
	if p.raft.isLead && p.caughtUp(s.self) {
		p.raft.transferLeader(uint64(s.self))
		ms = append(ms, p.pump()...)
	}
	for _, m := range ms {
		out.Messages = append(out.Messages, &Message{From: s.voter, To: cluster.NodeID(m.GetTo()), Raft: m})
	}
	s.arbitrate(p, b, out)
	s.deliver(p, b, out)
	if p.failed != nil {
		return nil, nil, p.failed
	}
	p.compact()
	p.head.Counter++
	p.head.Nonce = s.rand.Uint64() | 1
	s.trying = p.head.Nonce
	p.head.Marks = slices.DeleteFunc(p.head.Marks, func(m mark) bool {
		return m.Node == s.self || p.state.Applied > 0 && p.state.Node(m.Node) == nil
	})
	p.head.Marks = append(p.head.Marks, mark{Node: s.self, Nonce: s.trying})
	out.Seen = p.seen()
	next = p.encode()
	if len(next) > ObjectMax {
		return nil, nil, fmt.Errorf("storage witness %v: its object would be %d bytes, at most %d fit: remove what isn't needed from the cluster", s.voter, len(next), ObjectMax)
	}
	s.next = p
	return next, out, nil
}

// open reads the object, if it is the one that it should be.
func (s *Stepper) open(object []byte, b *Batch) (*passive, error) {
	p, err := decodeObject(object, s.known)
	if err != nil {
		return nil, err
	}
	s.known = nil // it is p's now
	h := &p.head
	if h.Cluster != s.id.Cluster || h.Store != s.id.Store || h.Lineage != s.id.Lineage {
		return nil, fmt.Errorf("%w: it is cluster %s, lineage %d, store %s; this is cluster %s, lineage %d, store %s",
			ErrForeign, h.Cluster, h.Lineage, h.Store, s.id.Cluster, s.id.Lineage, s.id.Store)
	}
	if h.Voter == 0 {
		if !b.Join {
			return nil, ErrUnused
		}
		h.Voter = s.voter
	}
	if h.Voter != s.voter {
		return nil, fmt.Errorf("%w: it is voter %v, this is voter %v", ErrForeign, h.Voter, s.voter)
	}
	if s.broken.BlindSave {
		s.counter, s.mark = 0, 0
	}
	if h.Counter < s.counter || s.counter > 0 && h.Counter == s.counter && h.Nonce != s.nonce {
		return nil, fmt.Errorf("%w: save %d was seen, and this is save %d", ErrWentBack, s.counter, h.Counter)
	}
	own := p.markOf(s.self)
	if s.mark != 0 && own != s.mark && !slices.Contains(s.unknown, own) {
		return nil, fmt.Errorf("%w: save %d doesn't hold this node's last one", ErrWentBack, h.Counter)
	}
	if s.broken.ForgetPromises {
		p.arb.Promises = nil
	}
	if c := s.cache; c != nil && c.head.Counter == h.Counter && c.head.Nonce == h.Nonce {
		s.cache = nil
		return c, nil
	}
	s.cache = nil
	return p, p.begin()
}

// campaignTransfer is raft's mark of a candidate that the leader asked to
// campaign (raft/v3 raft.go).
const campaignTransfer = "CampaignTransfer"

// leaderMoved reports whether a leader has stamped the object since the node
// that brings a candidate's request has looked.
func (p *passive) leaderMoved(known []arbiter.Stamp, candidate cluster.NodeID) bool {
	return slices.ContainsFunc(p.arb.Stamps, func(st arbiter.Stamp) bool {
		return st.Leads && st.Node != candidate && !slices.Contains(known, st)
	})
}

func (p *passive) markOf(id cluster.NodeID) uint64 {
	for _, m := range p.head.Marks {
		if m.Node == id {
			return m.Nonce
		}
	}
	return 0
}

// Saved says how the save of what Step returned has ended. Unknown: it may have
// succeeded, or may still.
func (s *Stepper) Saved(end SaveEnd) {
	p := s.next
	s.next = nil
	if p == nil {
		return
	}
	switch end {
	case SaveDone:
		s.counter, s.nonce = p.head.Counter, p.head.Nonce
		s.mark, s.unknown = s.trying, nil
		if p.raft.isLead || p.raft.wants {
			s.cache = p
		}
	case SaveUnknown:
		if s.mark == 0 {
			return // this process has nothing to compare with yet
		}
		if len(s.unknown) == unknownMax {
			s.unknown = slices.Delete(s.unknown, 0, 1)
		}
		s.unknown = append(s.unknown, s.trying)
	}
}

// SaveEnd is how a save ended.
type SaveEnd uint8

const (
	// SaveDone: the object is what was saved.
	SaveDone SaveEnd = iota
	// SaveConflict: somebody else saved first; nothing was changed.
	SaveConflict
	// SaveUnknown: nobody knows.
	SaveUnknown
)

// stepRaft hands one message to the voter.
func (s *Stepper) stepRaft(p *passive, b *Batch, m *raftpb.Message, out *Outcome) (ms []*raftpb.Message) {
	switch m.GetType() {
	case raftpb.MsgPreVote, raftpb.MsgVote:
		if string(m.GetContext()) != campaignTransfer && p.leaderMoved(b.Known, cluster.NodeID(m.GetFrom())) {
			return nil
		}
		if p.shorterThan(m) {
			out.Shorter = true
		}
		// It remembers no leader, and doesn't stay one against a candidate.
		if p.failed == nil {
			if err := p.begin(); err != nil {
				p.failed = err
			}
		}
	case raftpb.MsgProp, raftpb.MsgHup, raftpb.MsgBeat, raftpb.MsgTimeoutNow:
		return nil
	}
	if p.failed != nil {
		return nil
	}
	if err := p.raft.step(m); err != nil {
		p.failed = err
		return nil
	}
	return p.pump()
}

// arbitrate answers the stamp and the requests for promises.
func (s *Stepper) arbitrate(p *passive, b *Batch, out *Outcome) {
	if b.Stamp != nil {
		a := p.arb.Acknowledge(s.voter, p.state, *b.Stamp, s.broken)
		out.Ack = &a
	}
	for _, ask := range b.Asks {
		a := &arbiter.Answer{Ask: ask.Ask, Voter: s.voter, Silent: -1}
		a.Yes = p.arb.Promise(s.voter, p.state, ask.Ask, ask.Seen)
		out.Messages = append(out.Messages, &Message{From: s.voter, To: s.self, Answer: a})
	}
}

// mailMax bounds what waits in the object for one node, in bytes and letters.
const (
	mailMax     = 64 << 10
	mailLetters = 32
)

// deliver takes this node's mail out and puts others' in.
func (s *Stepper) deliver(p *passive, b *Batch, out *Outcome) {
	p.head.Mail = slices.DeleteFunc(p.head.Mail, func(l letter) bool {
		if l.To != s.self {
			return false
		}
		if m, err := DecodeMessage(l.Data); err == nil {
			out.Mail = append(out.Mail, m)
		}
		return true
	})
	for _, m := range b.Mail {
		p.head.Mail = append(p.head.Mail, letter{To: m.To, Data: EncodeMessage(m)})
	}
	// The oldest is lost when there is too much, as on a bad network.
	sizes := make(map[cluster.NodeID][2]int)
	for i := len(p.head.Mail) - 1; i >= 0; i-- {
		l := &p.head.Mail[i]
		n := sizes[l.To]
		n[0]++
		n[1] += len(l.Data)
		sizes[l.To] = n
		if n[0] > mailLetters || n[1] > mailMax {
			p.head.Mail = slices.Delete(p.head.Mail, i, i+1)
		}
	}
}

func (p *passive) seen() Seen {
	return Seen{
		Counter: p.head.Counter, Conf: p.state.Conf, Applied: p.state.Applied, Term: p.log.hard.GetTerm(),
		Stamps: slices.Clone(p.arb.Stamps),
	}
}
