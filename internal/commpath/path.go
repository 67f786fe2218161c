package commpath

import (
	"net/netip"
	"time"
)

// path is one comm path to one peer. It is kept, with its counters, when the
// configuration drops it: a number that was used with a key never comes again.
// All of it is guarded by the peer's mutex.
type path struct {
	network  string
	tag      uint32
	priority int
	remote   netip.AddrPort
	// slot is our own socket on the network; nil when the path isn't
	// configured on both sides now.
	slot *slot

	out  outbound
	in   inbound
	rtts rtts
	qual quality

	// avoid is until when TCP takes other paths first.
	avoid time.Duration

	sent, sendErrors, received uint64
}

// outbound is what we sent on a path.
type outbound struct {
	pathSeq uint64
	// sentAt holds the monotonic send times of the newest packets, for RTT.
	sentAt [256]time.Duration
	// echoed is the highest of our pathSeq that the peer said it heard, and
	// echoedAt when it said so first.
	echoed   uint64
	echoedAt time.Duration
	// waiting is when the oldest packet was sent that the peer might have
	// echoed by now and hasn't; 0 is none.
	waiting time.Duration
}

// inbound is what we heard on a path in one session of the peer.
type inbound struct {
	session  session
	win      window
	first    uint64 // pathSeq of the first packet
	newestAt time.Duration
	received uint64
}

// begin starts counting for a session unless it is the one counted already.
func (r *inbound) begin(s session, pathSeq uint64) {
	if r.session != s {
		*r = inbound{session: s, first: pathSeq}
	}
}

// lost counts the packets missed since the session was first heard here.
func (r *inbound) lost() uint64 {
	if r.received == 0 || r.win.top < r.first {
		return 0
	}
	expected := r.win.top - r.first + 1
	return expected - min(expected, r.received)
}

func (r *inbound) take(pathSeq uint64, now time.Duration) {
	if pathSeq > r.win.top {
		r.newestAt = now
	}
	r.win.mark(pathSeq)
	if pathSeq >= r.first { // earlier ones were overtaken by the first
		r.received++
	}
}

// next counts a packet that is about to be sent.
func (o *outbound) next(now time.Duration) uint64 {
	o.pathSeq++
	o.sentAt[o.pathSeq%uint64(len(o.sentAt))] = now
	if o.waiting == 0 {
		o.waiting = now
	}
	return o.pathSeq
}

// echo takes the peer's word that it heard our packets up to pathSeq and
// answers hold later. It returns the round trip, and whether it is known.
func (o *outbound) echo(pathSeq uint64, hold, now time.Duration) (time.Duration, bool) {
	if pathSeq <= o.echoed || pathSeq > o.pathSeq {
		return 0, false
	}
	o.echoed, o.echoedAt = pathSeq, now
	o.waiting = 0
	ring := uint64(len(o.sentAt))
	if pathSeq < o.pathSeq && o.pathSeq-pathSeq < ring {
		o.waiting = o.sentAt[(pathSeq+1)%ring]
	}
	if o.pathSeq-pathSeq >= ring || hold >= maxHold {
		return 0, false
	}
	return max(now-o.sentAt[pathSeq%ring]-hold, 0), true
}

// unheard is for how long the peer hasn't heard what we send on this path.
func (o *outbound) unheard(now time.Duration) time.Duration {
	if o.waiting == 0 {
		return 0
	}
	return now - o.waiting
}
