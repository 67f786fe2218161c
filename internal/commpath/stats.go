package commpath

import (
	"cmp"
	"net/netip"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// PathStats are a comm path's counters since the endpoint was made.
type PathStats struct {
	Peer     cluster.NodeID
	Network  string
	Local    netip.AddrPort
	Remote   netip.AddrPort
	Priority int

	State State
	Why   Why
	// Since is for how long it has been in this state.
	Since time.Duration

	// Sent counts heartbeats given to the system, SendErrors those that it
	// refused.
	Sent, SendErrors uint64
	// Received counts authentic heartbeats; Lost those of the peer's session
	// that never came.
	Received, Lost uint64
	// SentLost is how many of ours the peer says it misses, in our session. So
	// a loss in one direction is told from a loss in the other.
	SentLost uint64

	// LastHeard is how long ago the last confirmed heartbeat came; negative:
	// never.
	LastHeard time.Duration

	// RTT of the newest heartbeats that the peer answered on the same path.
	RTT RTT
}

// RTT summarises round-trip times. Samples 0 means unknown.
type RTT struct {
	P50, P99, Worst time.Duration
	Samples         int
}

// Stats returns the state and the counters of all paths, ordered by peer and
// network.
func (ep *Endpoint) Stats() []PathStats {
	now := ep.hub.clock().Mono
	var all []PathStats
	for _, p := range *ep.peers.Load() {
		p.mu.Lock()
		for _, pa := range p.paths {
			if pa.slot != nil {
				all = append(all, pa.stats(p.id, now))
			}
		}
		p.mu.Unlock()
	}
	slices.SortFunc(all, func(a, b PathStats) int {
		return cmp.Or(cmp.Compare(a.Peer, b.Peer), cmp.Compare(a.Network, b.Network))
	})
	return all
}

func (pa *path) stats(id cluster.NodeID, now time.Duration) PathStats {
	s := PathStats{
		Peer: id, Network: pa.network, Local: pa.slot.addr, Remote: pa.remote, Priority: pa.priority,
		State: pa.qual.state, Why: pa.qual.why, Since: now - pa.qual.since,
		Sent: pa.sent, SendErrors: pa.sendErrors, Received: pa.received,
		Lost: pa.in.lost(), SentLost: uint64(pa.qual.said.lost), LastHeard: -1,
	}
	if pa.qual.heard {
		s.LastHeard = now - pa.qual.heardAt
	}
	s.RTT.P50, s.RTT.P99, s.RTT.Worst, s.RTT.Samples = pa.rtts.summary()
	return s
}

// Drops counts the packets of this cluster that were dropped, by reason.
func (ep *Endpoint) Drops() Drops { return ep.drops.read() }

func sortByPeer(all []ConnStats) {
	slices.SortFunc(all, func(a, b ConnStats) int { return cmp.Compare(a.Peer, b.Peer) })
}
