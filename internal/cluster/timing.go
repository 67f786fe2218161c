package cluster

import (
	"fmt"
	"time"
)

// Detection profiles: how long a node may be silent before it is evicted.
const (
	DetectionFast     = 500 * time.Millisecond
	DetectionBalanced = 2500 * time.Millisecond
	DetectionWide     = 10 * time.Second

	// DetectionMin and DetectionMax bound the setting. Below the minimum the
	// gate's slack is smaller than a scheduler's ordinary delay; above the
	// maximum nobody would call it high availability.
	DetectionMin = 300 * time.Millisecond
	DetectionMax = 2 * time.Minute
)

// driftPercent is the largest difference in rate between two nodes' clocks that
// the margins cover, in percent. Crystals differ by 0.01 %; NTP may slew by
// 0.05 %; virtual clocks have been seen at 0.5 %.
const driftPercent = 1

// Timing is every time that follows from the detection time. Nothing else in
// the cluster has a time of its own, so that one setting can't contradict
// another.
type Timing struct {
	// Detection is D: a lease lasts this long from the sending of the
	// heartbeat that earned it.
	Detection time.Duration
	// Heartbeat is the interval between heartbeats on each comm path: D/20, so
	// that 17 losses in a row are survived.
	Heartbeat time.Duration
	// Margin is added to D by whoever waits for a lease to end:
	// D·2ρ/(1−ρ) with ρ = 1 %.
	Margin time.Duration
	// GateSlack is G: the gate closes at D−G after the sending of the
	// heartbeat that earned the lease.
	GateSlack time.Duration
	// LeaderSilence is how long a leader may be silent before others forget
	// it. Election runs inside D: when the promises are ripe there is a leader.
	LeaderSilence time.Duration
	// CampaignSpread is the width of the random delay before a campaign.
	CampaignSpread time.Duration
	// RaftTick is the leader's tick; it sends raft heartbeats at each.
	RaftTick time.Duration
	// StopAfter is how long services stay frozen behind the closed gate after
	// the lease ended before they are stopped.
	StopAfter time.Duration
}

// RaftElectionTicks is the number of RaftTicks after which a leader that has
// not heard from a majority steps down.
const RaftElectionTicks = 5

// TimingFor derives all times from the detection time d. It doesn't check d;
// see [CheckDetection].
func TimingFor(d time.Duration) Timing {
	return Timing{
		Detection:      d,
		Heartbeat:      d / 20,
		Margin:         MarginFor(d),
		GateSlack:      d / 10,
		LeaderSilence:  d / 2,
		CampaignSpread: d / 5,
		RaftTick:       d / 10,
		StopAfter:      d,
	}
}

// MarginFor is what must be added to a duration d counted by one clock so that
// it is over by any other: d·2ρ/(1−ρ), rounded up.
func MarginFor(d time.Duration) time.Duration {
	return d*2*driftPercent/(100-driftPercent) + 1
}

// Promise is how long a voter waits after its last acknowledgement before it
// may promise never to acknowledge again.
func (t Timing) Promise() time.Duration { return t.Detection + t.Margin }

// Gate is how long after the sending of a heartbeat the gate stays open for it.
func (t Timing) Gate() time.Duration { return t.Detection - t.GateSlack }

// String shows the arithmetic, for people.
func (t Timing) String() string {
	return fmt.Sprintf("detection %v = heartbeat %v × 20; gate closes at %v − %v = %v; "+
		"eviction at %v + %v = %v",
		t.Detection, t.Heartbeat, t.Detection, t.GateSlack, t.Gate(),
		t.Detection, t.Margin, t.Promise())
}

// DetectionError says why a detection time was refused, with the arithmetic.
type DetectionError struct {
	Detection time.Duration
	Limit     time.Duration
	// TooShort reports whether Limit is a lower one.
	TooShort bool
	// WorstRTT is the round trip from which Limit follows; 0: it doesn't.
	WorstRTT time.Duration
}

// Codes of refused detection times. Their texts, with the arithmetic, are in the
// message catalogue.
const (
	RefusedDetection     = "PD2001" // {0} is below {1}: heartbeat {0} / 20 = {2}, gate slack {0} / 10 = {3}
	RefusedDetectionLong = "PD2008" // {0} is above {1}: down for {0} + {2} = {3}
	RefusedDetectionRTT  = "PD2009" // {0} is below {1} = 20 × round trip {2}; heartbeat {0} / 20 = {3}
)

// Says is the code of the refusal with its arguments.
func (e *DetectionError) Says() (code string, args []any) {
	d := e.Detection
	switch {
	case e.WorstRTT != 0:
		return RefusedDetectionRTT, []any{d, e.Limit, e.WorstRTT, d / 20}
	case e.TooShort:
		return RefusedDetection, []any{d, e.Limit, d / 20, d / 10}
	}
	margin := MarginFor(d).Round(time.Millisecond)
	return RefusedDetectionLong, []any{d, e.Limit, margin, d + margin}
}

func (e *DetectionError) Error() string {
	word := "above the maximum"
	if e.TooShort {
		word = "below the minimum"
	}
	return fmt.Sprintf("detection time %v is %s %v", e.Detection, word, e.Limit)
}

// CheckDetection refuses detection times that are unsafe or make no sense.
// worstRTT is the longest round trip measured on any comm path in use (0: not
// known): a heartbeat and its answer must fit five times into the lease that
// remains when one heartbeat was lost.
func CheckDetection(d, worstRTT time.Duration) error {
	if d < DetectionMin {
		// Heartbeat and gate slack would be shorter than a scheduler's ordinary
		// delay.
		return &DetectionError{Detection: d, Limit: DetectionMin, TooShort: true}
	}
	if d > DetectionMax {
		return &DetectionError{Detection: d, Limit: DetectionMax}
	}
	if need := 20 * worstRTT; need > d {
		return &DetectionError{Detection: d, Limit: need, TooShort: true, WorstRTT: worstRTT}
	}
	return nil
}
