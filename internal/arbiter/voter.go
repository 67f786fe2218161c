package arbiter

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Beat is the lease part of a heartbeat.
type Beat struct {
	Node       cluster.NodeID
	Generation cluster.Generation
	// Conf is the configuration version that the sender has applied.
	Conf uint64
	// Sent is the sender's BOOTTIME at sending. Only the sender reads it.
	Sent time.Duration
}

// Refusal says why a beat was not acknowledged.
type Refusal uint8

const (
	// Granted: it was.
	Granted Refusal = iota
	// RefusedPromised: the voter promised never to acknowledge this generation
	// again.
	RefusedPromised
	// RefusedGeneration: the voter has applied another generation, or an
	// eviction or clean leave of this one, or hasn't applied its Admit yet.
	RefusedGeneration
	// RefusedNoVote: the answering node has no vote in the configuration that
	// it has applied.
	RefusedNoVote
	// RefusedReverted: the disk of the node that sent the beat has gone back:
	// it must not go on under its id.
	RefusedReverted
	// RefusedConf: a passive voter has applied another configuration than the
	// sender.
	RefusedConf
)

// Ack answers a beat.
type Ack struct {
	Voter      cluster.NodeID
	Generation cluster.Generation
	// Conf is the configuration version that the voter has applied. The ack
	// counts under this one alone.
	Conf uint64
	// Granted is the duration that the voter grants from Sent on.
	Granted time.Duration
	// Sent is the beat's, returned.
	Sent    time.Duration
	Refusal Refusal
}

// Promise is the durable statement of a voter never to acknowledge the
// generation of the node again. It ends when a later generation is admitted.
type Promise struct {
	Node       cluster.NodeID     `json:"node"`
	Generation cluster.Generation `json:"generation"`
}

// Voter is the voting half of the arbiter on one node.
type Voter struct {
	self cluster.NodeID
	// blind is until when nothing may be promised to anybody's harm, because
	// acknowledgements may be outstanding that this process doesn't remember.
	blind time.Duration
	// confAt is when the present configuration was applied.
	conf   uint64
	confAt time.Duration

	granted map[cluster.NodeID]grant
	// admitted is when generations were applied here that have not been
	// acknowledged yet.
	admitted map[cluster.NodeID]admission
	// promises are durable, or are being made so.
	promises []Promise
	broken   Broken
}

// Broken removes one rule each. The simulator's negative controls use it to
// show that the checkers would notice; it is never set otherwise.
type Broken struct {
	NoRestartWait  bool // a restarted voter promises at once
	NoMargin       bool // clock drift is ignored
	AckAfter       bool // a promise doesn't stop acknowledgements
	NoConfWait     bool // a promise doesn't wait after a configuration change
	NoLeaseEnd     bool // the holder's lease never ends
	ForgetPromises bool // promises are gone after a restart
	Minority       bool // one promise is enough
	SendFirst      bool // messages leave before what they promise is durable
	NoStampWait    bool // a passive voter's promise doesn't wait for the stamp's lease
	BlindSave      bool // a passive voter's object is saved whatever was there, and nobody looks for its mark
	AnswerFirst    bool // a passive voter answers before its object is saved
}

// grant remembers the latest acknowledgements given to a node.
type grant struct {
	generation cluster.Generation
	at         time.Duration // Mono of the last ack; 0: none since start
	until      time.Duration // Mono until which a lease built on it may live
}

// admission is when a generation became known. A node can't be heard under a
// generation that it hasn't got yet, so its silence counts from then on: a node
// that has only just come back would else be evicted before its first beat.
type admission struct {
	generation cluster.Generation
	at         time.Duration // Mono
}

// NewVoter makes the voting half at the start of a process, with the promises
// found on disk. Nothing is promised for ceiling plus margin, because the
// previous process may have acknowledged until a moment ago.
func NewVoter(self cluster.NodeID, now cluster.Instant, s *cluster.State, promises []Promise, broken Broken) *Voter {
	v := &Voter{self: self, granted: make(map[cluster.NodeID]grant), admitted: make(map[cluster.NodeID]admission), broken: broken}
	if !broken.ForgetPromises {
		v.promises = slices.Clone(promises)
	}
	v.conf, v.confAt = s.Conf, now.Mono
	v.blind = now.Mono
	if broken.NoRestartWait {
		// As if it had been there, silent, for ever.
		v.blind, v.confAt = now.Mono-time.Hour, now.Mono-time.Hour
	}
	return v
}

// Applied tells the voter that the state has changed. It reports whether
// promises ended, so that they should be written again without them.
func (v *Voter) Applied(now cluster.Instant, s *cluster.State) (ended bool) {
	if s.Conf != v.conf {
		v.conf, v.confAt = s.Conf, now.Mono
		if v.broken.NoConfWait {
			v.confAt = now.Mono - time.Hour
		}
	}
	for i := range s.Nodes {
		id, g := s.Nodes[i].ID, s.Nodes[i].Generation
		if v.admitted[id].generation != g {
			v.admitted[id] = admission{generation: g, at: now.Mono}
			if v.broken.NoRestartWait {
				delete(v.admitted, id) // it would do for the wait
			}
		}
	}
	n := len(v.promises)
	v.promises = slices.DeleteFunc(v.promises, func(p Promise) bool {
		node := s.Node(p.Node)
		return node == nil || node.Generation > p.Generation
	})
	return len(v.promises) != n
}

// Doubt is called when this process noticed that it did not run for a while:
// silence that it did not listen to proves nothing, so nobody is suspected for
// a whole detection time.
func (v *Voter) Doubt(now cluster.Instant) { v.blind = max(v.blind, now.Mono) }

// Promises are those to be kept on disk.
func (v *Voter) Promises() []Promise { return slices.Clone(v.promises) }

func (v *Voter) promised(id cluster.NodeID, g cluster.Generation) bool {
	return slices.ContainsFunc(v.promises, func(p Promise) bool { return p.Node == id && p.Generation == g })
}

// Acknowledge answers a beat. The voter's own beat needs no answer.
func (v *Voter) Acknowledge(now cluster.Instant, s *cluster.State, b Beat) Ack {
	a := Ack{Voter: v.self, Generation: b.Generation, Conf: s.Conf, Granted: s.Detection, Sent: b.Sent}
	n := s.Node(b.Node)
	switch {
	case !s.IsVoter(v.self):
		a.Refusal = RefusedNoVote
	case v.promised(b.Node, b.Generation) && !v.broken.AckAfter:
		a.Refusal = RefusedPromised
	case n == nil || n.Generation != b.Generation || n.Presence != cluster.Present && n.Presence != cluster.Unmanaged:
		a.Refusal = RefusedGeneration
	}
	if a.Refusal != Granted {
		a.Granted = 0
		return a
	}
	g := v.granted[b.Node]
	if g.generation != b.Generation {
		g = grant{generation: b.Generation}
	}
	g.at = now.Mono
	g.until = max(g.until, now.Mono+v.wait(s.Detection))
	v.granted[b.Node] = g
	return a
}

func (v *Voter) wait(d time.Duration) time.Duration {
	if v.broken.NoMargin {
		return d
	}
	return d + cluster.MarginFor(d)
}

// Ripe returns when (Mono) the voter may promise never to acknowledge the
// node's generation again, if it hears nothing more of it.
func (v *Voter) Ripe(s *cluster.State, id cluster.NodeID, g cluster.Generation) time.Duration {
	wait := v.wait(s.Ceiling)
	at := max(v.blind, v.confAt) + wait
	if a := v.admitted[id]; a.generation == g {
		at = max(at, a.at+wait)
	}
	if gr := v.granted[id]; gr.generation == g {
		at = max(at, gr.until)
	}
	return at
}

// Silent returns how long ago the voter last acknowledged the node's
// generation; ok is false if it never did since it started.
func (v *Voter) Silent(now cluster.Instant, id cluster.NodeID, g cluster.Generation) (ago time.Duration, ok bool) {
	gr, ok := v.granted[id]
	if !ok || gr.generation != g {
		return 0, false
	}
	return now.Mono - gr.at, true
}

// MayPromise reports whether the voter could promise now against the node.
func (v *Voter) MayPromise(now cluster.Instant, s *cluster.State, id cluster.NodeID, g cluster.Generation, conf uint64) bool {
	n := s.Node(id)
	return id != v.self && s.IsVoter(v.self) && s.Conf == conf && n != nil &&
		n.Generation == g && n.Presence == cluster.Present && now.Mono >= v.Ripe(s, id, g)
}

// MakePromise records the promise; acknowledgements end with this call. It
// counts for others only once [Voter.Promises] has been made durable. It
// reports whether there is something new to write.
func (v *Voter) MakePromise(id cluster.NodeID, g cluster.Generation) bool {
	if v.promised(id, g) {
		return false
	}
	v.promises = append(v.promises, Promise{Node: id, Generation: g})
	return true
}
