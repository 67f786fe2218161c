package volumes

import (
	"flag"
	"testing"
	"time"
)

var (
	seeds = flag.Int("seeds", 100, "how many seeds TestSeeds plays")
	first = flag.Uint64("seed", 1, "the first of them")
	show  = flag.Bool("show", false, "print what happened")
)

// TestSeedsThatFailed plays the schedules that once found a fault:
//
//	5: a request that failed here and was done at the target
//	71: a forced start in a restored document, below the copy's own lineage
//	266: what a target had not flushed was forgotten with the source's session
//	431: a process restarted on a suspect copy never served
//	2793: a copy counted for ever after its add became void
func TestSeedsThatFailed(t *testing.T) {
	for _, s := range []uint64{5, 71, 266, 431, 2793} {
		if err := New(Options{Seed: s, Any: true}).Run(3 * time.Second); err != nil {
			t.Error(err)
		}
	}
}

// TestSeeds plays faults by chance. A seed that fails prints its story with
// go test ./internal/lab/volumes -run TestSeeds -seeds 1 -seed N -show.
func TestSeeds(t *testing.T) {
	var acked, takeovers, forced int
	for s := *first; s < *first+uint64(*seeds); s++ {
		w := New(Options{Seed: s, Any: true})
		err := w.Run(3 * time.Second)
		if *show {
			t.Log("\n" + w.Log())
		}
		if err != nil {
			t.Errorf("%v", err)
		}
		acked, takeovers, forced = acked+w.Acked, takeovers+w.Takeovers, forced+w.Forced
	}
	t.Logf("%d seeds: %d writes acknowledged, %d times a new source, %d of them forced", *seeds, acked, takeovers, forced)
}
