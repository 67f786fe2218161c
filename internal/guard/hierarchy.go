package guard

import (
	"net/netip"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// hierarchy is what the guardian must be able to stop without the daemon.
type hierarchy struct {
	name      string
	epoch     cluster.Epoch
	addresses []Address
	cgroups   []string
	phase     Phase
	// attempt names the last freeze, thaw or kill; results of others are stale.
	attempt uint64
	frozen  bool // confirmed
	// unfreezable: the kernel refused to freeze it.
	unfreezable bool
	// thawing: serving again, but the thaw isn't confirmed.
	thawing  bool
	retrying bool
	retryAt  time.Duration // Mono
	// forget: it was unguarded before it was known to be clean.
	forget bool
}

func (h *hierarchy) addrs() []netip.Addr {
	out := make([]netip.Addr, 0, len(h.addresses))
	for _, a := range h.addresses {
		out = append(out, a.Addr)
	}
	return out
}

// serving reports whether any hierarchy may be answering.
func (m *Machine) serving() bool {
	for _, h := range m.hierarchies {
		if h.phase == PhaseServing {
			return true
		}
	}
	return false
}

func (m *Machine) attempt(h *hierarchy) uint64 {
	m.attempts++
	h.attempt, h.retrying = m.attempts, false
	return m.attempts
}

func (m *Machine) freeze(h *hierarchy) {
	h.phase, h.frozen, h.thawing = PhaseFrozen, false, false
	m.emit(FreezeCgroups{h.name, m.attempt(h), h.cgroups})
}

func (m *Machine) thaw(h *hierarchy) {
	h.phase, h.frozen, h.thawing, h.unfreezable = PhaseServing, false, true, false
	m.emit(ThawCgroups{h.name, m.attempt(h), h.cgroups})
}

func (m *Machine) kill(h *hierarchy, why cluster.Reason) {
	if h.phase != PhaseKilling {
		m.tell(NoticeKilling, h.name, why)
	}
	h.phase, h.frozen, h.thawing = PhaseKilling, false, false
	m.emit(KillHierarchy{h.name, m.attempt(h), h.cgroups, h.addresses})
}

// guard takes a hierarchy under the lease. Without one nothing may start, so
// that nothing has to be stopped that never had the right to run.
func (m *Machine) guard(now cluster.Instant, ev Guard) {
	old := m.hierarchies[ev.Hierarchy]
	switch {
	case m.stopping:
		m.refuse(message.GuardianStopping)
		return
	case m.resetTo != "":
		m.refuse(message.GuardWhileKilling, ev.Hierarchy)
		return
	case !m.alive(now):
		m.refuse(message.GuardWithoutLease, ev.Hierarchy)
		return
	case old != nil && old.phase == PhaseKilling:
		m.refuse(message.GuardWhileKilling, ev.Hierarchy)
		return
	case old != nil && ev.Epoch < old.epoch:
		m.refuse(message.GuardOldEpoch, ev.Hierarchy, ev.Epoch, old.epoch)
		return
	}
	if other := m.claimed(ev); other != "" {
		m.refuse(message.GuardAddressTaken, ev.Hierarchy, other)
		return
	}
	h := &hierarchy{
		name: ev.Hierarchy, epoch: ev.Epoch, phase: PhaseServing,
		addresses: slices.Clone(ev.Addresses), cgroups: slices.Clone(ev.Cgroups),
	}
	m.hierarchies[h.name] = h
	m.arm(now)
	if old != nil {
		m.release(old)
		m.inheritThaw(h, old)
	}
	if len(h.addresses) > 0 {
		m.emit(ProtectGate{h.addresses})
	}
	m.reopen(now)
}

// inheritThaw goes on with a thaw that isn't known to be done: what stands, or
// starts in a group that stands, would hang for ever.
func (m *Machine) inheritThaw(h, old *hierarchy) {
	if !old.thawing {
		return
	}
	for _, g := range old.cgroups {
		if !slices.Contains(h.cgroups, g) {
			h.cgroups = append(h.cgroups, g)
		}
	}
	m.thaw(h)
}

// claimed names the other hierarchy that has one of the addresses.
func (m *Machine) claimed(ev Guard) string {
	for _, h := range m.sorted() {
		if h.name == ev.Hierarchy {
			continue
		}
		for _, a := range h.addrs() {
			if slices.ContainsFunc(ev.Addresses, func(b Address) bool { return a == b.Addr }) {
				return h.name
			}
		}
	}
	return ""
}

// release takes from behind the gate what no hierarchy has any more.
func (m *Machine) release(old *hierarchy) {
	var gone []netip.Addr
	for _, a := range old.addrs() {
		if now := m.hierarchies[old.name]; now == nil || !slices.Contains(now.addrs(), a) {
			gone = append(gone, a)
		}
	}
	if len(gone) > 0 {
		m.emit(UnprotectGate{gone})
	}
}

// unguard forgets a hierarchy that the daemon took out of service. Frozen
// processes can't have been stopped, so those are killed first.
func (m *Machine) unguard(now cluster.Instant, ev Unguard) {
	h := m.hierarchies[ev.Hierarchy]
	if h == nil {
		return
	}
	switch h.phase {
	case PhaseFrozen:
		h.forget = true
		m.kill(h, cluster.Because(message.UnguardedFrozen, h.name))
	case PhaseKilling:
		h.forget = true
	default:
		delete(m.hierarchies, h.name)
		m.release(h)
		m.reopen(now)
	}
}

func (m *Machine) revoke(ev Revoke) {
	if ev.Hierarchy == "" {
		m.revoked, m.unmanaged = true, false
		m.until, m.gate = 0, 0
		m.shut()
	}
	for _, h := range m.sorted() {
		if (ev.Hierarchy == "" || h.name == ev.Hierarchy) && (h.phase == PhaseServing || h.phase == PhaseFrozen) {
			m.kill(h, cluster.Because(message.Revoked, h.name))
		}
	}
	if ev.Hierarchy != "" {
		m.reopen(m.last) // without its addresses
	}
}

// reset ends the session. The old generation keeps no right while it lasts.
func (m *Machine) reset(ev Reset) {
	m.resetTo = ev.Session
	m.revoke(Revoke{})
}

// finishReset begins the new session once everything of the old one is known to
// be gone. It starts with nothing: no generation, no lease, nothing guarded.
func (m *Machine) finishReset() {
	if m.resetTo == "" {
		return
	}
	for _, h := range m.hierarchies {
		if h.phase != PhaseKilled {
			return
		}
	}
	for _, h := range m.sorted() {
		delete(m.hierarchies, h.name)
		m.release(h)
	}
	m.session, m.resetTo = m.resetTo, ""
	m.generation, m.until, m.gate = 0, 0, 0
	m.revoked, m.unmanaged, m.doubt = false, false, false
	m.emit(TellDaemon{Notice{Kind: NoticeReset, Session: m.session}})
}

func (m *Machine) frozen(now cluster.Instant, ev Frozen) {
	h := m.hierarchies[ev.Hierarchy]
	if h == nil || h.attempt != ev.Attempt {
		return
	}
	h.frozen = ev.Failed.Code == ""
	h.unfreezable = !h.frozen
	if h.frozen {
		m.tell(NoticeFrozen, h.name, cluster.Reason{})
		return
	}
	m.again(now, h, ev.Failed)
}

func (m *Machine) thawed(now cluster.Instant, ev Thawed) {
	h := m.hierarchies[ev.Hierarchy]
	if h == nil || h.attempt != ev.Attempt {
		return
	}
	if ev.Failed.Code == "" {
		h.thawing = false
		return
	}
	m.again(now, h, ev.Failed)
}

func (m *Machine) killed(now cluster.Instant, ev Killed) {
	h := m.hierarchies[ev.Hierarchy]
	if h == nil || h.attempt != ev.Attempt {
		return
	}
	if ev.Failed.Code != "" {
		m.again(now, h, ev.Failed)
		return
	}
	h.phase = PhaseKilled
	m.tell(NoticeKilled, h.name, cluster.Reason{})
	if h.forget {
		delete(m.hierarchies, h.name)
		m.release(h)
	}
}

func (m *Machine) again(now cluster.Instant, h *hierarchy, why cluster.Reason) {
	h.retrying, h.retryAt = true, now.Mono+retryAfter
	m.tell(NoticeTrouble, h.name, why)
}

// retry tries again what failed, as long as it is still what should be done.
func (m *Machine) retry(now cluster.Instant) {
	if m.gateUnknown && now.Mono >= m.gateRetry {
		m.gateRetry = now.Mono + retryAfter
		if m.alive(now) {
			m.reopen(now)
		} else {
			m.shut()
		}
	}
	for _, h := range m.sorted() {
		if !h.retrying || now.Mono < h.retryAt {
			continue
		}
		switch {
		case h.phase == PhaseFrozen && !h.frozen:
			m.freeze(h)
		case h.phase == PhaseServing && h.thawing:
			m.thaw(h)
		case h.phase == PhaseKilling:
			m.emit(KillHierarchy{h.name, m.attempt(h), h.cgroups, h.addresses})
		default:
			h.retrying = false
		}
	}
}
