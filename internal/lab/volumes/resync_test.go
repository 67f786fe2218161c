package volumes

import (
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// afterOutage plays clients during an outage of copy 2, and returns how many
// blocks differed at its end and how many were copied.
func afterOutage(t *testing.T, seed uint64, outage func(w *World), end func(w *World)) (differ, copied int64) {
	t.Helper()
	w := New(Options{Seed: seed, Copies: 2, Calm: true})
	for !w.settled() {
		w.until(w.now + 10*time.Millisecond)
	}
	w.quiet = 0
	w.until(w.now + 100*time.Millisecond)
	outage(w)
	w.until(w.now + time.Second)
	w.quiet = w.now // clients are still, so that what differs can be counted
	w.until(w.now + 100*time.Millisecond)
	for b := range int64(blocks) {
		if w.nodes[1].disk.read(b) != w.nodes[2].disk.read(b) {
			differ++
		}
	}
	w.Copied = 0
	end(w)
	until := w.now + 5*time.Second
	for !w.settled() && w.now < until && w.fault == "" {
		w.until(w.now + 10*time.Millisecond)
	}
	w.compare()
	if w.fault != "" || w.now >= until {
		t.Fatalf("seed %d: %s %s\n%s", seed, w.fault, w.situation(), w.Log())
	}
	return differ, w.Copied
}

// TestResyncCopiesWhatChanged: after an outage at most 1.1 times the changed
// blocks are copied.
func TestResyncCopiesWhatChanged(t *testing.T) {
	for name, o := range map[string]struct{ outage, end func(w *World) }{
		"link":    {func(w *World) { w.part(1, 2, time.Hour) }, func(w *World) { w.heal([2]cluster.NodeID{1, 2}) }},
		"process": {func(w *World) { w.nodes[2].kill() }, func(w *World) { w.nodes[2].start() }},
	} {
		t.Run(name, func(t *testing.T) {
			var differ, copied int64
			for seed := range uint64(20) {
				d, c := afterOutage(t, seed, o.outage, o.end)
				differ, copied = differ+d, copied+c
			}
			t.Logf("%d blocks differed, %d were copied", differ, copied)
			if differ == 0 || copied*10 > differ*11 {
				t.Errorf("%d blocks differed, %d were copied", differ, copied)
			}
		})
	}
}
