package guard

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// feedInterval is how often the watchdog is fed: four chances in each time-out,
// and at least once a second.
func (m *Machine) feedInterval() time.Duration { return min(m.watchdog/5, time.Second) }

// arm makes the machine reset without the guardian, from the first hierarchy on.
func (m *Machine) arm(now cluster.Instant) {
	if m.watchdog <= 0 || m.armed {
		return
	}
	m.armed, m.feedAt = true, now.Mono
	m.emit(ArmWatchdog{})
}

// feed keeps the machine from resetting as long as that is safe. When the lease
// is over and something guarded isn't known to stand or to be gone, it is not
// fed, and the reset does what software could not.
func (m *Machine) feed(now cluster.Instant) {
	if !m.armed || now.Mono < m.feedAt {
		return
	}
	m.feedAt = now.Mono + m.feedInterval()
	if m.safe(now) {
		m.emit(FeedWatchdog{})
	}
}

// safe reports whether this node has the right to what it does.
func (m *Machine) safe(now cluster.Instant) bool {
	if m.unmanaged {
		return true
	}
	leased := m.generation != 0 && !m.revoked && !m.doubt && now.Boot < m.until
	for _, h := range m.hierarchies {
		switch h.phase {
		case PhaseKilled:
		case PhaseFrozen:
			if !leased && (!h.frozen || m.gateUnknown) {
				return false
			}
		default: // serving, killing
			if !leased {
				return false
			}
		}
	}
	return true
}
