package kittest

import (
	"context"
	"fmt"
	"log/slog"
	"os"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
)

// Deadline bounds every wait of a test.
const Deadline = 20 * time.Second

var count atomic.Uint64

// Host makes a host with a run directory and, if groups is set, with groups of
// its own. It skips the test where there are none.
func Host(t testing.TB, groups bool) kit.Host {
	t.Helper()
	h := kit.Host{RunDir: t.TempDir(), Log: slog.New(slog.NewTextHandler(writer{t}, nil))}
	if !groups {
		return h
	}
	h.Groups = cgroup.Find(fmt.Sprintf("test-%d-%d", os.Getpid(), count.Add(1)))
	if ok, why := h.Groups.Available(); !ok {
		t.Skip("SKIPPED, no cgroups on this machine: ", why)
	}
	t.Cleanup(func() {
		ctx, cancel := context.WithTimeout(context.Background(), Deadline)
		defer cancel()
		if err := cgroup.At(h.Groups.Path()).Kill(ctx); err != nil {
			t.Error(err)
		}
		if err := h.Groups.Remove(); err != nil {
			t.Error(err)
		}
	})
	return h
}

// Open makes an agent and closes it at the end of the test.
func Open(t testing.TB, h kit.Host, k kit.Kit, settings map[string]string) *kit.Agent {
	t.Helper()
	a, err := h.Open(k, "web", "r1", settings)
	if err != nil {
		t.Fatal(err)
	}
	t.Cleanup(func() {
		if err := a.Close(); err != nil {
			t.Error(err)
		}
	})
	return a
}

// Context ends with the test, and before the deadline of all waits.
func Context(t testing.TB) context.Context {
	ctx, cancel := context.WithTimeout(context.Background(), Deadline)
	t.Cleanup(cancel)
	return ctx
}

// Eventually waits until something holds.
func Eventually(t testing.TB, what string, holds func() bool) {
	t.Helper()
	tick := time.NewTicker(2 * time.Millisecond)
	defer tick.Stop()
	end := time.After(Deadline)
	for !holds() {
		select {
		case <-tick.C:
		case <-end:
			t.Fatalf("not within %v: %s", Deadline, what)
		}
	}
}

// Events watches a resource until the test ends.
func Events(t testing.TB, a *kit.Agent) <-chan kit.Event {
	ctx, cancel := context.WithCancel(context.Background())
	events := make(chan kit.Event, 100)
	done := make(chan struct{})
	go func() {
		defer close(done)
		a.Watch(ctx, func(e kit.Event) { events <- e })
	}()
	t.Cleanup(func() { cancel(); <-done })
	return events
}

// Next is the next event.
func Next(t testing.TB, events <-chan kit.Event) kit.Event {
	t.Helper()
	select {
	case e := <-events:
		return e
	case <-time.After(Deadline):
		t.Fatalf("no event within %v", Deadline)
		return kit.Event{}
	}
}

type writer struct{ t testing.TB }

func (w writer) Write(b []byte) (int, error) {
	w.t.Logf("%s", b)
	return len(b), nil
}
