package guard

import "testing"

// Services that run on without a guardian must run: one that was frozen when
// the node became unmanaged is let go before the guardian ends.
func TestEndsAfterTheThawIsDone(t *testing.T) {
	w := inService(t, Config{StopAfter: 2500 * ms})
	must(t, w.run(2300*ms))
	if w.procs["web"] != "frozen" {
		t.Fatalf("web is %s after its gate closed", w.procs["web"])
	}
	must(t, w.step(Unmanaged{On: true}))
	must(t, w.step(ShuttingDown{}))
	if w.exit != nil {
		t.Fatal("ended while the thaw was under way")
	}
	must(t, w.run(ms))
	for len(w.pending) > 0 {
		must(t, w.result())
	}
	if w.exit == nil || w.exit.Clean || w.handed == nil || w.handed.Guarded[0].Phase != PhaseServing {
		t.Fatalf("exit %+v, handed over %+v", w.exit, w.handed)
	}
}
