package core

import (
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Who doesn't hear this node isn't acknowledged by it: its lease is over anyway,
// and acknowledgements would only keep others from taking over.
func TestHears(t *testing.T) {
	c := &Core{self: 2, state: &cluster.State{Detection: 2 * time.Second}}
	limit := age(deafBeats * c.state.Timing().Heartbeat)
	for name, x := range map[string]struct {
		heard []Heard
		want  bool
	}{
		"nobody":         {nil, false},
		"others only":    {[]Heard{{Node: 1}, {Node: 3}}, false},
		"just now":       {[]Heard{{Node: 3, Age: 9000}, {Node: 2, Age: 1}}, true},
		"a little ago":   {[]Heard{{Node: 2, Age: limit}}, true},
		"not any longer": {[]Heard{{Node: 2, Age: limit + 1}}, false},
	} {
		if got := c.hears(&Heartbeat{Heard: x.heard}); got != x.want {
			t.Errorf("%s: %v, want %v", name, got, x.want)
		}
	}
}

// A new leader replaces a conflicting tail in several messages, the first of
// which may end earlier and in an older term. Peers don't take that for a disk
// that went back; one that did is still noticed.
func TestReplacedTailIsNotGoneBack(t *testing.T) {
	entries := func(term, from, to uint64) (out []*raftpb.Entry) {
		for i := from; i <= to; i++ {
			out = append(out, &raftpb.Entry{Term: new(term), Index: new(i)})
		}
		return out
	}
	b := newBench(t, aNode, aNode, aNode)
	b.until("admitted", b.present)
	lead := b.leader()
	x, by := b.others(lead)[0], b.others(lead)[1]
	b.cut[x.self] = true // what it stores isn't committed
	last := x.log.last()
	x.log.append(entries(9, last+1, last+40))
	beat := func() *Heartbeat {
		x.nextBeat = b.now.Mono
		x.doBeat(b.now)
		beat := *x.out.Beat
		beat.Lease.Sent = b.now.Boot
		x.out = Effects{}
		return &beat
	}
	heard := func(why string, h *Heartbeat) bool {
		by.beatReceived(b.now, x.self, "lan", h)
		by.out = Effects{}
		t.Logf("%s: log ends at %d in term %d", why, h.LogIndex, h.LogTerm)
		b.now = b.now.Add(time.Millisecond)
		return !by.peers[x.self].reverted
	}
	if !heard("before", beat()) {
		t.Fatal("taken for gone back at first")
	}
	x.log.append(entries(8, last+1, last+20)) // the first message of the new leader
	if !heard("between", beat()) {
		t.Error("a tail that is being replaced was taken for a disk that went back")
	}
	x.log.append(entries(10, last+21, last+21))
	h := beat()
	if !heard("after", h) || h.LogTerm != 10 || h.LogIndex != last+21 {
		t.Errorf("after the tail was replaced: %+v", h)
	}
	x.farTerm, x.farIndex = 0, 0 // another process, with an older disk
	x.log.append(entries(8, last+1, last+5))
	if heard("reverted", beat()) {
		t.Error("a disk that went back was not noticed")
	}
}
