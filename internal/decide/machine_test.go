package decide

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestWaitsForMachine: only what nothing guards waits for a machine that still
// answers, and never for ever.
func TestWaitsForMachine(t *testing.T) {
	for _, tt := range []struct {
		name     string
		class    cluster.Class
		released cluster.Release
		answers  bool
		waits    bool
	}{
		{"unfenced, and it answers", cluster.Unfenced, cluster.ReleasedEvicted, true, true},
		{"unfenced, without power", cluster.Unfenced, cluster.ReleasedEvicted, false, false},
		{"unfenced, stopped cleanly", cluster.Unfenced, cluster.ReleasedStopped, true, false},
		{"its gate is closed", cluster.SelfGuarding, cluster.ReleasedEvicted, true, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			s := cluster.New("c", "test", cluster.AddNode{Name: "a", Role: cluster.RoleNode}, 1)
			s.Nodes = append(s.Nodes, cluster.Node{ID: 2, Name: "b", Role: cluster.RoleNode, Presence: cluster.Evicted})
			s.Nodes[0].Presence = cluster.Present
			h := cluster.Hierarchy{Name: "h", Nodes: []cluster.NodeID{1, 2}, Want: cluster.WantInService, Class: tt.class,
				LastOwner: 2, Released: tt.released, Status: cluster.OutOfService}
			s.Hierarchies = []cluster.Hierarchy{h}
			p := NewPlanner(1)
			views := []View{{Node: 1, Reachable: true}, {Node: 2, Answers: tt.answers}}
			assigned := func(at time.Duration) bool {
				for _, c := range p.Step(cluster.Instant{Mono: time.Hour + at}, s, views) {
					if c.Assign != nil {
						return true
					}
				}
				return false
			}
			if got := assigned(0); got == tt.waits {
				t.Fatalf("assigned at once: %v", got)
			}
			if !tt.waits {
				return
			}
			limit := s.Timing().StopAfter + s.Timing().Margin
			if assigned(limit - time.Millisecond) {
				t.Error("assigned too early")
			}
			if !assigned(limit) {
				t.Error("it waits for ever")
			}
		})
	}
}
