package guard

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// steadyRun is how long a daemon must run for its end not to count as part
	// of a crash loop.
	steadyRun = 10 * time.Second
	// firstRestart to lastRestart: the pause doubles. The first restart has
	// none, because the lease runs.
	firstRestart = 100 * time.Millisecond
	lastRestart  = 5 * time.Second
)

// restart says when the daemon is started again.
type restart struct {
	wanted  bool
	at      time.Duration // Mono
	crashes int
}

func (r *restart) gone(now cluster.Instant, ran time.Duration) {
	if ran >= steadyRun {
		r.crashes = 0
	}
	r.crashes++
	r.wanted, r.at = true, now.Mono+r.pause()
}

func (r *restart) pause() time.Duration {
	if r.crashes <= 1 {
		return 0
	}
	pause := firstRestart
	for i := 2; i < r.crashes && pause < lastRestart; i++ {
		pause *= 2
	}
	return min(pause, lastRestart)
}

func (m *Machine) startDaemon(now cluster.Instant) {
	if !m.restart.wanted || m.stopping || now.Mono < m.restart.at {
		return
	}
	m.restart.wanted = false
	m.emit(StartDaemon{})
}

// shutDown begins the end. Unmanaged services run on; others that the daemon
// didn't stop are killed, because nobody will watch their lease any more.
func (m *Machine) shutDown() {
	m.stopping = true
	if m.unmanaged {
		return
	}
	if m.open {
		m.shut()
	}
	for _, h := range m.sorted() {
		if h.phase == PhaseServing || h.phase == PhaseFrozen {
			m.kill(h, cluster.Because(message.GuardianStopping))
		}
	}
}

// finish ends the guardian when nothing is left that needs it. While something
// is unknown it stays, and an armed watchdog is the way out.
func (m *Machine) finish(now cluster.Instant) {
	if !m.stopping || m.exited {
		return
	}
	for _, h := range m.hierarchies {
		switch {
		case !m.unmanaged && h.phase != PhaseKilled:
			return
		case h.thawing, m.unmanaged && h.phase == PhaseKilling:
			return // or it would stand until the next guardian comes
		}
	}
	m.exited = true
	if m.armed {
		m.armed = false
		m.emit(DisarmWatchdog{})
	}
	if m.unmanaged {
		m.emit(HandOver{m.State()})
	}
	m.emit(Exit{Clean: !m.unmanaged})
}
