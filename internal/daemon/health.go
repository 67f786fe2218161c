package daemon

import (
	"context"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/health"
)

const (
	// healthEvery is how often the machine is looked at.
	healthEvery = 10 * time.Second
	// healthSay bounds how often the cluster is told of changes.
	healthSay = 30 * time.Second
)

// watchHealth looks at the machine under this node and tells the cluster what
// has been wrong for a while. It runs beside the loop, and a disk that hangs
// holds up nothing but its own answer.
func (d *Daemon) watchHealth() {
	sampler := health.NewSampler(healthPaths(d.cfg.StateDir)...)
	var judge health.Judge
	var told time.Time
	tick := time.NewTicker(healthEvery)
	defer tick.Stop()
	for {
		select {
		case <-d.ctx.Done():
			return
		case <-tick.C:
		}
		st := d.State()
		v := sampler.Sample(d.ctx)
		now := time.Now()
		marks := judge.Step(now, v, st.Limits)
		d.vitals.Store(&v)
		me := st.Node(d.id.Node)
		if me == nil || sameMarks(me.Health, marks) || now.Sub(told) < healthSay {
			continue
		}
		told = now
		d.tellHealth(me, marks)
	}
}

// healthPaths are the file systems without which a node is none.
func healthPaths(stateDir string) []string {
	if root := rootPath(stateDir); root != stateDir {
		return []string{root, stateDir}
	}
	return []string{stateDir}
}

// sameMarks compares what is bad, not how bad: a disk that fills up is one
// story, not one for each percent.
func sameMarks(a, b []cluster.HealthMark) bool {
	return slices.EqualFunc(a, b, func(x, y cluster.HealthMark) bool { return x.What == y.What && x.Reason.Code == y.Reason.Code })
}

// tellHealth proposes the marks. Without a majority nothing comes of it, and it
// is tried again.
func (d *Daemon) tellHealth(me *cluster.Node, marks []cluster.HealthMark) {
	c := cluster.Command{By: me.Name, SetHealth: &cluster.SetHealth{Node: me.ID, Marks: marks},
		Reason: cluster.Because(message.HealthGood, me.Name)}
	for _, m := range marks {
		r := message.Reason{Code: m.Reason.Code, Args: m.Reason.Args}
		c.Evidence = append(c.Evidence, cluster.Evidence{Node: me.ID, Reason: m.Reason})
		if !slices.ContainsFunc(me.Health, func(old cluster.HealthMark) bool { return old.What == m.What }) || len(marks) == 1 {
			c.Reason = cluster.Because(message.HealthBad, me.Name, r.Text(message.English))
		}
	}
	if len(marks) > 0 && c.Reason.Code == message.HealthGood { // one of several is good again
		r := message.Reason{Code: marks[0].Reason.Code, Args: marks[0].Reason.Args}
		c.Reason = cluster.Because(message.HealthBad, me.Name, r.Text(message.English))
	}
	ctx, cancel := context.WithTimeout(d.ctx, healthSay)
	defer cancel()
	if _, err := d.Propose(ctx, c); err != nil && d.ctx.Err() == nil && d.odd.due("health", 10*time.Minute) {
		d.log.Warn("tell the cluster of this machine's health", "err", err)
	}
}

// vitals shows a measurement; nil: there is none.
func vitals(v *health.Vitals) *api.Vitals {
	if v == nil {
		return nil
	}
	out := &api.Vitals{CPU: v.CPU, Memory: v.Memory, Disks: map[string]float64{}, Links: map[string]bool{}, Gateways: map[string]bool{}}
	for _, x := range v.Disks {
		out.Disks[x.Path] = x.Used
	}
	for _, x := range v.Links {
		out.Links[x.Name] = x.Up
	}
	for _, x := range v.Gateway {
		out.Gateways[x.Address.String()] = x.Answers
	}
	return out
}
