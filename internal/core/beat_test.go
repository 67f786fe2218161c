package core

import (
	"testing"
	"time"

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
