package guard

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// alive reports whether addresses may answer now.
func (m *Machine) alive(now cluster.Instant) bool {
	if m.unmanaged {
		return true
	}
	return m.generation != 0 && !m.revoked && !m.doubt && (now.Boot < m.gate || m.knobs.dead)
}

// Serving reports whether what is under the lease may serve now, and until which
// BOOTTIME; 0: nothing ends it. Volumes go by it: their server checks the deadline
// by itself.
func (m *Machine) Serving(now cluster.Instant) (until time.Duration, open bool) {
	switch {
	case !m.alive(now):
		return 0, false
	case m.unmanaged || m.knobs.dead:
		return 0, true
	case m.knobs.late:
		return m.until, true
	}
	return m.gate, true
}

// expire does what the deadlines ask for. At the gate's deadline the kernel has
// closed the gate by itself; closing it again makes that certain, and the
// processes are made to stand. Frozen services are kept for a while, because a
// lease that comes back then costs the clients a pause and no restart. What
// could not be frozen is killed as soon as the lease ends.
func (m *Machine) expire(now cluster.Instant) {
	if m.alive(now) || m.unmanaged || m.knobs.dead {
		return
	}
	m.lost(now)
	if m.open {
		m.shut()
		m.tell(NoticeGateClosed, "", cluster.Because(message.GateDeadlinePassed))
	}
	for _, h := range m.sorted() {
		if h.phase == PhaseServing {
			m.freeze(h)
		}
		if h.phase == PhaseFrozen && now.Boot >= m.killAt(h) {
			m.kill(h, cluster.Because(message.LeaseEndedKilled, h.name))
		}
	}
}

// killAt is the BOOTTIME at which a frozen hierarchy is killed.
func (m *Machine) killAt(h *hierarchy) time.Duration {
	if h.unfreezable {
		return m.until
	}
	return m.until + m.stopAfter
}

func (m *Machine) shut() {
	m.open = false
	m.emit(CloseGate{})
}

// reopen tells the kernel exactly which addresses are open and until when.
func (m *Machine) reopen(now cluster.Instant) {
	if !m.alive(now) {
		return
	}
	e := OpenGate{Until: m.gate, Forever: m.unmanaged}
	switch {
	case m.knobs.late:
		e.Until = m.until
	case m.knobs.dead:
		e.Forever = true
	}
	for _, h := range m.sorted() {
		if h.phase == PhaseServing {
			e.Addresses = append(e.Addresses, h.addrs()...)
		}
	}
	if len(e.Addresses) == 0 && !m.open {
		return
	}
	m.open = len(e.Addresses) > 0
	m.emit(e)
}

// admit takes a new generation. Whatever belongs to an older one must be gone
// before the cluster admits the new; if it is not, it is killed here.
func (m *Machine) admit(now cluster.Instant, ev Admitted) {
	switch {
	case m.resetTo != "":
		m.refuse(message.LeaseOfEvicted, ev.Generation)
		return
	case ev.Generation < m.generation:
		m.refuse(message.LeaseOfAnotherGeneration, ev.Generation, m.generation)
		return
	case ev.Generation == m.generation:
		return
	}
	if m.open {
		m.shut()
	}
	for _, h := range m.sorted() {
		if h.phase != PhaseKilled {
			m.kill(h, cluster.Because(message.GenerationReplaced, h.name, m.generation, ev.Generation))
		}
	}
	m.generation = ev.Generation
	m.until, m.gate = 0, 0
	m.revoked, m.unmanaged, m.doubt = false, false, false
}

// renew moves the deadlines forward. Acknowledgements may arrive in any order,
// so an older renewal is dropped without a word.
func (m *Machine) renew(now cluster.Instant, ev Renew) {
	if !m.knobs.backwards {
		switch {
		case ev.Generation == 0 || ev.Generation != m.generation:
			m.refuse(message.LeaseOfAnotherGeneration, ev.Generation, m.generation)
			return
		case m.revoked:
			m.refuse(message.LeaseOfEvicted, ev.Generation)
			return
		case ev.Gate > ev.Until || ev.Until > now.Boot+cluster.DetectionMax:
			m.refuse(message.LeaseAbsurd, ev.Until-now.Boot, ev.Gate-now.Boot)
			return
		case ev.Until < m.until || ev.Gate < m.gate:
			return
		}
	}
	if ev.Gate > m.gate && ev.Gate > now.Boot {
		m.doubt = false
	}
	m.until, m.gate = ev.Until, ev.Gate
	if ev.StopAfter > 0 {
		m.stopAfter = min(ev.StopAfter, cluster.DetectionMax)
	}
	if m.knobs.backwards {
		m.generation = ev.Generation
	}
	if m.alive(now) {
		m.halted = false
		m.resume()
		m.reopen(now)
	}
}

// resume thaws what was frozen, and has its addresses announced again: clients
// and switches may have learned that they are silent.
func (m *Machine) resume() {
	doubt := false
	for _, h := range m.sorted() {
		if h.phase == PhaseFrozen {
			m.thaw(h)
			doubt = true
		}
	}
	if doubt {
		m.tell(NoticeDoubt, "", cluster.Because(message.LeaseBackInTime))
	}
}

func (m *Machine) setUnmanaged(now cluster.Instant, on bool) {
	if on && (m.generation == 0 || m.revoked) {
		m.refuse(message.LeaseOfEvicted, m.generation)
		return
	}
	m.unmanaged = on
	if on {
		m.doubt = false
		m.resume()
	}
	m.reopen(now)
}

func (m *Machine) doubtNow(why cluster.Reason) {
	if m.unmanaged {
		return
	}
	m.doubt = true
	m.tell(NoticeTrouble, "", why)
}

func (m *Machine) gateState(now cluster.Instant, ev GateState) {
	m.gateUnknown = ev.Failed.Code != ""
	if m.gateUnknown {
		m.gateRetry = now.Mono + retryAfter
		m.tell(NoticeTrouble, "", ev.Failed)
		return
	}
	if ev.Rebuilt {
		m.tell(NoticeTrouble, "", cluster.Because(message.GateRebuilt))
		m.reopen(now)
		if m.alive(now) && m.serving() {
			m.tell(NoticeDoubt, "", cluster.Because(message.GateRebuilt))
		}
	}
}
