package daemon

import (
	"context"
	"errors"
	"log/slog"
	"sync"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/decide"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/guardian"
)

type anyGuard = Guard // Guard is the name of one of its methods

// slowGuard is a guardian whose kill takes until the test says that it is over.
type slowGuard struct {
	anyGuard
	mu     sync.Mutex
	refuse error
	phase  guard.Phase
	asked  chan struct{} // an element for each Hello
}

func (g *slowGuard) Revoke(string) error { return g.refuse }

func (g *slowGuard) Hello() (guardian.State, error) {
	select {
	case g.asked <- struct{}{}:
	default:
	}
	g.mu.Lock()
	defer g.mu.Unlock()
	return guardian.State{State: guard.State{Guarded: []guard.Guarded{{Hierarchy: "web", Phase: g.phase}}}}, nil
}

func killer(t *testing.T, g *slowGuard) *acts {
	ctx, end := context.WithCancelCause(t.Context())
	d := &Daemon{cfg: Config{RunDir: t.TempDir(), Guard: g}, log: slog.New(slog.DiscardHandler), ctx: ctx, end: end, events: make(chan core.Event, 8)}
	a := newActs(d)
	t.Cleanup(func() {
		end(nil)
		a.group.Wait()
	})
	return a
}

func answer(t *testing.T, a *acts) decide.Result {
	t.Helper()
	select {
	case ev := <-a.d.events:
		return ev.(core.Acted).Result
	case <-time.After(10 * time.Second):
		t.Fatal("no answer")
		return decide.Result{}
	}
}

// TestKillIsConfirmed: nothing is said to be gone while the guardian still
// kills, nor if it could not be asked.
func TestKillIsConfirmed(t *testing.T) {
	g := &slowGuard{phase: guard.PhaseKilling, asked: make(chan struct{})}
	a := killer(t, g)
	a.perform(decide.Action{ID: 1, Act: decide.Kill, Hierarchy: "web", Timeout: time.Minute})
	for range 3 {
		<-g.asked
	}
	select {
	case ev := <-a.d.events:
		t.Fatalf("answered while the guardian kills: %+v", ev)
	default:
	}
	g.mu.Lock()
	g.phase = guard.PhaseKilled
	g.mu.Unlock()
	if r := answer(t, a); r.Action != 1 || r.Outcome != decide.Succeeded {
		t.Errorf("answer %+v", r)
	}
	g.refuse = errors.New("gone")
	a.perform(decide.Action{ID: 2, Act: decide.Kill, Hierarchy: "web", Timeout: time.Minute})
	if r := answer(t, a); r.Action != 2 || r.Outcome != decide.Unclear {
		t.Errorf("answer %+v without a guardian", r)
	}
}

// TestKillEndsTheResourcesActs: a start that is under way must not come to its
// end after the kill of its hierarchy.
func TestKillEndsTheResourcesActs(t *testing.T) {
	a := killer(t, &slowGuard{phase: guard.PhaseKilled})
	began, ended := make(chan struct{}), make(chan struct{})
	ctx, cancel := context.WithCancel(t.Context())
	start := &work{cancel: cancel, done: ended}
	a.lanes[lane{"web", "nginx"}] = start
	a.group.Go(func() {
		<-ctx.Done()
		close(began)
	})
	a.perform(decide.Action{ID: 1, Act: decide.Kill, Hierarchy: "web", Timeout: time.Minute})
	select {
	case <-began:
	case <-time.After(10 * time.Second):
		t.Fatal("the start was not cancelled")
	}
	select {
	case ev := <-a.d.events:
		t.Fatalf("answered before the start had ended: %+v", ev)
	default:
	}
	close(ended)
	if r := answer(t, a); r.Outcome != decide.Succeeded {
		t.Errorf("answer %+v", r)
	}
}
