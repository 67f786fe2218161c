// Package clock reads the node's clocks as one [cluster.Instant].
//
// All functions may be called concurrently.
package clock

import "github.com/perdure-ha/perdure/internal/cluster"

// Now reads the clocks.
func Now() cluster.Instant { return now() }
