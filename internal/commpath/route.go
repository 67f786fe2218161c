package commpath

import (
	"cmp"
	"net/netip"
	"slices"
	"time"
)

// route is a path as TCP sees it.
type route struct {
	network  string
	local    netip.AddrPort
	remote   netip.AddrPort
	class    int
	priority int
	lost     int // of 64, the worse direction
	// upFor is for how long it has been in its state.
	upFor time.Duration
}

// The classes of routes, best first. Heartbeats that go one way only carry no
// TCP. A silent path comes last, but it is tried: a firewall may stop UDP alone.
const (
	classUp = iota
	classLossy
	classUnknown
	classOneWay
	classDown
	// classPenalty is added after TCP failed on a path whose heartbeats are
	// well.
	classPenalty = 10
)

func classOf(s State, w Why) int {
	switch {
	case s == StateUp:
		return classUp
	case s == StateDegraded && w == WhyLoss:
		return classLossy
	case s == StateUnknown:
		return classUnknown
	case s == StateDegraded:
		return classOneWay
	}
	return classDown
}

// routes returns the paths to a peer, the best first.
func (p *peer) routes(now time.Duration) []route {
	p.mu.Lock()
	defer p.mu.Unlock()
	var all []route
	for _, pa := range p.paths {
		if pa.slot == nil {
			continue
		}
		in, _ := pa.in.win.missing(pa.in.first)
		r := route{
			network: pa.network, local: pa.slot.addr, remote: pa.remote, priority: pa.priority,
			class: classOf(pa.qual.state, pa.qual.why), lost: max(in, pa.qual.outLost),
			upFor: now - pa.qual.since,
		}
		// A zone in the peer's address is its own word for its interface.
		if zone := r.local.Addr().Zone(); zone != "" {
			r.remote = netip.AddrPortFrom(r.remote.Addr().WithZone(zone), r.remote.Port())
		}
		if now < pa.avoid {
			r.class += classPenalty
		}
		all = append(all, r)
	}
	slices.SortStableFunc(all, func(a, b route) int {
		return cmp.Or(cmp.Compare(a.class, b.class), cmp.Compare(a.priority, b.priority),
			cmp.Compare(a.lost/lossBad, b.lost/lossBad), cmp.Compare(a.network, b.network))
	})
	return all
}

// penalise puts a path behind the others for TCP until a time.
func (p *peer) penalise(network string, until time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	if pa := p.find(network); pa != nil {
		pa.avoid = until
	}
}

// better reports whether a connection on the route named current should move,
// and whether at once: its path is dead. Otherwise the other path is merely
// preferred, and has been so for long enough not to come and go.
func better(routes []route, current string, patience time.Duration) (best route, move, atOnce bool) {
	if len(routes) == 0 {
		return route{}, false, false
	}
	best = routes[0]
	i := slices.IndexFunc(routes, func(r route) bool { return r.network == current })
	switch {
	case best.network == current || best.class > classLossy:
		return best, false, false
	case i < 0:
		return best, true, true // the path was taken out of the configuration
	case routes[i].class%classPenalty >= classOneWay:
		return best, true, true
	}
	prefer := best.class < routes[i].class || best.priority < routes[i].priority
	return best, prefer && best.upFor >= patience, false
}
