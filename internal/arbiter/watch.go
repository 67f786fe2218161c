package arbiter

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Watch is what one node has seen of the stamps at one passive voter, and since
// when. It is the clock that a passive voter doesn't have.
//
// A lease that a stamp earned counts from before the stamp was written, so it
// is over D + margin after anybody has first seen the stamp, unless a newer
// one was written. That there is no newer one is checked by the object's
// conditional save, not by the watch.
type Watch struct {
	conf    uint64
	confAt  time.Duration // Mono since when the object is known to be under conf
	stamps  map[cluster.NodeID]watched
	beats   map[cluster.NodeID]beaten
	broken  Broken
	started bool
}

type watched struct {
	stamp Stamp
	at    time.Duration // Mono when it was certainly written already
	first time.Duration // Mono when it was first seen
}

// beaten is the last heartbeat that came from a node itself.
type beaten struct {
	life uint64
	sent time.Duration // the node's BOOTTIME
	at   time.Duration // Mono
}

// NewWatch has seen nothing.
func NewWatch(broken Broken) *Watch {
	return &Watch{stamps: make(map[cluster.NodeID]watched), beats: make(map[cluster.NodeID]beaten), broken: broken}
}

// Beat notes a heartbeat that came from the node itself. It was sent after every
// stamp with the same or an earlier send time, which dates that stamp.
func (w *Watch) Beat(now cluster.Instant, node cluster.NodeID, life uint64, sent time.Duration) {
	w.beats[node] = beaten{life: life, sent: sent, at: now.Mono}
	if x, ok := w.stamps[node]; ok && x.at > now.Mono {
		x.at = now.Mono
		w.stamps[node] = x
	}
}

// See takes what an object read just now shows: the configuration that the
// passive voter has applied, and all stamps. It returns the nodes whose stamps
// are new.
func (w *Watch) See(now cluster.Instant, conf uint64, stamps []Stamp) (moved []Stamp) {
	if !w.started || conf != w.conf {
		w.started, w.conf, w.confAt = true, conf, now.Mono
	}
	for _, st := range stamps {
		old, known := w.stamps[st.Node]
		if known && old.stamp == st {
			continue
		}
		x := watched{stamp: st, at: now.Mono, first: now.Mono}
		if b := w.beats[st.Node]; b.life == st.Life && st.Life != 0 && b.sent >= st.Sent && known && old.stamp.Life == st.Life && old.stamp.Sent < st.Sent {
			x.at = min(x.at, b.at) // no news: the heartbeat came later
		} else {
			moved = append(moved, st)
		}
		w.stamps[st.Node] = x
	}
	return moved
}

// Stamps are the stamps seen last, in no order.
func (w *Watch) Stamps() []Stamp {
	all := make([]Stamp, 0, len(w.stamps))
	for _, x := range w.stamps {
		all = append(all, x.stamp)
	}
	return all
}

// Conf is the configuration that the passive voter was last seen to have
// applied.
func (w *Watch) Conf() uint64 { return w.conf }

// Ripe returns when (Mono) a promise of the passive voter against the node's
// generation may be asked for, provided that its stamp is still the one
// returned. ok is false when the object hasn't been seen under the
// configuration of s.
func (w *Watch) Ripe(s *cluster.State, id cluster.NodeID, g cluster.Generation) (at time.Duration, seen Stamp, ok bool) {
	if !w.started || w.conf != s.Conf {
		return 0, Stamp{}, false
	}
	wait := s.Ceiling
	if !w.broken.NoMargin {
		wait += cluster.MarginFor(s.Ceiling)
	}
	if w.broken.NoStampWait {
		wait = 0
	}
	at = w.confAt
	x, known := w.stamps[id]
	if !known {
		x.stamp = Stamp{Node: id}
	}
	if x.stamp.Generation == g {
		at = max(at, x.at)
	}
	return at + wait, x.stamp, true
}

// Silent is how long ago the node's stamp was first seen; ok is false if it has
// none of that generation.
func (w *Watch) Silent(now cluster.Instant, id cluster.NodeID, g cluster.Generation) (ago time.Duration, ok bool) {
	x, known := w.stamps[id]
	if !known || x.stamp.Generation != g {
		return 0, false
	}
	return now.Mono - x.first, true
}
