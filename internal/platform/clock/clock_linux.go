package clock

import (
	"fmt"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// now reads CLOCK_MONOTONIC and CLOCK_BOOTTIME, see clock_gettime(2). Both are
// NTP-slewed, by at most 0.05 %; DESIGN's margin covers 1 %.
func now() cluster.Instant {
	return cluster.Instant{Mono: read(unix.CLOCK_MONOTONIC), Boot: read(unix.CLOCK_BOOTTIME), Wall: time.Now().UnixMilli()}
}

func read(id int32) time.Duration {
	var ts unix.Timespec
	if err := unix.ClockGettime(id, &ts); err != nil {
		// Both clocks exist on every kernel since 2.6.39; a node that can't
		// read them can't hold a lease.
		panic(fmt.Sprintf("read clock %d: %v", id, err))
	}
	return time.Duration(ts.Nano())
}
