package client

import (
	"testing"
	"time"

	"github.com/google/go-cmp/cmp"
)

const ms = time.Millisecond

// story makes a log: one request every 10 ms that takes 1 ms, answered by who
// says; a failing one takes 150 ms.
func story(length time.Duration, who func(at time.Duration) string) []Attempt {
	var log []Attempt
	for at := time.Duration(0); at < length; at += 10 * ms {
		a := Attempt{Seq: uint64(len(log) + 1), Sent: at, Done: at + ms, Node: who(at)}
		if a.Node == "" {
			a.Done, a.Failed = at+150*ms, "timeout"
		}
		log = append(log, a)
	}
	return log
}

func probes(node, by string, from, to, every, took time.Duration) []Reply {
	var out []Reply
	for at := from; at < to; at += every {
		out = append(out, Reply{Node: node, By: by, Sent: at, Done: at + took})
	}
	return out
}

func TestOutages(t *testing.T) {
	tests := []struct {
		name string
		who  func(time.Duration) string
		want []Outage
	}{
		{"never", func(time.Duration) string { return "n1" }, nil},
		{"failover", func(at time.Duration) string {
			switch {
			case at < 300*ms:
				return "n1"
			case at < 700*ms:
				return ""
			}
			return "n2"
		}, []Outage{{From: 291 * ms, To: 701 * ms, Before: "n1", After: "n2", Failed: map[string]int{"timeout": 40}}}},
		{"two near each other are one", func(at time.Duration) string {
			if at >= 300*ms && at < 400*ms && at != 350*ms {
				return ""
			}
			return "n1"
		}, []Outage{{From: 291 * ms, To: 401 * ms, Before: "n1", After: "n1", Failed: map[string]int{"timeout": 9}}}},
		{"two far apart", func(at time.Duration) string {
			if at == 100*ms || at == 500*ms {
				return ""
			}
			return "n1"
		}, []Outage{
			{From: 91 * ms, To: 111 * ms, Before: "n1", After: "n1", Failed: map[string]int{"timeout": 1}},
			{From: 491 * ms, To: 511 * ms, Before: "n1", After: "n1", Failed: map[string]int{"timeout": 1}},
		}},
		{"from the beginning", func(at time.Duration) string {
			if at < 100*ms {
				return ""
			}
			return "n1"
		}, []Outage{{From: 0, To: 101 * ms, After: "n1", Failed: map[string]int{"timeout": 10}}}},
		{"until the end", func(at time.Duration) string {
			if at < 900*ms {
				return "n1"
			}
			return ""
		}, []Outage{{From: 891 * ms, To: 1000 * ms, Open: true, Before: "n1", Failed: map[string]int{"timeout": 10}}}},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Outages(story(1000*ms, tt.who), 1000*ms)); diff != "" {
				t.Errorf("outages (-want +got):\n%s", diff)
			}
		})
	}
}

// A reply that comes after the first lost request was sent doesn't split the
// outage.
func TestOutageWithLateReply(t *testing.T) {
	log := story(1000*ms, func(at time.Duration) string {
		if at >= 300*ms && at < 700*ms {
			return ""
		}
		return "n1"
	})
	log[29].Done = 303 * ms // sent at 290
	got := Outages(log, 1000*ms)
	if len(got) != 1 || got[0].To != 701*ms {
		t.Errorf("got %+v", got)
	}
}

func TestServedBy(t *testing.T) {
	got := ServedBy(story(1000*ms, func(at time.Duration) string {
		switch {
		case at < 300*ms:
			return "n1"
		case at < 500*ms:
			return ""
		case at < 800*ms:
			return "n2"
		}
		return "n1"
	}))
	want := []Span{{"n1", ms, 291 * ms}, {"n2", 501 * ms, 791 * ms}, {"n1", 801 * ms, 991 * ms}}
	if diff := cmp.Diff(want, got); diff != "" {
		t.Errorf("served by (-want +got):\n%s", diff)
	}
}

func TestDoubles(t *testing.T) {
	join := func(parts ...[]Reply) (all []Reply) {
		for _, p := range parts {
			all = append(all, p...)
		}
		return all
	}
	tests := []struct {
		name    string
		replies []Reply
		want    []Double
	}{
		{"handover", join(probes("n1", ByProbe, 0, 300*ms, 20*ms, ms), probes("n2", ByProbe, 300*ms, 600*ms, 20*ms, ms)), nil},
		{"handover read late", join(probes("n1", ByProbe, 0, 300*ms, 20*ms, 40*ms), probes("n2", ByProbe, 290*ms, 600*ms, 20*ms, ms)), nil},
		{"there and back", join(probes("n1", ByProbe, 0, 300*ms, 20*ms, ms), probes("n2", ByProbe, 320*ms, 600*ms, 20*ms, ms), probes("n1", ByProbe, 620*ms, 900*ms, 20*ms, ms)), nil},
		{"both", join(probes("n1", ByProbe, 0, 500*ms, 20*ms, ms), probes("n2", ByClient, 300*ms, 600*ms, 10*ms, ms)),
			[]Double{{A: "n1", B: "n2", From: 301 * ms, To: 480 * ms, By: "http"}}},
		{"one reply of an old node", join(probes("n2", ByProbe, 0, 500*ms, 20*ms, ms), probes("n1", ByProbe, 301*ms, 302*ms, 20*ms, ms)),
			[]Double{{A: "n1", B: "n2", From: 301 * ms, To: 302 * ms, By: "http"}}},
		{"late reply after a thaw", join(probes("n2", ByProbe, 0, 900*ms, 20*ms, ms), []Reply{{Node: "n1", By: ByPatience, Sent: -5 * time.Second, Done: 600 * ms}}),
			[]Double{{A: "n1", B: "n2", From: 500 * ms, To: 600 * ms, By: "http"}}},
		{"late reply before the other began", join(probes("n2", ByProbe, 590*ms, 900*ms, 20*ms, ms), []Reply{{Node: "n1", By: ByPatience, Sent: -5 * time.Second, Done: 600 * ms}}), nil},
		{"address claimed twice", join(probes("n1", ByARP, 0, 500*ms, 20*ms, ms), probes("n2", ByARP, 400*ms, 600*ms, 20*ms, ms)),
			[]Double{{A: "n1", B: "n2", From: 401 * ms, To: 480 * ms, By: ByARP}}},
		{"address on one node while the other still answers an old connection", join(probes("n1", ByARP, 0, 500*ms, 20*ms, ms), probes("n2", ByProbe, 400*ms, 600*ms, 20*ms, ms)), nil},
	}
	for _, tt := range tests {
		t.Run(tt.name, func(t *testing.T) {
			if diff := cmp.Diff(tt.want, Doubles(tt.replies)); diff != "" {
				t.Errorf("doubles (-want +got):\n%s", diff)
			}
		})
	}
}

func TestJudgeWindow(t *testing.T) {
	ev := Evidence{
		Attempts: story(3000*ms, func(at time.Duration) string {
			if (at >= 200*ms && at < 300*ms) || (at >= 1500*ms && at < 1700*ms) {
				return ""
			}
			return "n1"
		}),
		Stalls: []Stall{{At: 100 * ms, For: 90 * ms}, {At: 1600 * ms, For: 30 * ms}},
	}
	v := Judge(ev, 1495*ms, 2500*ms)
	if len(v.Outages) != 1 || v.Longest != 210*ms || v.Total != 210*ms || v.Lost != 20 || v.Sent != 101 {
		t.Errorf("verdict: %s", v)
	}
	if v.P50 != ms || v.P99 != ms || v.Stalled != 30*ms || v.Open() || v.Nodes() != "n1" {
		t.Errorf("verdict: %s", v)
	}
}
