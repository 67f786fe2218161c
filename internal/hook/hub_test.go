package hook

import (
	"context"
	"fmt"
	"sync"
	"testing"
	"testing/synctest"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
)

func TestMain(m *testing.M) { goleak.VerifyTestMain(m) }

func job(hook string, n int) Job {
	return Job{Hook: cluster.Hook{Name: hook, Timeout: 30 * time.Second}, Entry: uint64(n), Event: "evicted"}
}

// TestHangs: a hook that never ends holds up nobody but itself, is shown, ends
// with its time-out, and what came meanwhile is told afterwards, the newest.
func TestHangs(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var told []string
		h := New(func(ctx context.Context, j Job) Outcome {
			mu.Lock()
			told = append(told, fmt.Sprint(j.Hook.Name, j.Entry))
			mu.Unlock()
			if j.Hook.Name == "hangs" {
				<-ctx.Done()
				return Outcome{ExitCode: -1, Reason: cluster.Because("PD0000")}
			}
			return Outcome{}
		}, func() {})
		defer h.Close()
		for i := range waitingMax + 11 {
			h.Tell(job("hangs", i))
			h.Tell(job("good", i))
			synctest.Wait()
		}
		if s := h.State("good"); s.Done != waitingMax+11 || s.Failed != 0 || s.Lost != 0 {
			t.Errorf("the other hook: %+v", s)
		}
		s := h.State("hangs")
		if s.Running != "evicted" || s.Waiting != waitingMax || s.Lost != 10 || s.Done != 0 {
			t.Errorf("while it hangs: %+v", s)
		}
		<-time.After(45 * time.Second) // of the bubble
		synctest.Wait()
		s = h.State("hangs")
		if s.Done != 1 || s.Failed != 1 || s.Last == nil || s.Last.Took != 30*time.Second || s.Last.Reason.Code == "" {
			t.Errorf("after its time: %+v %+v", s, s.Last)
		}
		mu.Lock()
		defer mu.Unlock()
		if got := told[len(told)-1]; got != "hangs11" {
			t.Errorf("then %s was told", got)
		}
	})
}

func TestParallelIsBounded(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		running, most := 0, 0
		h := New(func(ctx context.Context, _ Job) Outcome {
			mu.Lock()
			running++
			most = max(most, running)
			mu.Unlock()
			timer := time.NewTimer(time.Second)
			defer timer.Stop()
			select {
			case <-timer.C:
			case <-ctx.Done():
			}
			mu.Lock()
			running--
			mu.Unlock()
			return Outcome{}
		}, func() {})
		defer h.Close()
		for i := range 20 {
			h.Tell(job(fmt.Sprint("h", i), i))
		}
		<-time.After(time.Minute) // of the bubble
		synctest.Wait()
		if most != Parallel {
			t.Errorf("%d ran at a time", most)
		}
		if s := h.State("h19"); s.Done != 1 {
			t.Errorf("%+v", s)
		}
	})
}

// TestOrder: a hook is told one event after the other, in their order.
func TestOrder(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var got []uint64
		h := New(func(_ context.Context, j Job) Outcome {
			got = append(got, j.Entry) // one at a time: the race detector looks
			return Outcome{}
		}, func() {})
		for i := range 30 {
			h.Tell(job("a", i))
		}
		synctest.Wait()
		h.Close()
		h.Tell(job("a", 99))
		for i, n := range got {
			if n != uint64(i) {
				t.Fatalf("%v", got)
			}
		}
		if len(got) != 30 {
			t.Errorf("%d calls", len(got))
		}
	})
}

func TestForgotten(t *testing.T) {
	h := New(func(context.Context, Job) Outcome { return Outcome{} }, func() {})
	h.Tell(job("a", 1))
	h.group.Wait()
	h.Keep(map[string]bool{"b": true})
	if s := h.State("a"); s.Done != 0 {
		t.Errorf("%+v", s)
	}
	h.Close()
}
