package commpath

import (
	"crypto/rand"
	"encoding/binary"
	"encoding/hex"
	"time"
)

// session names one life of an endpoint: 8 bytes of start time (Unix
// nanoseconds, for people) and 8 of chance. Zero is none.
type session [16]byte

func newSession(now time.Time) (s session) {
	binary.BigEndian.PutUint64(s[:], uint64(now.UnixNano()))
	rand.Read(s[8:]) // never fails, see crypto/rand
	return s
}

func (s session) isZero() bool { return s == session{} }

func (s session) String() string { return hex.EncodeToString(s[:]) }

// started is for tie-breaks and people: wall clocks are set back, so the order
// of sessions is never decided by it.
func (s session) started() uint64 { return binary.BigEndian.Uint64(s[:]) }

// verdict says what becomes of an authentic packet.
type verdict int

const (
	// refused: of a session that is over, or of one that hasn't proved to be
	// alive and isn't the most likely to be.
	refused verdict = iota
	// twin: of a session that is over, and yet alive. Two processes use one
	// node's identity.
	twin
	// nominated: of another session than the one believed. It may be an old
	// recording; it is worth a probe and nothing more.
	nominated
	// learned: of the session believed, but made before our own began, or
	// before the peer heard of ours. It counts for the path.
	learned
	// delivered: of the session believed, made after our own began.
	delivered
	// adopted is delivered, and from now on this session is believed.
	adopted
)

const retiredSessions = 16

// sessions decides which session of a peer is alive, by challenge and not by
// clock: a packet that answers a number which we sent in our own session was
// made after we sent it. A recording can't do that.
//
//   - The first session that answers our own is believed.
//   - Another takes its place only if it answers a number that we sent after
//     that: then its maker was alive after that, whatever its start time says.
//   - A session whose place was taken never comes back.
type sessions struct {
	current session
	seen    uint64 // highest seq heard in it
	// floor is the number of our packets sent when current was adopted.
	floor uint64
	// candidate is another session that wants to prove itself.
	candidate     session
	candidateSeen uint64
	candidateAt   time.Duration // when last heard, by the monotonic clock

	retired     [retiredSessions]session
	retirements int
}

// judge decides about an authentic packet with number seq of session s. fresh
// reports whether it answers our own current session; answer is the number in
// it, sent the number of our last packet; patience is how long a silent
// candidate keeps its place.
func (x *sessions) judge(s session, seq uint64, fresh bool, answer, sent uint64, now, patience time.Duration) verdict {
	if s == x.current {
		x.seen = max(x.seen, seq)
		if fresh {
			return delivered
		}
		return learned
	}
	proved := fresh && (x.current.isZero() || answer > x.floor)
	switch {
	case x.isRetired(s) && proved:
		return twin
	case x.isRetired(s):
		return refused
	case proved:
		x.adopt(s, seq, sent)
		return adopted
	case x.nominate(s, seq, now, patience):
		return nominated
	}
	return refused
}

func (x *sessions) adopt(s session, seq, sent uint64) {
	if !x.current.isZero() {
		x.retired[x.retirements%retiredSessions] = x.current
		x.retirements++
	}
	x.current, x.seen, x.floor = s, seq, sent
	x.candidate, x.candidateSeen = session{}, 0
}

// nominate prefers the session that started later; a recording of an earlier
// one must not keep it from being probed. A peer whose clock was set back gets
// its turn when the other falls silent.
func (x *sessions) nominate(s session, seq uint64, now, patience time.Duration) bool {
	if s == x.candidate {
		if seq <= x.candidateSeen {
			return false // a repetition doesn't prolong the stay
		}
		x.candidateSeen, x.candidateAt = seq, now
		return true
	}
	silent := now-x.candidateAt > patience
	if !silent && s.started() < x.candidate.started() {
		return false
	}
	x.candidate, x.candidateSeen, x.candidateAt = s, seq, now
	return true
}

func (x *sessions) isRetired(s session) bool {
	for i := range x.retired {
		if x.retired[i] == s {
			return true
		}
	}
	return false
}
