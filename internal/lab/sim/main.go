// Command sim runs clusters of real decision cores under virtual time through
// random faults, and checks the invariants after every step.
//
//	go run ./internal/lab/sim -seeds 10000 -seed 1
//
// runs 10,000 schedules from seed 1 on. A violation is printed with the command
// that replays it, and makes the exit status 1. With -seeds 1 the story is told.
package main

import (
	"flag"
	"fmt"
	"os"
	"runtime"
	"runtime/debug"
	"runtime/pprof"
	"strings"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/lab/world"
)

func main() {
	seeds := flag.Uint64("seeds", 1000, "number of schedules")
	first := flag.Uint64("seed", 1, "first seed")
	jobs := flag.Int("jobs", runtime.NumCPU(), "schedules at the same time")
	story := flag.Bool("story", false, "tell what happens (with -seeds 1: always)")
	broken := flag.String("broken", "", "remove a rule, to see the checkers notice: "+strings.Join(world.BrokenNames(), ", "))
	profile := flag.String("cpuprofile", "", "write a CPU profile to this file")
	limit := flag.Duration("for", 0, "begin no schedule after this time; 0: no limit")
	stores := flag.Bool("stores", false, "each cluster has a storage witness")
	keep := flag.Int("keep-going", 1, "stop after this many violations")
	flag.Parse()
	debug.SetGCPercent(800) // memory is there, and schedules are short
	rule, err := world.BrokenBy(*broken)
	if err != nil {
		fmt.Fprintln(os.Stderr, err)
		os.Exit(2)
	}
	if *profile != "" {
		f, err := os.Create(*profile)
		if err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
		if err := pprof.StartCPUProfile(f); err != nil {
			fmt.Fprintln(os.Stderr, err)
			os.Exit(2)
		}
	}
	code := run(options{first: *first, seeds: *seeds, jobs: *jobs, keep: *keep, limit: *limit, stores: *stores, story: *story || *seeds == 1, rule: rule})
	pprof.StopCPUProfile()
	os.Exit(code)
}

type options struct {
	first, seeds uint64
	jobs, keep   int
	limit        time.Duration
	story        bool
	stores       bool
	rule         arbiter.Broken
}

// also is what the replaying command needs beside the seed.
func (o options) also() string {
	if o.stores {
		return " -stores"
	}
	return ""
}

func run(o options) int {
	if o.story {
		o.jobs = 1
	}
	var next, done, faults, evictions, assigned atomic.Uint64
	var virtual atomic.Int64
	var mu sync.Mutex
	failed := 0
	next.Store(o.first)
	began := time.Now()
	stop := make(chan struct{})
	var wg sync.WaitGroup
	for range o.jobs {
		wg.Go(func() {
			for {
				seed := next.Add(1) - 1
				if seed >= o.first+o.seeds || o.limit > 0 && time.Since(began) > o.limit {
					return
				}
				select {
				case <-stop:
					return
				default:
				}
				cfg := world.Random(seed)
				if o.stores {
					cfg = world.RandomStored(seed)
				}
				cfg.Broken = o.rule
				if o.story {
					cfg.Tell = tell
				}
				r, err := world.Torture(cfg)
				done.Add(1)
				faults.Add(uint64(r.Faults))
				evictions.Add(uint64(r.Evictions))
				assigned.Add(uint64(r.Assigned))
				virtual.Add(int64(r.Virtual))
				if err == nil {
					continue
				}
				mu.Lock()
				failed++
				fmt.Printf("seed %d: %v\n  replay: go run ./internal/lab/sim%s -seeds 1 -seed %d\n", seed, err, o.also(), seed)
				if failed == o.keep {
					close(stop)
				}
				mu.Unlock()
			}
		})
	}
	finished := make(chan struct{})
	go func() { wg.Wait(); close(finished) }()
	progress(finished, began, o.seeds, &done)
	took := time.Since(began)
	fmt.Printf("seeds %d to %d: %d schedules in %v: %.0f per second; %d faults, %d evictions, %d assignments, %v of virtual time; %d violations\n",
		o.first, o.first+done.Load()-1, done.Load(), took.Round(time.Millisecond), float64(done.Load())/took.Seconds(), faults.Load(), evictions.Load(), assigned.Load(),
		time.Duration(virtual.Load()).Round(time.Second), failed)
	if failed > 0 {
		return 1
	}
	return 0
}

// progress says now and then how far it is.
func progress(finished <-chan struct{}, began time.Time, seeds uint64, done *atomic.Uint64) {
	tick := time.NewTicker(5 * time.Second)
	defer tick.Stop()
	for {
		select {
		case <-finished:
			return
		case <-tick.C:
			n := done.Load()
			left := "?"
			if n > 0 {
				left = (time.Duration(float64(time.Since(began)) / float64(n) * float64(seeds-n))).Round(time.Second).String()
			}
			fmt.Fprintf(os.Stderr, "%d of %d schedules, %s left\n", n, seeds, left)
		}
	}
}

func tell(at time.Duration, line string) { fmt.Printf("%12v  %s\n", at.Round(time.Microsecond), line) }
