package commpath

import (
	"slices"
	"time"
)

// watch judges the paths, in one goroutine so that the events of a path come in
// order, and lets the connections look at theirs. What is due at each heartbeat is
// done when one was sent: the process is awake then anyway. The ticker is for an
// endpoint that sends none.
func (ep *Endpoint) watch() {
	silence := time.Duration(ep.silence.Load())
	tick := time.NewTicker(4 * watchInterval(silence))
	defer tick.Stop()
	last := ep.hub.clock().Mono
	from := last
	for {
		select {
		case <-ep.stop:
			return
		case <-tick.C:
		case <-ep.wake:
		}
		if s := time.Duration(ep.silence.Load()); s != silence {
			silence = s
			tick.Reset(4 * watchInterval(silence))
		}
		now := ep.hub.clock().Mono
		// If we ourselves stood still, what was sent meanwhile is still in the
		// sockets. Silence counts anew.
		if now-last > max(silence/2, 8*watchInterval(silence)) {
			from = now
		}
		last = now
		for _, e := range ep.judge(now, from, silence) {
			ep.tell(e)
			if l := (*ep.links.Load())[e.Peer]; l != nil {
				l.stir()
			}
		}
		for _, l := range *ep.links.Load() {
			l.pulse()
		}
	}
}

// beat is called for every heartbeat that was sent.
func (ep *Endpoint) beat(now time.Duration) {
	last := ep.beaten.Load()
	if now-time.Duration(last) >= watchInterval(time.Duration(ep.silence.Load()))/2 && ep.beaten.CompareAndSwap(last, int64(now)) {
		ep.stir()
	}
}

func watchInterval(silence time.Duration) time.Duration {
	return min(max(silence/20, 5*time.Millisecond), 500*time.Millisecond)
}

// judge brings the state of every path up to date and returns the changes.
func (ep *Endpoint) judge(now, from, silence time.Duration) []PathChanged {
	var changes []PathChanged
	for _, p := range *ep.peers.Load() {
		p.mu.Lock()
		for _, pa := range p.paths {
			if pa.slot == nil {
				continue
			}
			q := &pa.qual
			state, why := q.judge(pa, now, from, silence)
			if state != q.state || why != q.why && state != StateUnknown {
				changes = append(changes, PathChanged{Peer: p.id, Network: pa.network, From: q.state, To: state, Why: why})
			}
			if state != q.state {
				q.since = now
			}
			q.state, q.why = state, why
		}
		p.mu.Unlock()
	}
	return changes
}

// addressChanged tells the handler about one of our own addresses.
func (ep *Endpoint) addressChanged(s *slot, proto string, err error) {
	ep.mu.Lock()
	mine := slices.ContainsFunc(ep.own, func(o ownPath) bool { return o.slot == s })
	ep.mu.Unlock()
	if mine {
		ep.tell(AddressChanged{Address: s.addr, Proto: proto, Err: err})
		ep.stir()
	}
}
