package image

import (
	"sync"
	"testing"
	"testing/synctest"
	"time"
)

var threeSteps = []step{{"a", 10 * time.Second}, {"b", 30 * time.Second}, {"c", 60 * time.Second}}

func TestEstimate(t *testing.T) {
	for _, c := range []struct {
		at             int
		before, within time.Duration
		want           string
	}{
		{0, 0, 0, "  0 % a, about 1m40s left"},
		{0, 0, 5 * time.Second, "  5 % a, about 1m35s left"},
		{1, 10 * time.Second, 0, " 10 % b, about 1m30s left"},
		{1, 20 * time.Second, 0, " 10 % b, about 3m0s left"},                 // half the pace
		{1, 20 * time.Second, 30 * time.Second, " 25 % b, about 2m30s left"}, // so it stays
		{1, 10 * time.Second, 40 * time.Second, " 37 % b, about 1m3s left"},  // late
		{1, 10 * time.Second, 3 * time.Minute, " 37 % b"},                    // nobody knows
		{2, 40 * time.Second, time.Minute, " 94 % c, about 6s left"},
	} {
		if got := estimate(threeSteps, c.at, c.before, c.within).String(); got != c.want {
			t.Errorf("step %d after %v, for %v: %q, wanted %q", c.at, c.before, c.within, got, c.want)
		}
	}
}

func TestTracker(t *testing.T) {
	synctest.Test(t, func(t *testing.T) {
		var mu sync.Mutex
		var said []Progress
		tr := track(func(p Progress) { mu.Lock(); defer mu.Unlock(); said = append(said, p) }, threeSteps)
		<-time.After(10500 * time.Millisecond)
		tr.enter("b")
		tr.enter("no such step")
		<-time.After(2 * time.Second)
		tr.close()
		if len(said) < 13 || said[len(said)-1].Step != "b" {
			t.Errorf("%d reports, the last %v", len(said), said[len(said)-1])
		}
		for i, p := range said[1:] {
			if p.Fraction < said[i].Fraction || p.Fraction > 1 {
				t.Errorf("after %v came %v", said[i], p)
			}
		}
	})
}
