package guard

import (
	"net/netip"
	"slices"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

var vip = netip.MustParseAddr("192.0.2.10")

const ms = time.Millisecond

// must fails the test at a broken invariant.
func must(t *testing.T, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}

// lease renews from now on with the default times.
func (w *world) lease() Renew {
	return Renew{Generation: w.generation, Gate: w.now.Boot + 2250*ms, Until: w.now.Boot + 2500*ms}
}

// inService is a node that serves one hierarchy.
func inService(t *testing.T, c Config) *world {
	t.Helper()
	w := newWorld(c)
	must(t, w.step(Tick{}))
	must(t, w.step(Admitted{Generation: 3}))
	must(t, w.step(w.lease()))
	must(t, w.step(Guard{Hierarchy: "web", Epoch: 7, Addresses: []Address{{vip, "eth0"}}, Cgroups: []string{"web"}}))
	if len(w.refused) > 0 {
		t.Fatalf("refused: %v", w.refused)
	}
	w.procs["web"] = "running"
	if !w.gateOpen() {
		t.Fatal("the gate is closed with a lease")
	}
	return w
}

func (w *world) kinds() []NoticeKind {
	var out []NoticeKind
	for _, n := range w.notices {
		out = append(out, n.Kind)
	}
	return out
}

func TestLeaseEndsRungByRung(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.run(2249*ms))
	if !w.gateOpen() || w.procs["web"] != "running" {
		t.Fatal("closed before the deadline")
	}
	must(t, w.run(2*ms))
	if w.gateOpen() || w.procs["web"] != "frozen" {
		t.Fatalf("at the gate's deadline: open %v, processes %s", w.gateOpen(), w.procs["web"])
	}
	must(t, w.run(2740*ms))
	if w.procs["web"] != "frozen" {
		t.Fatalf("killed before the lease's end + StopAfter: %s", w.procs["web"])
	}
	must(t, w.run(20*ms))
	if w.procs["web"] != "none" {
		t.Fatalf("after the lease's end + StopAfter: %s", w.procs["web"])
	}
	want := []NoticeKind{NoticeGateClosed, NoticeFrozen, NoticeKilling, NoticeKilled}
	if got := w.kinds(); !slices.Equal(got, want) {
		t.Errorf("notices %v, want %v", got, want)
	}
	if next := w.m.Next(); next != cluster.Never {
		t.Errorf("nothing is due and Next is %v", next)
	}
}

func TestLeaseBackBeforeKill(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.run(3*time.Second))
	must(t, w.step(w.lease()))
	if !w.gateOpen() || w.procs["web"] != "running" {
		t.Fatalf("open %v, processes %s", w.gateOpen(), w.procs["web"])
	}
	if !slices.Contains(w.kinds(), NoticeDoubt) {
		t.Error("nobody was told to announce the addresses again")
	}
	must(t, w.run(time.Second))
	// The kill that would have come does not.
	must(t, w.step(w.lease()))
	must(t, w.run(2*time.Second))
	if w.procs["web"] != "running" {
		t.Errorf("killed by an old deadline: %s", w.procs["web"])
	}
}

func TestLeaseBackAfterKill(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.run(10*time.Second))
	must(t, w.step(w.lease()))
	if w.gateOpen() || w.procs["web"] != "none" {
		t.Fatal("a killed hierarchy came back by itself")
	}
	g := Guard{Hierarchy: "web", Epoch: 7, Addresses: []Address{{vip, "eth0"}}}
	must(t, w.step(g))
	if !w.gateOpen() || len(w.refused) > 0 {
		t.Fatalf("it can't be started again: %v", w.refused)
	}
}

func TestRenewalsThatOpenNothing(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  func(w *world, r Renew) Renew
		refused string
	}{
		{"another generation", func(_ *world, r Renew) Renew { r.Generation = 2; return r }, message.LeaseOfAnotherGeneration},
		{"gate in the past", func(w *world, r Renew) Renew { r.Gate = w.now.Boot - ms; return r }, ""},
		{"gate is now", func(w *world, r Renew) Renew { r.Gate = w.now.Boot; return r }, ""},
		{"gate after the lease", func(_ *world, r Renew) Renew { r.Gate = r.Until + 1; return r }, message.LeaseAbsurd},
		{"far too long", func(_ *world, r Renew) Renew { r.Until += time.Hour; r.Gate += time.Hour; return r }, message.LeaseAbsurd},
	} {
		t.Run(c.name, func(t *testing.T) {
			w := inService(t, Config{})
			must(t, w.run(3*time.Second))
			must(t, w.step(c.change(w, w.lease())))
			if w.gateOpen() || w.procs["web"] != "frozen" {
				t.Errorf("open %v, processes %s", w.gateOpen(), w.procs["web"])
			}
			if c.refused != "" && !slices.Contains(w.refused, c.refused) {
				t.Errorf("refused %v, want %s", w.refused, c.refused)
			}
		})
	}
}

func TestDeadlinesNeverMoveBackwards(t *testing.T) {
	w := inService(t, Config{})
	late := w.lease()
	must(t, w.run(time.Second))
	must(t, w.step(w.lease()))
	before := w.m.State()
	must(t, w.step(late))
	if got := w.m.State(); got.GateUntil != before.GateUntil || got.LeaseUntil != before.LeaseUntil {
		t.Errorf("an older renewal moved the deadlines to %v, %v", got.GateUntil, got.LeaseUntil)
	}
}

// The process stands still, and the first thing that it sees afterwards is a
// renewal that was true before.
func TestResumeBeforeOldRenewal(t *testing.T) {
	w := inService(t, Config{})
	old := w.lease()
	old.Gate += 100 * ms
	old.Until += 100 * ms
	must(t, w.pass(3*time.Second))
	must(t, w.step(old))
	if w.gateOpen() || w.procs["web"] != "frozen" {
		t.Errorf("open %v, processes %s", w.gateOpen(), w.procs["web"])
	}
}

func TestSuspend(t *testing.T) {
	w := inService(t, Config{})
	w.now.Boot += 20 * time.Second // MONOTONIC stands
	must(t, w.step(Tick{}))
	if w.procs["web"] != "dying" {
		t.Errorf("after a long suspend: %s", w.procs["web"])
	}
}

func TestShortStandstillAnnouncesAgain(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.step(w.lease()))
	w.now.Boot += 600 * ms
	must(t, w.step(Tick{}))
	if got := w.kinds(); !slices.Contains(got, NoticeDoubt) || !w.gateOpen() {
		t.Errorf("notices %v, open %v", got, w.gateOpen())
	}
}

func TestDoubt(t *testing.T) {
	w := inService(t, Config{})
	r := w.lease()
	must(t, w.step(Doubt{Reason: cluster.Because(message.GuardianResumed)}))
	if w.gateOpen() || w.procs["web"] != "frozen" {
		t.Fatal("doubt left it open")
	}
	must(t, w.step(r))
	if w.gateOpen() {
		t.Fatal("a renewal that moves nothing lifted the doubt")
	}
	must(t, w.pass(100*ms))
	must(t, w.step(w.lease()))
	if !w.gateOpen() || w.procs["web"] != "running" {
		t.Fatal("a fresh renewal didn't lift the doubt")
	}
}

func TestFreezeRefused(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.pass(2300*ms))
	must(t, w.step(Tick{}))
	f := w.pending[0].(Frozen)
	w.pending, f.Failed = nil, cluster.Because(message.FreezeFailed, "web", "no freezer")
	w.procs["web"] = "dying" // it can't be frozen; the check below is the kill
	must(t, w.step(f))
	must(t, w.pass(150*ms))
	must(t, w.step(Tick{}))
	for _, ev := range w.pending {
		if _, ok := ev.(Killed); ok {
			t.Fatal("killed while the lease lives")
		}
	}
	must(t, w.pass(60*ms)) // lease over, StopAfter isn't
	must(t, w.step(Tick{}))
	if n := len(w.pending); n == 0 {
		t.Fatal("not killed at the end of the lease")
	} else if _, ok := w.pending[n-1].(Killed); !ok {
		t.Fatalf("not killed at the end of the lease: %+v", w.pending)
	}
}

func TestRevoke(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.step(Revoke{}))
	if w.gateOpen() || w.procs["web"] != "dying" {
		t.Fatalf("open %v, processes %s", w.gateOpen(), w.procs["web"])
	}
	must(t, w.result())
	must(t, w.pass(ms))
	must(t, w.step(w.lease()))
	if !slices.Contains(w.refused, message.LeaseOfEvicted) {
		t.Errorf("an evicted generation got a lease: %v", w.refused)
	}
	must(t, w.step(Admitted{Generation: 4}))
	must(t, w.step(w.lease()))
	must(t, w.step(Guard{Hierarchy: "web", Epoch: 8, Addresses: []Address{{vip, "eth0"}}}))
	if !w.gateOpen() {
		t.Error("the next generation doesn't serve")
	}
}

func TestRevokeOne(t *testing.T) {
	w := inService(t, Config{})
	other := netip.MustParseAddr("2001:db8::5")
	must(t, w.step(Guard{Hierarchy: "db", Epoch: 8, Addresses: []Address{{other, "eth0"}}}))
	w.procs["db"] = "running"
	must(t, w.step(Revoke{Hierarchy: "db"}))
	if w.open[other] || !w.open[vip] || w.procs["web"] != "running" {
		t.Errorf("open %v, web %s", w.open, w.procs["web"])
	}
}

func TestGuardRefused(t *testing.T) {
	w := newWorld(Config{})
	g := Guard{Hierarchy: "web", Epoch: 7, Addresses: []Address{{vip, "eth0"}}}
	must(t, w.step(g))
	must(t, w.step(Admitted{Generation: 1}))
	must(t, w.step(g))
	must(t, w.step(w.lease()))
	must(t, w.step(g))
	must(t, w.step(Guard{Hierarchy: "web", Epoch: 6}))
	must(t, w.step(Guard{Hierarchy: "db", Epoch: 6, Addresses: g.Addresses}))
	must(t, w.step(Revoke{Hierarchy: "web"}))
	must(t, w.step(g))
	want := []string{message.GuardWithoutLease, message.GuardWithoutLease, message.GuardOldEpoch,
		message.GuardAddressTaken, message.GuardWhileKilling}
	if !slices.Equal(w.refused, want) {
		t.Errorf("refused %v, want %v", w.refused, want)
	}
}

func TestUnmanagedHasNoDeadline(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.step(Unmanaged{On: true}))
	must(t, w.run(time.Hour))
	if !w.gateOpen() || w.procs["web"] != "running" {
		t.Fatalf("open %v, processes %s", w.gateOpen(), w.procs["web"])
	}
	must(t, w.step(w.lease()))
	must(t, w.step(Unmanaged{On: false}))
	if !w.gateOpen() || w.forever {
		t.Fatalf("managed again: open %v, forever %v", w.gateOpen(), w.forever)
	}
	must(t, w.run(3*time.Second))
	if w.gateOpen() {
		t.Error("managed again, and the deadline doesn't count")
	}
}

func TestManagedAgainWithoutLease(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.step(Unmanaged{On: true}))
	must(t, w.pass(time.Minute))
	must(t, w.step(Unmanaged{On: false}))
	if w.gateOpen() || w.procs["web"] == "running" {
		t.Errorf("open %v, processes %s", w.gateOpen(), w.procs["web"])
	}
}

func TestHandOver(t *testing.T) {
	w := inService(t, Config{Session: "one", Watchdog: 10 * time.Second})
	must(t, w.step(Unmanaged{On: true}))
	must(t, w.step(ShuttingDown{}))
	if w.exit == nil || w.exit.Clean || w.handed == nil || w.armed || w.procs["web"] != "running" || !w.gateOpen() {
		t.Fatalf("exit %+v, armed %v, web %s, open %v", w.exit, w.armed, w.procs["web"], w.gateOpen())
	}
	next := newWorld(Config{Session: "two", Watchdog: 10 * time.Second, Adopt: w.handed})
	next.now, next.procs = w.now, w.procs
	next.generation, next.unmanaged = w.generation, true
	must(t, next.step(Tick{}))
	if s := next.m.State(); s.Session != "one" || !s.Unmanaged || len(s.Guarded) != 1 || !s.WatchdogArmed {
		t.Errorf("adopted %+v", s)
	}
	if !next.gateOpen() || next.procs["web"] != "running" {
		t.Error("the services didn't run on")
	}
}

func TestShutdownKillsWhatRuns(t *testing.T) {
	w := inService(t, Config{Watchdog: 10 * time.Second})
	must(t, w.step(ShuttingDown{}))
	if w.exit != nil || w.gateOpen() || w.procs["web"] != "dying" || !w.armed {
		t.Fatalf("exit %v, open %v, web %s, armed %v", w.exit, w.gateOpen(), w.procs["web"], w.armed)
	}
	must(t, w.result())
	if w.exit == nil || !w.exit.Clean || w.armed {
		t.Fatalf("exit %+v, armed %v", w.exit, w.armed)
	}
}

func TestWatchdog(t *testing.T) {
	w := newWorld(Config{Watchdog: 10 * time.Second})
	must(t, w.step(Admitted{Generation: 1}))
	must(t, w.step(w.lease()))
	if w.armed {
		t.Fatal("armed with nothing guarded")
	}
	must(t, w.step(Guard{Hierarchy: "web", Epoch: 1, Cgroups: []string{"web"}}))
	w.procs["web"] = "running"
	if !w.armed {
		t.Fatal("not armed with the first hierarchy")
	}
	// The lease ends and the kill is never confirmed: not fed any more.
	must(t, w.pass(6*time.Second))
	must(t, w.step(Tick{}))
	fed := w.fed
	for range 20 {
		must(t, w.pass(time.Second))
		must(t, w.step(Tick{}))
	}
	if w.fed != fed {
		t.Error("fed while something unknown runs without a lease")
	}
	for len(w.pending) > 0 {
		must(t, w.result())
	}
	must(t, w.run(2*time.Second))
	if w.fed == fed {
		t.Error("not fed although nothing is left")
	}
	must(t, w.step(Unguard{Hierarchy: "web"}))
	if !w.armed {
		t.Error("disarmed without a clean stop")
	}
}

func TestUnguardFrozenIsKilled(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.run(2300*ms))
	must(t, w.step(Unguard{Hierarchy: "web"}))
	if w.procs["web"] != "dying" {
		t.Fatalf("processes %s", w.procs["web"])
	}
	must(t, w.result())
	if s := w.m.State(); len(s.Guarded) != 0 {
		t.Errorf("still guarded: %+v", s.Guarded)
	}
}

func TestGateRebuiltOpensAgain(t *testing.T) {
	w := inService(t, Config{})
	clear(w.open)
	must(t, w.step(GateState{Rebuilt: true}))
	if !w.gateOpen() || !slices.Contains(w.kinds(), NoticeTrouble) {
		t.Errorf("open %v, notices %v", w.gateOpen(), w.kinds())
	}
}

func TestDaemonRestarts(t *testing.T) {
	w := newWorld(Config{})
	must(t, w.step(Tick{}))
	if w.daemons != 1 {
		t.Fatalf("%d daemons at the start", w.daemons)
	}
	var waits []time.Duration
	for range 9 {
		must(t, w.step(DaemonGone{Ran: ms}))
		began := w.now.Mono
		for w.daemons < len(waits)+2 {
			must(t, w.run(10*ms))
		}
		waits = append(waits, w.now.Mono-began)
	}
	want := []time.Duration{0, 100 * ms, 200 * ms, 400 * ms, 800 * ms, 1600 * ms, 3200 * ms, 5000 * ms, 5000 * ms}
	for i := range waits {
		if waits[i] < want[i] || waits[i] > want[i]+20*ms {
			t.Errorf("restart %d after %v, want %v", i+1, waits[i], want[i])
		}
	}
	must(t, w.step(DaemonGone{Ran: time.Minute}))
	if w.daemons != len(waits)+2 {
		t.Error("a steady daemon is not restarted at once")
	}
	must(t, w.step(ShuttingDown{}))
	n := w.daemons
	must(t, w.step(DaemonGone{Ran: time.Minute}))
	must(t, w.run(10*time.Second))
	if w.daemons != n {
		t.Error("restarted while stopping")
	}
}

func TestReset(t *testing.T) {
	w := inService(t, Config{Session: "one"})
	must(t, w.step(Reset{Session: "two"}))
	if w.gateOpen() || w.procs["web"] != "dying" || w.m.State().Session != "one" {
		t.Fatalf("open %v, web %s, session %s", w.gateOpen(), w.procs["web"], w.m.State().Session)
	}
	must(t, w.step(Admitted{Generation: 4}))
	if !slices.Contains(w.refused, message.LeaseOfEvicted) {
		t.Error("a generation was admitted while the old one is being killed")
	}
	must(t, w.result())
	s := w.m.State()
	if s.Session != "two" || s.Generation != 0 || len(s.Guarded) != 0 || !slices.Contains(w.kinds(), NoticeReset) {
		t.Errorf("%+v, notices %v", s, w.kinds())
	}
	must(t, w.step(Admitted{Generation: 4}))
	must(t, w.step(w.lease()))
	must(t, w.step(Guard{Hierarchy: "web", Epoch: 8, Addresses: []Address{{vip, "eth0"}}}))
	if !w.gateOpen() {
		t.Error("the new session doesn't serve")
	}
}

// A thaw that failed is tried again, also when the hierarchy was guarded anew
// meanwhile, and with the groups that it had before.
func TestFailedThawIsTriedAgainAfterGuard(t *testing.T) {
	w := inService(t, Config{})
	must(t, w.run(2300*ms))
	if w.procs["web"] != "frozen" {
		t.Fatalf("processes %s", w.procs["web"])
	}
	w.pending = nil
	must(t, w.step(w.lease()))
	thaw := w.pending[0].(Thawed)
	w.pending, w.procs["web"] = nil, "frozen" // it doesn't thaw
	must(t, w.step(Guard{Hierarchy: "web", Epoch: 8, Addresses: []Address{{vip, "eth0"}}, Cgroups: []string{"web/new"}}))
	if h := w.m.hierarchies["web"]; !slices.Equal(h.cgroups, []string{"web/new", "web"}) || !h.thawing {
		t.Fatalf("groups %v, thawing %v", h.cgroups, h.thawing)
	}
	w.pending, w.procs["web"] = nil, "frozen"
	thaw.Attempt, thaw.Failed = w.m.hierarchies["web"].attempt, cluster.Because(message.ThawFailed, "web", "busy")
	must(t, w.step(thaw))
	must(t, w.run(retryAfter+ms))
	if w.procs["web"] != "running" || w.m.hierarchies["web"].thawing {
		t.Errorf("processes %s after another try", w.procs["web"])
	}
}
