package client

import (
	"cmp"
	"slices"
	"time"
)

// Double is a time in which two nodes served at once.
type Double struct {
	A    string        `json:"a"`
	B    string        `json:"b"`
	From time.Duration `json:"from"`
	To   time.Duration `json:"to"`
	// By is how both were seen: replies over HTTP or claims by ARP.
	By string `json:"by"`
}

// Length is how long both served at least.
func (d Double) Length() time.Duration { return d.To - d.From }

const (
	// joinGap is the longest time between two proofs of service of one node
	// that are taken as one stretch: four short probes. Nothing moves away and
	// back within it.
	joinGap = 80 * time.Millisecond
	// replyTravel bounds how long a reply may have been under way, the lab's
	// own delay in reading it included. A patient probe's reply proves service
	// at this time before it came, not when the request was sent.
	replyTravel = 100 * time.Millisecond
)

// stretch is a time in which a node served without doubt. Of a single reply it
// is only known that the moment of service lies somewhere in it (point).
type stretch struct {
	from, to time.Duration
	point    bool
}

// Doubles finds the times in which two nodes served at once. It errs on the
// side of the nodes: a handover that overlaps only within the travel time of a
// reply isn't counted.
func Doubles(replies []Reply) []Double {
	var doubles []Double
	for _, by := range []string{"http", ByARP} {
		stretches := map[string][]stretch{}
		var nodes []string
		for _, r := range replies {
			if (r.By == ByARP) != (by == ByARP) || slices.Contains(nodes, r.Node) {
				continue
			}
			nodes = append(nodes, r.Node)
			stretches[r.Node] = stretchesOf(r.Node, by, replies)
		}
		slices.Sort(nodes)
		for i, a := range nodes {
			for _, b := range nodes[i+1:] {
				for _, d := range overlaps(stretches[a], stretches[b]) {
					doubles = append(doubles, Double{A: a, B: b, From: d.from, To: d.to, By: by})
				}
			}
		}
	}
	slices.SortFunc(doubles, func(a, b Double) int { return cmp.Compare(a.From, b.From) })
	return doubles
}

func stretchesOf(node, by string, replies []Reply) []stretch {
	var mine []Reply
	for _, r := range replies {
		if r.Node != node || (r.By == ByARP) != (by == ByARP) {
			continue
		}
		if r.By == ByPatience {
			r.Sent = max(r.Sent, r.Done-replyTravel)
		}
		mine = append(mine, r)
	}
	slices.SortFunc(mine, func(a, b Reply) int { return cmp.Compare(a.Sent, b.Sent) })

	// Service began at the earliest first Done and ended at the latest last
	// Sent of the replies that are joined.
	var out []stretch
	for i := 0; i < len(mine); {
		s := stretch{from: mine[i].Done, to: mine[i].Sent}
		last := mine[i].Sent
		j := i + 1
		for ; j < len(mine) && mine[j].Sent-last <= joinGap; j++ {
			last = mine[j].Sent
			s.from, s.to = min(s.from, mine[j].Done), max(s.to, mine[j].Sent)
		}
		if s.from >= s.to {
			// All of them may prove the same single moment.
			s.point = true
			s.from, s.to = mine[i].Sent, mine[i].Done
		}
		out = append(out, s)
		i = j
	}
	return out
}

// overlaps intersects two nodes' stretches.
func overlaps(as, bs []stretch) []stretch {
	var out []stretch
	for _, a := range as {
		for _, b := range bs {
			from, to := max(a.from, b.from), min(a.to, b.to)
			switch {
			case a.point && b.point:
			case a.point && (a.from < b.from || a.to > b.to):
			case b.point && (b.from < a.from || b.to > a.to):
			case from < to:
				out = append(out, stretch{from: from, to: to})
			}
		}
	}
	return out
}
