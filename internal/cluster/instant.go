package cluster

import "time"

// Instant is a reading of a node's two clocks at one moment.
//
// Boot (CLOCK_BOOTTIME) goes on while the machine is suspended, Mono
// (CLOCK_MONOTONIC) doesn't. Whoever holds a lease must end early, so it counts
// by Boot; whoever waits for a lease to end must wait long, so it counts by
// Mono. Both are nanoseconds since an arbitrary start of the node's own; they
// are never compared between nodes.
// Source: clock_gettime(2).
type Instant struct {
	Mono time.Duration
	Boot time.Duration
	// Wall is the wall clock in milliseconds since 1970. It is shown to people
	// and decides nothing but the expiry of tokens, because anybody may set it.
	Wall int64
}

// Never is a Mono time that is not reached.
const Never = time.Duration(1<<63 - 1)

// Add moves all clocks by d.
func (t Instant) Add(d time.Duration) Instant {
	return Instant{Mono: t.Mono + d, Boot: t.Boot + d, Wall: t.Wall + d.Milliseconds()}
}
