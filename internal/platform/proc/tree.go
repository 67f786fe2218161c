package proc

import (
	"context"
	"errors"
	"fmt"
	"time"
)

// Match says which processes belong to a tree. A zero field matches nothing.
type Match struct {
	// Root is a process that leads a session of its own. Its descendants and the
	// session belong to the tree, also after the root ended.
	Root ID
	// Mark is a NAME=value that was put in the environment of the root. It finds
	// those that opened a session of their own after their parents ended.
	Mark string
}

// escapeScans bounds the scans of the stopping pass. Each finds at least one
// generation of forks more; a stopped process can't fork.
const escapeScans = 20

// pollInterval is how often is looked whether killed processes are gone (10 ms:
// a scan of a few hundred processes costs about 2 ms).
const pollInterval = 10 * time.Millisecond

// KillTree ends all processes of a tree and returns when they are gone. It is
// for machines without cgroups: a process that left the session, lost its
// parent and cleared its environment is not found.
func KillTree(ctx context.Context, m Match) error {
	if m == (Match{}) {
		return errors.New("kill a tree of processes: nothing says which")
	}
	// Stop all before any is killed: who sees its parent die may fork.
	known := map[ID]bool{}
	for range escapeScans {
		fresh := 0
		for _, id := range Find(m) {
			if !known[id] {
				known[id] = true
				fresh++
				halt(id)
			}
		}
		if fresh == 0 {
			break
		}
	}
	tick := time.NewTicker(pollInterval)
	defer tick.Stop()
	for {
		left := Find(m)
		for _, id := range left {
			known[id] = true
		}
		alive := 0
		for id := range known {
			if id.Alive() {
				alive++
				kill(id)
			}
		}
		if len(left) == 0 && alive == 0 {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("kill a tree of processes: %d still run, the first is %v: %w", alive, first(known), ctx.Err())
		case <-tick.C:
		}
	}
}

func first(known map[ID]bool) int {
	for id := range known {
		if id.Alive() {
			return id.PID
		}
	}
	return 0
}
