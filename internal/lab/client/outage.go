package client

import (
	"cmp"
	"slices"
	"time"
)

// Outage is a time without a good reply in which somebody asked: from the last
// good reply before to the first good reply after.
type Outage struct {
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
	// Open reports whether the service was still out when the log ended.
	Open bool `json:"open,omitempty"`
	// Before and After are who answered last and first; empty is nobody.
	Before string `json:"before,omitempty"`
	After  string `json:"after,omitempty"`
	// Failed counts the requests without a good reply, by reason.
	Failed map[string]int `json:"failed"`
	// Stalled is the longest time in it in which the lab itself didn't run:
	// the length is exact to that much only.
	Stalled time.Duration `json:"stalled,omitempty"`
}

// Length is how long the outage was.
func (o Outage) Length() time.Duration { return o.To - o.From }

// mergeGap joins outages with less good time than this between them (two
// requests of the default client): a reply that comes just after the first
// request that was lost doesn't make two outages.
const mergeGap = 20 * time.Millisecond

// Outages finds the outages in a client's log. end is when the log ended.
func Outages(attempts []Attempt, end time.Duration) []Outage {
	var good, bad []Attempt
	for _, a := range attempts {
		if a.OK() {
			good = append(good, a)
		} else {
			bad = append(bad, a)
		}
	}
	byDone := func(a, b Attempt) int { return cmp.Compare(a.Done, b.Done) }
	slices.SortStableFunc(good, byDone)
	slices.SortStableFunc(bad, func(a, b Attempt) int { return cmp.Compare(a.Sent, b.Sent) })

	var outages []Outage
	for _, b := range bad {
		// The gap between two good replies in which this request was sent.
		next, _ := slices.BinarySearchFunc(good, b, func(g, b Attempt) int { return cmp.Compare(g.Done, b.Sent) })
		o := Outage{From: b.Sent, To: end, Open: true}
		if next > 0 {
			o.From, o.Before = good[next-1].Done, good[next-1].Node
		}
		if next < len(good) {
			o.To, o.After, o.Open = good[next].Done, good[next].Node, false
		}
		if n := len(outages); n > 0 && o.From < outages[n-1].To+mergeGap {
			last := &outages[n-1]
			last.To, last.After, last.Open = o.To, o.After, o.Open
		} else {
			o.Failed = map[string]int{}
			outages = append(outages, o)
		}
		outages[len(outages)-1].Failed[b.Failed]++
	}
	return outages
}

// Span is a time in which a node served.
type Span struct {
	Node string        `json:"node"`
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
}

// ServedBy is the timeline of who answered the client.
func ServedBy(attempts []Attempt) []Span {
	var good []Attempt
	for _, a := range attempts {
		if a.OK() {
			good = append(good, a)
		}
	}
	slices.SortStableFunc(good, func(a, b Attempt) int { return cmp.Compare(a.Done, b.Done) })
	var spans []Span
	for _, a := range good {
		if n := len(spans); n > 0 && spans[n-1].Node == a.Node {
			spans[n-1].To = a.Done
			continue
		}
		spans = append(spans, Span{Node: a.Node, From: a.Done, To: a.Done})
	}
	return spans
}
