package commpath

import (
	"slices"
	"time"
)

// State says whether a path carries heartbeats.
type State int

const (
	// StateUnknown: nothing was heard yet, and not for long enough to say that
	// it is down.
	StateUnknown State = iota
	StateUp
	// StateDegraded: heartbeats come, but not all of them or not both ways.
	StateDegraded
	// StateDown: silent for the time given to SetTiming.
	StateDown
)

func (s State) String() string {
	return [...]string{"unknown", "up", "degraded", "down"}[s]
}

// Why says what is wrong with a path that isn't up.
type Why int

const (
	WhyNothing Why = iota
	WhySilent      // nothing is heard
	WhyUnheard     // the peer says that it doesn't hear us on this path
	WhyLoss        // of the last 64 packets, lossBad or more were lost
	WhyNoLocal     // our own address isn't there
)

func (w Why) String() string {
	return [...]string{"", "nothing is heard", "the peer doesn't hear us on it", "packets are lost", "the local address is missing"}[w]
}

const (
	// lossBad of 64 packets lost (11 %) make a path degraded, lossGood or
	// fewer make it good again.
	lossBad  = 7
	lossGood = 3
)

// quality judges a path. All times are monotonic.
type quality struct {
	state State
	why   Why
	since time.Duration // when the state was entered
	begun time.Duration // when the path came into use
	// heardAt is when the last confirmed packet came; heard reports whether
	// there was one.
	heardAt time.Duration
	heard   bool

	// what the peer said of our packets, and where a comparison starts
	said, saidBefore feedback
	outLost          int // of the last 64 or more that we sent
}

// feedback is the peer's count of our packets on a path, modulo 2³².
type feedback struct{ received, lost uint32 }

// tell takes the peer's counts. A sample of 64 packets is complete before it
// replaces the one before.
func (q *quality) tell(f feedback) {
	received := int32(f.received - q.saidBefore.received)
	lost := int32(f.lost - q.saidBefore.lost)
	q.said = f
	// Counts that go back are those of another session.
	if received < 0 {
		q.saidBefore, q.outLost = f, 0
		return
	}
	if total := received + lost; total >= 64 {
		q.outLost = int(max(lost, 0)) * 64 / int(total)
		q.saidBefore = f
	}
}

// judge says what state the path should have. silence is how long is too long;
// from is when counting of silence starts at the earliest (the end of our own
// freeze: it was not the path that was silent).
func (q *quality) judge(p *path, now, from, silence time.Duration) (State, Why) {
	from = max(from, q.begun)
	if p.slot == nil || !p.slot.bound() {
		return StateDown, WhyNoLocal
	}
	quiet := now - from
	if q.heard {
		quiet = now - max(q.heardAt, from)
	}
	if quiet >= silence {
		return StateDown, WhySilent
	}
	switch {
	case q.state == StateDown && (!q.heard || q.heardAt <= q.since):
		return StateDown, WhySilent // nothing came since it went down
	case !q.heard:
		return StateUnknown, WhyNothing
	case quiet >= silence/4:
		return StateDegraded, WhySilent
	case now-max(now-p.out.unheard(now), from) >= silence:
		return StateDegraded, WhyUnheard
	}
	limit := lossBad
	if q.state == StateDegraded {
		limit = lossGood + 1
	}
	in, of := p.in.win.missing(p.in.first)
	if of >= 16 && in >= limit || q.outLost >= limit {
		return StateDegraded, WhyLoss
	}
	return StateUp, WhyNothing
}

// rtts keeps the newest round-trip times of a path.
type rtts struct {
	ring [256]time.Duration
	n    uint64 // ever taken
}

func (r *rtts) add(d time.Duration) {
	r.ring[r.n%uint64(len(r.ring))] = d
	r.n++
}

// summary returns the median, the 99th percentile and the worst of the samples,
// and how many there are.
func (r *rtts) summary() (p50, p99, worst time.Duration, n int) {
	n = int(min(r.n, uint64(len(r.ring))))
	if n == 0 {
		return 0, 0, 0, 0
	}
	sorted := slices.Clone(r.ring[:n])
	slices.Sort(sorted)
	return sorted[n/2], sorted[min(n-1, n*99/100)], sorted[n-1], n
}
