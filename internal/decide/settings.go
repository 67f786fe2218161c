package decide

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Defaults are the common settings of a resource whose kit declares no others.
func Defaults() cluster.Common {
	return cluster.Common{
		CheckInterval:  2 * time.Second,
		CheckTimeout:   5 * time.Second,
		DeepTimeout:    10 * time.Second,
		StartTimeout:   30 * time.Second,
		StopTimeout:    30 * time.Second,
		RecoveryWithin: 5 * time.Minute,
		RecoveryMax:    3,
	}
}

// Effective fills what is not set from the defaults. A negative DeepInterval or
// RecoveryMax means none.
func Effective(c, defaults cluster.Common) cluster.Common {
	pick := func(v *time.Duration, d time.Duration) {
		if *v == 0 {
			*v = d
		}
	}
	pick(&c.CheckInterval, defaults.CheckInterval)
	pick(&c.CheckTimeout, defaults.CheckTimeout)
	pick(&c.DeepInterval, defaults.DeepInterval)
	pick(&c.DeepTimeout, defaults.DeepTimeout)
	pick(&c.StartTimeout, defaults.StartTimeout)
	pick(&c.StopTimeout, defaults.StopTimeout)
	pick(&c.RecoveryWithin, defaults.RecoveryWithin)
	if c.RecoveryMax == 0 {
		c.RecoveryMax = defaults.RecoveryMax
	}
	return c
}
