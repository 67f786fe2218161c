package client

import (
	"cmp"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Evidence is what was seen from outside.
type Evidence struct {
	Attempts []Attempt
	Replies  []Reply
	Stalls   []Stall
}

// Gather takes the evidence from a client and a prober (nil for none) since a
// moment. A second before it is included, so that an outage has a beginning.
func Gather(c *Client, p *Prober, from time.Duration) Evidence {
	from -= time.Second
	ev := Evidence{Attempts: c.Attempts(from), Stalls: c.Stalls(from)}
	if p != nil {
		ev.Replies = p.Replies(from)
	}
	return ev
}

// Verdict is what the judge decides about a window of time.
type Verdict struct {
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
	// Sent and Lost count the client's requests.
	Sent int `json:"sent"`
	Lost int `json:"lost"`
	// Outages are those that overlap the window; Longest is the longest of
	// them, Total their sum.
	Outages []Outage      `json:"outages,omitempty"`
	Longest time.Duration `json:"longest"`
	Total   time.Duration `json:"total"`
	// ServedBy is who answered the client, in order, beginning with who did
	// when the window began.
	ServedBy []Span `json:"served_by"`
	// Doubles are the times in which two nodes served at once, or claimed the
	// address at once; any is a defect of the cluster. DoubleTime is their sum.
	Doubles    []Double      `json:"doubles,omitempty"`
	DoubleTime time.Duration `json:"double_time"`
	// P50 and P99 are of the good replies.
	P50 time.Duration `json:"p50"`
	P99 time.Duration `json:"p99"`
	// Stalled is the longest time in which the lab itself didn't run.
	Stalled time.Duration `json:"stalled,omitempty"`
}

// Open reports whether the service was out at the end.
func (v Verdict) Open() bool { return len(v.Outages) > 0 && v.Outages[len(v.Outages)-1].Open }

// Nodes lists who served, in order, as "n1 → n2".
func (v Verdict) Nodes() string {
	names := make([]string, 0, len(v.ServedBy))
	for _, s := range v.ServedBy {
		names = append(names, s.Node)
	}
	return strings.Join(names, " → ")
}

// String is one line for logs and test failures.
func (v Verdict) String() string {
	return fmt.Sprintf("%d of %d requests lost, %d outages, longest %v, served by %s, double service %v in %d stretches, p50 %v p99 %v, lab stalled %v",
		v.Lost, v.Sent, len(v.Outages), v.Longest, v.Nodes(), v.DoubleTime, len(v.Doubles), v.P50, v.P99, v.Stalled)
}

// Judge decides what happened in a window. The evidence may reach beyond it.
func Judge(ev Evidence, from, to time.Duration) Verdict {
	v := Verdict{From: from, To: to}
	inside := lastGoodBefore(ev.Attempts, from)
	var took []time.Duration
	proofs := slices.Clone(ev.Replies)
	for _, a := range ev.Attempts {
		if a.OK() && a.Node != "" {
			proofs = append(proofs, Reply{Node: a.Node, By: ByClient, Sent: a.Sent, Done: a.Done})
		}
		if a.Sent < from || a.Sent > to {
			continue
		}
		inside = append(inside, a)
		v.Sent++
		if a.OK() {
			took = append(took, a.Done-a.Sent)
		} else {
			v.Lost++
		}
	}
	v.ServedBy = ServedBy(inside)
	for _, o := range Outages(ev.Attempts, to) {
		if o.To >= from && o.From <= to {
			o.Stalled = longestStall(ev.Stalls, o.From, o.To)
			v.Outages = append(v.Outages, o)
			v.Total += o.Length()
			v.Longest = max(v.Longest, o.Length())
		}
	}
	for _, d := range Doubles(proofs) {
		if d.To >= from && d.From <= to {
			v.Doubles = append(v.Doubles, d)
			v.DoubleTime += d.Length()
		}
	}
	v.Stalled = longestStall(ev.Stalls, from, to)
	v.P50, v.P99 = quantile(took, 0.50), quantile(took, 0.99)
	return v
}

func longestStall(stalls []Stall, from, to time.Duration) (longest time.Duration) {
	for _, s := range stalls {
		if s.At+s.For >= from && s.At <= to {
			longest = max(longest, s.For)
		}
	}
	return longest
}

// lastGoodBefore returns the last good attempt that was sent before a moment,
// or none.
func lastGoodBefore(attempts []Attempt, from time.Duration) []Attempt {
	var last []Attempt
	for _, a := range attempts {
		if a.OK() && a.Sent < from && (len(last) == 0 || a.Done > last[0].Done) {
			last = []Attempt{a}
		}
	}
	return last
}

// quantile is the smallest value that a share q of all values doesn't exceed.
func quantile(values []time.Duration, q float64) time.Duration {
	if len(values) == 0 {
		return 0
	}
	sorted := slices.Clone(values)
	slices.SortFunc(sorted, cmp.Compare)
	return sorted[min(len(sorted)-1, int(q*float64(len(sorted))))]
}
