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

// TestBeatsFallIntoStep: nodes that began at different times send with the leader
// after some seconds, and none ever later than by its own clock.
func TestBeatsFallIntoStep(t *testing.T) {
	b := newBench(t, cluster.RoleNode, cluster.RoleNode, cluster.RoleNode)
	b.until("a leader and all present", func() bool { return b.leader() != nil && b.present() })
	heartbeat := cluster.TimingFor(benchD).Heartbeat
	lead := b.leader()
	for i, c := range b.others(lead) {
		c.nextBeat = b.now.Mono + heartbeat*time.Duration(i+1)/3
	}
	last := make(map[cluster.NodeID]time.Duration)
	begun := b.now.Mono
	for b.now.Mono < begun+5*time.Second {
		b.run(time.Millisecond)
		for _, c := range b.others(lead) {
			if wait := c.nextBeat - b.now.Mono; wait > heartbeat {
				t.Fatalf("node %v waits %v for its next heartbeat, more than %v", c.self, wait, heartbeat)
			}
			sent := c.nextBeat - heartbeat
			if before, ok := last[c.self]; ok && sent-before > heartbeat {
				t.Fatalf("node %v sent after %v, more than %v", c.self, sent-before, heartbeat)
			}
			last[c.self] = sent
		}
	}
	for _, c := range b.others(lead) {
		apart := c.nextBeat - heartbeat - (lead.nextBeat - lead.beatInterval())
		if apart < 0 || apart > 5*time.Millisecond {
			t.Errorf("node %v sends %v after the leader", c.self, apart)
		}
	}
}

// TestBeatAlone: without word of the leader a node keeps its own interval.
func TestBeatAlone(t *testing.T) {
	b := newBench(t, cluster.RoleNode, cluster.RoleNode, cluster.RoleNode)
	b.until("a leader and all present", func() bool { return b.leader() != nil && b.present() })
	c := b.others(b.leader())[0]
	b.cut[c.self] = true
	next := c.nextBeat
	b.run(next - b.now.Mono)
	if d := c.nextBeat - next; d != cluster.TimingFor(benchD).Heartbeat {
		t.Errorf("the next heartbeat is %v later", d)
	}
}
