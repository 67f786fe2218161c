package decide

import (
	"flag"
	"fmt"
	"math/rand/v2"
	"strings"
	"testing"
	"time"
)

var (
	seedFlag  = flag.Uint64("seed", 1, "first seed of TestRandom")
	seedsFlag = flag.Int("seeds", 60, "how many seeds TestRandom plays")
	storyFlag = flag.Bool("story", false, "tell what happened in TestRandom")
)

// TestRandom plays planner and executors against a toy world in which actions
// fail, hang and lie about nothing, daemons restart, leases end, nodes are
// evicted and commands are late, lost and out of order. After each step nothing
// may be served twice, nothing may start without lease and ownership, nothing
// may be called stopped that runs. When the faults end it must settle.
func TestRandom(t *testing.T) {
	for i := range *seedsFlag {
		seed := *seedFlag + uint64(i)
		w := newToyWorld(seed)
		w.run(20 * time.Second)
		w.calm()
		w.run(40 * time.Minute)
		w.settled()
		if len(w.faults) > 0 {
			t.Errorf("%s\nreplay: go test ./internal/decide -run TestRandom -seed %d -seeds 1 -story", strings.Join(w.faults, "\n"), seed)
			if *storyFlag {
				t.Log(strings.Join(w.story, "\n"))
			}
			return
		}
	}
}

// The same story must come of the same seed.
func TestSameSeedSameStory(t *testing.T) {
	tell := func() string {
		w := newToyWorld(7)
		w.telling = true
		w.run(10 * time.Second)
		return strings.Join(w.story, "\n")
	}
	if a, b := tell(), tell(); a != b {
		t.Error(firstDifference(a, b))
	}
}

// The checkers must catch what they are for.
func TestCheckersCatch(t *testing.T) {
	for name, breakIt := range map[string]func(*toyWorld){
		"lease":     func(w *toyWorld) { w.ignoreLease = true },
		"unknown":   func(w *toyWorld) { w.lyingStops = true },
		"inherited": func(w *toyWorld) { w.noAdoption = true },
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(300) {
				w := newToyWorld(seed + 1)
				breakIt(w)
				w.run(20 * time.Second)
				if len(w.faults) > 0 {
					return
				}
			}
			t.Error("300 seeds found nothing")
		})
	}
}

func (w *toyWorld) fault(format string, args ...any) {
	w.faults = append(w.faults, fmt.Sprintf("seed %d at %v: ", w.seed, w.now)+fmt.Sprintf(format, args...))
}

func (w *toyWorld) tell(format string, args ...any) {
	if w.telling || *storyFlag {
		w.story = append(w.story, fmt.Sprintf("%12v ", w.now)+fmt.Sprintf(format, args...))
	}
}

func newRand(seed uint64) *rand.Rand { return rand.New(rand.NewPCG(seed, 0x5eed)) }
