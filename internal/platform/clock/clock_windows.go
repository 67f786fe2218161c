package clock

import (
	"time"

	"golang.org/x/sys/windows"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// now has one clock for both. GetTickCount64 counts from the boot, the same in
// every process, and goes on while the machine sleeps; its step is 10 to 16 ms.
func now() cluster.Instant {
	d := windows.DurationSinceBoot()
	return cluster.Instant{Mono: d, Boot: d, Wall: time.Now().UnixMilli()}
}
