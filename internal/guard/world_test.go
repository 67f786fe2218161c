package guard

import (
	"fmt"
	"net/netip"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// world is a node as the tests model it: clocks, a kernel's gate with its
// time-out, and processes. It knows the rules from the specification and not
// from the machine.
type world struct {
	m   *Machine
	now cluster.Instant

	// what the kernel does
	open    map[netip.Addr]bool
	until   time.Duration
	forever bool
	procs   map[string]string // hierarchy → running, frozen, dying, none
	armed   bool
	fed     time.Duration
	daemons int
	exit    *Exit
	handed  *State
	notices []Notice
	refused []string
	pending []Event // results of acts
	halts   []bool  // switched off, or reset: the machine survives it here

	// what the specification says
	generation cluster.Generation
	gate, end  time.Duration
	revoked    bool
	unmanaged  bool
	resetting  bool
}

const stopAfter = 2500 * time.Millisecond

func newWorld(c Config) *world {
	start := cluster.Instant{Mono: 100 * time.Second, Boot: 150 * time.Second}
	if c.StopAfter == 0 {
		c.StopAfter = stopAfter
	}
	return &world{
		m: New(start, c), now: start,
		open: make(map[netip.Addr]bool), procs: make(map[string]string),
	}
}

// step hands one event to the machine, does the effects, and returns what the
// invariants say about it.
func (w *world) step(ev Event) error {
	w.spec(ev)
	for _, e := range w.m.Step(w.now, ev) {
		w.do(e)
	}
	return w.check(true)
}

// spec follows the rules on its own.
func (w *world) spec(ev Event) {
	switch ev := ev.(type) {
	case Admitted:
		if ev.Generation > w.generation && !w.resetting {
			w.generation, w.gate, w.end = ev.Generation, 0, 0
			w.revoked, w.unmanaged = false, false
		}
	case Renew:
		if ev.Generation == w.generation && w.generation != 0 && !w.revoked &&
			ev.Gate <= ev.Until && ev.Until <= w.now.Boot+cluster.DetectionMax &&
			ev.Gate >= w.gate && ev.Until >= w.end {
			w.gate, w.end = ev.Gate, ev.Until
		}
	case Reset:
		w.resetting = true
		w.revoked, w.unmanaged = true, false
	case Revoke:
		if ev.Hierarchy == "" {
			w.revoked, w.unmanaged = true, false
		}
	case Unmanaged:
		if !ev.On || w.generation != 0 && !w.revoked {
			w.unmanaged = ev.On
		}
	}
}

func (w *world) do(e Effect) {
	switch e := e.(type) {
	case OpenGate:
		clear(w.open)
		for _, a := range e.Addresses {
			w.open[a] = true
		}
		w.until, w.forever = e.Until, e.Forever
	case CloseGate:
		clear(w.open)
	case FreezeCgroups:
		if w.procs[e.Hierarchy] == "running" {
			w.procs[e.Hierarchy] = "frozen"
		}
		w.pending = append(w.pending, Frozen{Hierarchy: e.Hierarchy, Attempt: e.Attempt})
	case ThawCgroups:
		if w.procs[e.Hierarchy] == "frozen" {
			w.procs[e.Hierarchy] = "running"
		}
		w.pending = append(w.pending, Thawed{Hierarchy: e.Hierarchy, Attempt: e.Attempt})
	case KillHierarchy:
		w.procs[e.Hierarchy] = "dying"
		w.pending = append(w.pending, Killed{Hierarchy: e.Hierarchy, Attempt: e.Attempt})
	case ArmWatchdog:
		w.armed, w.fed = true, w.now.Mono
	case FeedWatchdog:
		w.fed = w.now.Mono
	case DisarmWatchdog:
		w.armed = false
	case HaltMachine:
		w.halts = append(w.halts, e.PowerOff)
	case StartDaemon:
		w.daemons++
	case TellDaemon:
		if e.Notice.Kind == NoticeReset {
			w.generation, w.gate, w.end = 0, 0, 0
			w.revoked, w.resetting = false, false
		}
		w.notices = append(w.notices, e.Notice)
	case Refuse:
		w.refused = append(w.refused, e.Reason.Code)
	case HandOver:
		w.handed = &e.State
	case Exit:
		w.exit = &e
	}
}

// result gives the machine the result of the oldest act.
func (w *world) result() error {
	if len(w.pending) == 0 {
		return nil
	}
	ev := w.pending[0]
	w.pending = w.pending[1:]
	if k, ok := ev.(Killed); ok && w.procs[k.Hierarchy] == "dying" {
		w.procs[k.Hierarchy] = "none"
	}
	return w.step(ev)
}

// pass lets time pass without a step, as when the process stands still.
// The kernel's time-out works all the same.
func (w *world) pass(d time.Duration) error {
	w.now = w.now.Add(d)
	return w.check(false)
}

// run lets time pass with steps when the machine wants them.
func (w *world) run(d time.Duration) error {
	end := w.now.Mono + d
	for {
		next := w.m.Next()
		if next > end {
			w.now = w.now.Add(end - w.now.Mono)
			return w.check(false)
		}
		if next > w.now.Mono {
			w.now = w.now.Add(next - w.now.Mono)
		}
		if err := w.step(Tick{}); err != nil {
			return err
		}
		for len(w.pending) > 0 {
			if err := w.result(); err != nil {
				return err
			}
		}
	}
}

// gateOpen reports whether the kernel lets any address answer.
func (w *world) gateOpen() bool {
	return len(w.open) > 0 && (w.forever || w.now.Boot < w.until)
}

// mayServe is the specification of the lease.
func (w *world) mayServe() bool {
	return w.generation != 0 && !w.revoked && (w.unmanaged || w.now.Boot < w.gate)
}

// check says which invariant is broken. stepped: the machine has just run, so
// it must also have acted on what runs.
func (w *world) check(stepped bool) error {
	if w.gateOpen() && !w.mayServe() {
		return fmt.Errorf("the gate is open at %v; the deadline was %v", w.now.Boot, w.gate)
	}
	if !stepped {
		return nil
	}
	for h, p := range w.procs {
		if p == "running" && !w.mayServe() {
			return fmt.Errorf("%s runs at %v; the gate's deadline was %v", h, w.now.Boot, w.gate)
		}
		leased := w.mayServe() || !w.revoked && w.now.Boot < w.end
		if w.armed && w.fed == w.now.Mono && p == "running" && !leased {
			return fmt.Errorf("the watchdog was fed at %v while %s is %s without a lease", w.now.Boot, h, p)
		}
	}
	return nil
}
