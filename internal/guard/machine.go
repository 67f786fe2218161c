package guard

import (
	"maps"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Config of a [Machine].
type Config struct {
	// Session is the guardian's random id.
	Session string
	// StopAfter is how long frozen services are kept after the lease ended
	// before they are killed.
	StopAfter time.Duration
	// Watchdog is the device's time-out as read back; 0: there is none.
	Watchdog time.Duration
	// Adopt is the state that the previous guardian of this boot handed over;
	// nil: none did. Its session is kept.
	Adopt *State
}

// Machine is the state of the guardian's decisions.
type Machine struct {
	session   string
	stopAfter time.Duration
	watchdog  time.Duration

	last cluster.Instant // of the last Step
	due  time.Duration   // what Next answered after it (Mono)

	generation  cluster.Generation
	until, gate time.Duration // Boot; never move backwards within a generation
	revoked     bool          // the generation was evicted
	unmanaged   bool
	// doubt: the clock may have stood still, so the deadlines prove nothing
	// until a renewal moves the gate's.
	doubt bool
	// open: the gate was opened and not closed since. The kernel closes it by
	// itself too.
	open bool
	// gateUnknown: the last act on the gate failed, so it is not known closed.
	gateUnknown bool
	gateRetry   time.Duration // Mono

	hierarchies map[string]*hierarchy
	attempts    uint64

	// resetTo is the session that begins when nothing is left; "": none.
	resetTo string

	armed    bool
	feedAt   time.Duration // Mono
	restart  restart
	stopping bool
	exited   bool
	adopted  bool // and the edge doesn't know yet

	// onLoss is what this machine does to itself when its lease ends; halted
	// reports whether it was asked to since the lease last lived.
	onLoss cluster.QuorumLoss
	halted bool

	knobs knobs
	out   []Effect
}

// knobs break rules on purpose, so that tests can show that a checker sees it.
type knobs struct {
	backwards bool // a renewal may move deadlines backwards or be of another generation
	late      bool // the gate opens until the lease's end
	dead      bool // deadlines that passed do nothing, and the gate has none
}

// retryAfter is the pause between two tries of an act that failed.
const retryAfter = 200 * time.Millisecond

// resumeGap is how late a step may be before the process is taken to have stood
// still. A scheduler's ordinary delay is a few milliseconds.
const resumeGap = 400 * time.Millisecond

// New returns a machine. The daemon is started by the first Step.
func New(now cluster.Instant, c Config) *Machine {
	m := &Machine{
		session: c.Session, stopAfter: c.StopAfter, watchdog: c.Watchdog,
		last: now, due: cluster.Never, hierarchies: make(map[string]*hierarchy),
		restart: restart{wanted: true, at: now.Mono},
	}
	if c.Adopt != nil {
		m.adopt(*c.Adopt)
	}
	return m
}

// adopt goes on with services that run unmanaged since the last guardian ended.
func (m *Machine) adopt(s State) {
	m.session, m.generation = s.Session, s.Generation
	m.until, m.gate = s.LeaseUntil, s.GateUntil
	m.revoked, m.unmanaged = s.Revoked, s.Unmanaged
	for _, g := range s.Guarded {
		h := &hierarchy{
			name: g.Hierarchy, epoch: g.Epoch, phase: g.Phase,
			addresses: g.Addresses, cgroups: g.Cgroups,
		}
		switch h.phase {
		case PhaseServing, PhaseKilled:
		case PhaseFrozen: // unmanaged thaws; whether that was finished is not known
			h.phase, h.thawing = PhaseServing, true
			h.retrying, h.retryAt = true, m.last.Mono
		default:
			h.phase = PhaseKilling
			h.retrying, h.retryAt = true, m.last.Mono
		}
		m.hierarchies[h.name] = h
	}
	m.adopted = true
}

// resumeAdopted tells the edge what the hand-over says.
func (m *Machine) resumeAdopted(now cluster.Instant) {
	if !m.adopted {
		return
	}
	m.adopted = false
	for _, h := range m.sorted() {
		if len(h.addresses) > 0 {
			m.emit(ProtectGate{h.addresses})
		}
	}
	if len(m.hierarchies) > 0 {
		m.arm(now)
	}
	m.reopen(now)
}

// Step takes one event in and says what must be done about it. It looks at the
// deadlines first: a process that stood still must not act on an event that was
// true before.
func (m *Machine) Step(now cluster.Instant, ev Event) []Effect {
	m.out = nil
	resumed := m.resumed(now)
	m.last = now
	m.resumeAdopted(now)
	m.expire(now)
	m.handle(now, ev)
	m.expire(now)
	m.retry(now)
	m.finishReset()
	if resumed && m.alive(now) && m.serving() {
		m.tell(NoticeDoubt, "", cluster.Because(message.GuardianResumed))
	}
	m.feed(now)
	m.startDaemon(now)
	m.finish(now)
	m.due = m.Next()
	return m.out
}

func (m *Machine) handle(now cluster.Instant, ev Event) {
	switch ev := ev.(type) {
	case DaemonHello, Tick:
	case DaemonGone:
		m.restart.gone(now, ev.Ran)
	case Admitted:
		m.admit(now, ev)
	case Renew:
		m.renew(now, ev)
	case Guard:
		m.guard(now, ev)
	case Unguard:
		m.unguard(now, ev)
	case Revoke:
		m.revoke(ev)
	case Reset:
		m.reset(ev)
	case Unmanaged:
		m.setUnmanaged(now, ev.On)
	case Doubt:
		m.doubtNow(ev.Reason)
	case OnLoss:
		m.onLoss = ev.How
	case Frozen:
		m.frozen(now, ev)
	case Thawed:
		m.thawed(now, ev)
	case Killed:
		m.killed(now, ev)
	case GateState:
		m.gateState(now, ev)
	case ShuttingDown:
		m.shutDown()
	}
}

// Next is the MONOTONIC time at which Step wants to be called even if nothing
// happens; [cluster.Never] if it doesn't.
func (m *Machine) Next() time.Duration {
	next := cluster.Never
	at := func(mono time.Duration) { next = min(next, max(mono, m.last.Mono)) }
	boot := func(d time.Duration) { at(m.last.Mono + d - m.last.Boot) }
	if m.exited {
		return next
	}
	if m.open && !m.unmanaged {
		boot(m.gate)
	}
	if m.gateUnknown {
		at(m.gateRetry)
	}
	for _, h := range m.hierarchies {
		if h.phase == PhaseFrozen && !m.unmanaged {
			boot(m.killAt(h))
		}
		if h.retrying {
			at(h.retryAt)
		}
	}
	if !m.halted && m.halts() {
		boot(m.until)
	}
	if m.armed {
		at(m.feedAt)
	}
	if m.restart.wanted && !m.stopping {
		at(m.restart.at)
	}
	if next <= m.last.Mono && next != cluster.Never {
		// What is due was done by the Step that set last; only what it could
		// not do is left, and that is not tried in a spin.
		next = m.last.Mono + time.Millisecond
	}
	return next
}

// resumed reports whether this process stood still: the step is far later than
// it asked for, or BOOTTIME went on without MONOTONIC (suspend).
func (m *Machine) resumed(now cluster.Instant) bool {
	late := m.due != cluster.Never && now.Mono > m.due+resumeGap
	slept := (now.Boot-now.Mono)-(m.last.Boot-m.last.Mono) > resumeGap
	return late || slept
}

func (m *Machine) emit(e ...Effect) { m.out = append(m.out, e...) }

func (m *Machine) tell(kind NoticeKind, hierarchy string, why cluster.Reason) {
	m.emit(TellDaemon{Notice{Kind: kind, Hierarchy: hierarchy, Reason: why}})
}

func (m *Machine) refuse(code string, args ...any) {
	m.emit(Refuse{cluster.Because(code, args...)})
}

// sorted is all hierarchies by name, so that effects have one order.
func (m *Machine) sorted() []*hierarchy {
	out := make([]*hierarchy, 0, len(m.hierarchies))
	for _, name := range slices.Sorted(maps.Keys(m.hierarchies)) {
		out = append(out, m.hierarchies[name])
	}
	return out
}

// Resetting reports whether a [Reset] is under way.
func (m *Machine) Resetting() bool { return m.resetTo != "" }

// Guards reports whether a hierarchy serves under the epoch.
func (m *Machine) Guards(name string, epoch cluster.Epoch) bool {
	h := m.hierarchies[name]
	return h != nil && h.phase == PhaseServing && h.epoch == epoch
}
