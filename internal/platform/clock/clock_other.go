//go:build !linux && !windows

package clock

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

var start = time.Now()

// now has one clock for both: Go's monotonic clock, which may
// stand still while the machine is suspended.
// A lease on such a system is renewed by a fresh exchange after each resume.
func now() cluster.Instant {
	t := time.Now()
	d := t.Sub(start) + time.Hour
	return cluster.Instant{Mono: d, Boot: d, Wall: t.UnixMilli()}
}
