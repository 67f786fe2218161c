package health

import (
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

const (
	// holdLoad is how long processor or memory must be above their thresholds:
	// a busy minute is no news.
	holdLoad = time.Minute
	// holdState is the same for disks, links and gateways, which are either good
	// or not.
	holdState = 15 * time.Second
	// slack is how far below its threshold a share must be to be good again
	// (percent), so that nothing flaps at the edge.
	slack = 3
)

// Codes of what is bad. Their texts are in the message catalogue.
const (
	BusyCPU       = "PD7711" // {0} percent, threshold {1}
	FullMemory    = "PD7712" // {0} percent, threshold {1}
	FullDisk      = "PD7713" // path {0}: {1} percent, threshold {2}
	SilentDisk    = "PD7714" // path {0}
	LinkDown      = "PD7715" // interface {0}
	SilentGateway = "PD7716" // address {0}
)

// Judge remembers what was seen, and says what has been bad for long enough. The
// zero value is ready.
type Judge struct {
	// since is when something began to differ from what is said of it.
	since map[string]time.Time
	bad   map[string]cluster.Reason
	// answered are gateways that ever did: others may not want to.
	answered map[string]bool
}

// condition is one thing that was looked at.
type condition struct {
	what      string
	bad, good bool // neither: in between, or not known
	hold      time.Duration
	reason    cluster.Reason
}

// Step takes a sample and returns the marks that stand, sorted.
func (j *Judge) Step(now time.Time, v Vitals, l cluster.Limits) []cluster.HealthMark {
	if j.since == nil {
		j.since, j.bad, j.answered = map[string]time.Time{}, map[string]cluster.Reason{}, map[string]bool{}
	}
	seen := make(map[string]bool)
	for _, c := range j.conditions(v, l.Filled()) {
		seen[c.what] = true
		j.weigh(now, c)
	}
	var out []cluster.HealthMark
	for what, r := range j.bad {
		if !seen[what] { // the disk or link is gone on purpose
			delete(j.bad, what)
			delete(j.since, what)
			continue
		}
		out = append(out, cluster.HealthMark{What: what, Reason: r})
	}
	slices.SortFunc(out, func(a, b cluster.HealthMark) int { return strings.Compare(a.What, b.What) })
	return out
}

// weigh changes what is said of a thing when it has differed for long enough.
func (j *Judge) weigh(now time.Time, c condition) {
	_, said := j.bad[c.what]
	if said && !c.good || !said && !c.bad {
		delete(j.since, c.what)
		return
	}
	began, counting := j.since[c.what]
	if !counting {
		began = now
		j.since[c.what] = now
	}
	if now.Sub(began) < c.hold {
		return
	}
	delete(j.since, c.what)
	if said {
		delete(j.bad, c.what)
	} else {
		j.bad[c.what] = c.reason
	}
}

func (j *Judge) conditions(v Vitals, l cluster.Limits) []condition {
	share := func(what string, used float64, limit int, hold time.Duration, code string, args ...any) condition {
		return condition{what: what, bad: used != Unknown && used >= float64(limit), good: used != Unknown && used < float64(limit-slack),
			hold: hold, reason: cluster.Because(code, append(args, fmt.Sprintf("%.0f", used), limit)...)}
	}
	out := []condition{
		share("cpu", v.CPU, l.CPU, holdLoad, BusyCPU),
		share("memory", v.Memory, l.Memory, holdLoad, FullMemory),
	}
	for _, d := range v.Disks {
		out = append(out, share("disk "+d.Path, d.Used, l.Disk, holdState, FullDisk, d.Path),
			condition{what: "answer of disk " + d.Path, bad: d.Silent, good: !d.Silent, hold: holdState, reason: cluster.Because(SilentDisk, d.Path)})
	}
	for _, k := range v.Links {
		out = append(out, condition{what: "link " + k.Name, bad: !k.Up, good: k.Up, hold: holdState, reason: cluster.Because(LinkDown, k.Name)})
	}
	for _, g := range v.Gateway {
		what := "gateway " + g.Address.String()
		j.answered[what] = j.answered[what] || g.Answers
		out = append(out, condition{what: what, bad: !g.Answers && j.answered[what], good: g.Answers, hold: holdState, reason: cluster.Because(SilentGateway, g.Address)})
	}
	return out
}
