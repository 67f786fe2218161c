package timer

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

const soon, late = 20 * time.Millisecond, time.Hour

func fired(x *Timer, within time.Duration) bool {
	limit := time.NewTimer(within)
	defer limit.Stop()
	select {
	case <-x.C():
		return true
	case <-limit.C:
		return false
	}
}

// TestTimer: it fires when it was last told to, not sooner and only once.
func TestTimer(t *testing.T) {
	now := func() time.Duration { return clock.Now().Mono }
	for _, tt := range []struct {
		name  string
		set   []time.Duration // from now
		fires bool
	}{
		{"at a time", []time.Duration{soon}, true},
		{"at a time that is over", []time.Duration{-late}, true},
		{"sooner than set before", []time.Duration{late, soon}, true},
		{"set again to the same", []time.Duration{soon, soon}, true},
		{"never set", nil, false},
		{"taken back", []time.Duration{soon, cluster.Never}, false},
		{"put off", []time.Duration{soon, late}, false},
	} {
		t.Run(tt.name, func(t *testing.T) {
			x := New()
			defer x.Close()
			begun := now()
			at := begun
			for _, d := range tt.set {
				if at = cluster.Never; d != cluster.Never {
					at = begun + d
				}
				x.Set(at)
			}
			patience := 5 * time.Second
			if !tt.fires {
				patience = 3 * soon
			}
			if got := fired(x, patience); got != tt.fires {
				t.Fatalf("fired: %v, want %v", got, tt.fires)
			}
			if tt.fires && now() < at {
				t.Errorf("it fired %v too soon", at-now())
			}
			if tt.fires && fired(x, 2*soon) {
				t.Error("it fired twice")
			}
		})
	}
}

// TestTimerAgain: one that has fired is set again to the same time, which is over.
func TestTimerAgain(t *testing.T) {
	x := New()
	defer x.Close()
	at := clock.Now().Mono + soon
	for range 3 {
		x.Set(at)
		if !fired(x, 5*time.Second) {
			t.Fatal("it didn't fire")
		}
	}
}
