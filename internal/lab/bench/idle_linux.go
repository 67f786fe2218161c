package main

import (
	"context"
	"fmt"
	"os"
	"strconv"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/netns"
)

// ticksPerSecond is USER_HZ: the unit of times in /proc, the same on all systems
// that we run on. Source: proc_pid_stat(5).
const ticksPerSecond = 100

// usage is what guardian and daemon of a node have used.
type usage struct {
	ticks    uint64
	resident uint64 // bytes
}

// used adds up the processes of a node.
func used(n *netns.Node) (u usage, err error) {
	mine, err := n.PerdureProcesses()
	if err != nil {
		return u, err
	}
	if len(mine) < 2 {
		return u, fmt.Errorf("usage of %s: %d processes, want guardian and daemon", n.Name, len(mine))
	}
	for _, p := range mine {
		stat, err := os.ReadFile(fmt.Sprintf("/proc/%d/stat", p.PID))
		if err != nil {
			return u, err
		}
		// After the name in brackets: utime and stime are fields 14 and 15 of all,
		// the resident pages are field 24.
		fields := strings.Fields(string(stat)[strings.LastIndexByte(string(stat), ')')+1:])
		if len(fields) < 22 {
			return u, fmt.Errorf("usage of %s: %d fields in the state of process %d", n.Name, len(fields), p.PID)
		}
		for _, f := range []struct {
			field int
			sum   *uint64
			unit  uint64
		}{{11, &u.ticks, 1}, {12, &u.ticks, 1}, {21, &u.resident, uint64(os.Getpagesize())}} {
			v, err := strconv.ParseUint(fields[f.field], 10, 64)
			if err != nil {
				return u, fmt.Errorf("usage of %s: %w", n.Name, err)
			}
			*f.sum += v * f.unit
		}
	}
	return u, nil
}

// idleCost watches a cluster in which nothing happens but the client's requests
// and the checks: one value a node, so three.
func (b *bench) idleCost(ctx context.Context, r *rig) ([]Result, error) {
	if _, err := r.whole(ctx); err != nil {
		return nil, err
	}
	say("  idle for %v …", b.idle)
	before := make([]usage, len(r.Nodes()))
	for i, n := range r.Nodes() {
		var err error
		if before[i], err = used(n); err != nil {
			return nil, err
		}
	}
	began := time.Now()
	timer := time.NewTimer(b.idle)
	defer timer.Stop()
	select {
	case <-timer.C:
	case <-ctx.Done():
		return nil, context.Cause(ctx)
	}
	var cpu, memory []float64
	for i, n := range r.Nodes() {
		after, err := used(n)
		if err != nil {
			return nil, err
		}
		seconds := float64(after.ticks-before[i].ticks) / ticksPerSecond
		cpu = append(cpu, 100*seconds/time.Since(began).Seconds())
		memory = append(memory, float64(after.resident)/(1<<20))
	}
	return []Result{
		newResult("idle node, guardian included: processor", Percent, 1, cpu),
		newResult("idle node, guardian included: resident", MiB, 40, memory),
	}, nil
}
