package arbiter

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// A node that has just been admitted again can't have been heard yet: it gets
// the whole time before anybody promises against it.
func TestSilenceOfANewGenerationCountsFromItsAdmission(t *testing.T) {
	s := &cluster.State{Detection: time.Second, Ceiling: time.Second, Conf: 1, Voters: []cluster.NodeID{1, 2, 3},
		Nodes: []cluster.Node{{ID: 1, Generation: 1, Presence: cluster.Present}, {ID: 2}, {ID: 3}}}
	at := func(mono time.Duration) cluster.Instant { return cluster.Instant{Mono: mono, Boot: mono} }
	wait := s.Detection + cluster.MarginFor(s.Detection)

	v := NewVoter(2, at(time.Minute), s, nil, Broken{})
	v.Applied(at(time.Minute), s)
	v.Acknowledge(at(time.Minute), s, Beat{Node: 1, Generation: 1, Conf: 1})

	s.Nodes[0].Generation = 2
	v.Applied(at(time.Hour), s)
	if v.MayPromise(at(time.Hour+wait-1), s, 1, 2, 1) {
		t.Error("a promise is possible before the node had its time to be heard")
	}
	if !v.MayPromise(at(time.Hour+wait), s, 1, 2, 1) {
		t.Error("no promise is possible though the node was silent for the whole time")
	}
	// A later change of something else doesn't begin the count again.
	v.Applied(at(time.Hour+wait/2), s)
	if got := v.Ripe(s, 1, 2); got != time.Hour+wait {
		t.Errorf("ripe at %v, want %v", got, time.Hour+wait)
	}
}
