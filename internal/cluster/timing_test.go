package cluster

import (
	"errors"
	"testing"
	"time"
)

func TestCheckDetection(t *testing.T) {
	for _, c := range []struct {
		d, rtt time.Duration
		limit  time.Duration // 0: accepted
		short  bool
	}{
		{DetectionFast, 0, 0, false},
		{DetectionBalanced, 100 * time.Millisecond, 0, false},
		{DetectionWide, 500 * time.Millisecond, 0, false},
		{DetectionMin, 15 * time.Millisecond, 0, false},
		{DetectionMax, 0, 0, false},
		{DetectionMin - 1, 0, DetectionMin, true},
		{0, 0, DetectionMin, true},
		{-time.Second, 0, DetectionMin, true},
		{DetectionMax + 1, 0, DetectionMax, false},
		{DetectionFast, 25*time.Millisecond + 1, 500*time.Millisecond + 20, true},
		{DetectionBalanced, time.Second, 20 * time.Second, true},
	} {
		err := CheckDetection(c.d, c.rtt)
		var e *DetectionError
		if c.limit == 0 {
			if err != nil {
				t.Errorf("%v with round trips of %v: %v", c.d, c.rtt, err)
			}
			continue
		}
		if !errors.As(err, &e) || e.Limit != c.limit || e.TooShort != c.short {
			t.Errorf("%v with round trips of %v: got %v", c.d, c.rtt, err)
		}
	}
}

// TestTimingFits checks the arithmetic that safety stands on, for every setting:
// what one clock counts as the end of a lease is over by any other clock within
// the assumed drift when a promise is ripe.
func TestTimingFits(t *testing.T) {
	const fast, slow = 1 + driftPercent/100.0, 1 - driftPercent/100.0
	for d := DetectionMin; d <= DetectionMax; d += 7 * time.Millisecond {
		tm := TimingFor(d)
		// The holder's clock is slow: its lease lasts longer in real time. The
		// voter's is fast: its wait is shorter.
		lease := time.Duration(float64(d) / slow)
		wait := time.Duration(float64(tm.Promise()) / fast)
		if wait < lease {
			t.Fatalf("%v: a promise may be ripe after %v, and the lease may live for %v", d, wait, lease)
		}
		if tm.Gate() >= d || tm.Heartbeat*2 >= tm.GateSlack+tm.Gate() {
			t.Fatalf("%v: gate %v, heartbeat %v", d, tm.Gate(), tm.Heartbeat)
		}
		// A leader is forgotten and another elected within the detection time.
		if tm.LeaderSilence+2*tm.CampaignSpread >= d {
			t.Fatalf("%v: an election takes %v", d, tm.LeaderSilence+2*tm.CampaignSpread)
		}
		// A leader without majority steps down before it could be taken for one.
		if time.Duration(RaftElectionTicks)*tm.RaftTick > tm.LeaderSilence {
			t.Fatalf("%v: a leader steps down after %v, others forget it after %v", d, RaftElectionTicks*tm.RaftTick, tm.LeaderSilence)
		}
	}
}

func TestTimingInWords(t *testing.T) {
	want := "detection 2.5s = heartbeat 125ms × 20; gate closes at 2.5s − 250ms = 2.25s; eviction at 2.5s + 50.505051ms = 2.550505051s"
	if got := TimingFor(DetectionBalanced).String(); got != want {
		t.Errorf("got  %s\nwant %s", got, want)
	}
}
