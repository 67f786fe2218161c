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
	time.Sleep(20 * time.Millisecond)
	b := Now()
	if d := (b.Mono - a.Mono) - (b.Boot - a.Boot); d < -time.Millisecond || d > time.Millisecond {
		t.Logf("Mono and Boot went on by times that differ by %v: the machine was suspended or busy", d)
	}
	if b.Mono-a.Mono < 20*time.Millisecond {
		t.Errorf("20 ms took %v", b.Mono-a.Mono)
	}
}
