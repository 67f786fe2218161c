package guard

import (
	"fmt"
	"net/netip"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"pgregory.net/rapid"
)

// story plays random events and passing time against a machine and returns the
// first broken invariant.
func story(t *rapid.T, k knobs) error {
	w := newWorld(Config{Watchdog: 5 * time.Second})
	w.m.knobs = k
	if err := w.step(Tick{}); err != nil {
		return err
	}
	for range rapid.IntRange(5, 60).Draw(t, "events") {
		if err := w.act(t); err != nil {
			return err
		}
	}
	// Nobody renews any more: the node must become clean, unless unmanaged.
	if err := w.run(10 * time.Second); err != nil || w.unmanaged {
		return err
	}
	for h, p := range w.procs {
		if p != "none" {
			return fmt.Errorf("%s is %s long after the lease", h, p)
		}
	}
	return nil
}

// act does one random thing.
func (w *world) act(t *rapid.T) error {
	d := func(name string, from, to int) time.Duration {
		return time.Duration(rapid.IntRange(from, to).Draw(t, name)) * ms
	}
	h := rapid.SampledFrom([]string{"a", "b"}).Draw(t, "hierarchy")
	switch rapid.IntRange(0, 16).Draw(t, "act") {
	case 0:
		return w.step(Admitted{Generation: w.generation + cluster.Generation(rapid.IntRange(0, 1).Draw(t, "up"))})
	case 1, 2, 3, 4:
		gate := w.now.Boot + d("gate", -1500, 2250)
		g := w.generation
		if rapid.IntRange(0, 5).Draw(t, "other") == 0 {
			g--
		}
		return w.step(Renew{Generation: g, Gate: gate, Until: gate + d("slack", 0, 250)})
	case 5, 6:
		before := len(w.refused)
		addr := netip.AddrFrom4([4]byte{192, 0, 2, h[0]})
		err := w.step(Guard{Hierarchy: h, Epoch: 1, Addresses: []Address{{addr, "eth0"}}, Cgroups: []string{h}})
		if err == nil && len(w.refused) == before {
			w.procs[h] = "running"
		}
		return err
	case 7:
		if w.procs[h] == "running" { // the daemon stops it first
			w.procs[h] = "none"
		}
		return w.step(Unguard{Hierarchy: h})
	case 8:
		if rapid.Bool().Draw(t, "all") {
			h = ""
		}
		return w.step(Revoke{Hierarchy: h})
	case 9:
		return w.step(Unmanaged{On: rapid.Bool().Draw(t, "on")})
	case 10:
		return w.step(Doubt{Reason: cluster.Because(message.GuardianResumed)})
	case 11:
		return w.pass(d("standstill", 1, 8000))
	case 12:
		w.now.Boot += d("suspend", 1, 8000)
		// The kernel's time-out doesn't count a suspend; the machine runs first
		// thing after it.
		return w.step(Tick{})
	case 16:
		if rapid.IntRange(0, 3).Draw(t, "rare") > 0 {
			return nil
		}
		return w.step(Reset{Session: "next"})
	case 13:
		return w.result()
	default:
		return w.run(d("run", 1, 1500))
	}
}

func TestGateNeverOpenAfterDeadline(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		if err := story(t, knobs{}); err != nil {
			t.Fatal(err)
		}
	})
}

// TestBrokenVariantsAreCaught is the negative control: the property must see
// what each knob breaks.
func TestBrokenVariantsAreCaught(t *testing.T) {
	for name, k := range map[string]knobs{
		"renewals move deadlines backwards or are of another generation": {backwards: true},
		"the gate stays open until the lease's end":                      {late: true},
		"passed deadlines do nothing":                                    {dead: true},
	} {
		t.Run(name, func(t *testing.T) {
			gen := rapid.Custom(func(t *rapid.T) string {
				if err := story(t, k); err != nil {
					return err.Error()
				}
				return ""
			})
			for seed := range 2000 {
				if broken := gen.Example(seed); broken != "" {
					t.Logf("seed %d: %s", seed, broken)
					return
				}
			}
			t.Error("2000 stories and the property saw nothing")
		})
	}
}
