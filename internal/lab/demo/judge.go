package demo

import (
	"fmt"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// String says what is expected, for the JSON result.
func (e Expectation) String(t cluster.Timing) string {
	outage := e.Outage.At(t)
	switch {
	case outage == 0:
		return string(e.Place) + ", no request lost"
	case e.Starts > 0:
		return fmt.Sprintf("%s, outage at most %v, at most %d starts", e.Place, outage, e.Starts)
	}
	return fmt.Sprintf("%s, outage at most %v", e.Place, outage)
}

func (p *play) problem(format string, args ...any) {
	p.result.Problems = append(p.result.Problems, fmt.Sprintf(format, args...))
}

// judge compares the verdict with the expectation.
func (p *play) judge() {
	v, e := p.result.Verdict, p.expect
	for _, d := range v.Doubles {
		if v.DoubleTime <= e.Residue.At(p.Timing) {
			break
		}
		p.problem("%s and %s served at once for %v at %v (%s)", d.A, d.B, round(d.Length()), round(d.From), d.By)
	}
	if v.Open() {
		p.problem("the service is still out after %v", round(v.Longest))
	}
	limit := e.Outage.At(p.Timing)
	if limit > 0 {
		limit += p.Stage.Has().Slack + time.Duration(p.scenario.boots())*p.Stage.Has().Boot
	}
	for _, o := range v.Outages {
		// What the lab itself didn't see can't be held against the cluster.
		switch over := o.Length() - o.Stalled; {
		case over <= limit:
		case limit == 0:
			p.problem("requests were lost for %v at %v %v, none may be", round(o.Length()), round(o.From), o.Failed)
		default:
			p.problem("out for %v, at most %v is right", round(o.Length()), round(limit))
		}
	}
	moved := p.result.After != p.result.Owner
	switch {
	case e.Place == Stays && moved:
		p.problem("moved from %s to %s, and should have stayed", p.result.Owner, p.result.After)
	case e.Place == Moves && !moved:
		p.problem("stayed on %s, and should have moved", p.result.Owner)
	case e.Place == Stays && limit == 0 && len(v.ServedBy) > 1:
		p.problem("served by %s, and should have stayed", v.Nodes())
	}
	if e.Starts > 0 && p.result.Starts > e.Starts {
		p.problem("the server was started %d times, at most %d is right", p.result.Starts, e.Starts)
	}
}

func round(d time.Duration) time.Duration { return d.Round(time.Millisecond) }
