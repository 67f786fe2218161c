package clock

import (
	"testing"
	"time"

	"golang.org/x/sys/unix"
)

// TestMonoIsTheKernels: Mono goes as CLOCK_MONOTONIC does, shifted by no more than
// a scheduler's delay at the start.
func TestMonoIsTheKernels(t *testing.T) {
	for range 1000 {
		before := read(unix.CLOCK_MONOTONIC)
		got := Now().Mono
		after := read(unix.CLOCK_MONOTONIC)
		if shift := time.Second; got < before-shift || got > after+shift {
			t.Fatalf("Mono %v is not within %v to %v", got, before, after)
		}
	}
	a := Now()
	<-time.After(20 * time.Millisecond)
	if b := Now(); b.Mono-a.Mono < 20*time.Millisecond || b.Boot-a.Boot < 20*time.Millisecond {
		t.Errorf("20 ms took %v by Mono, %v by Boot", b.Mono-a.Mono, b.Boot-a.Boot)
	}
}
