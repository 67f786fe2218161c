package main

import (
	"context"
	"fmt"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/netns"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

const (
	// requestInterval is the time between requests: the outage is exact to it.
	requestInterval = 5 * time.Millisecond
	// waitWhole bounds the wait for a whole cluster, waitMoved that for service.
	waitWhole, waitMoved = time.Minute, 30 * time.Second
	hierarchy            = "web"
	server               = "nginx"
)

// rig is a cluster under measurement.
type rig struct {
	*netns.Lab
	client *client.Client
}

func (b *bench) newRig(ctx context.Context, detection time.Duration) (*rig, error) {
	lab, err := netns.New(ctx, netns.Options{Perdure: b.binary})
	if err != nil {
		return nil, err
	}
	r := &rig{Lab: lab, client: client.Start(client.Config{Dial: lab.Dial, Interval: requestInterval})}
	if err := r.build(ctx, detection); err != nil {
		r.close()
		return nil, err
	}
	return r, nil
}

func (r *rig) build(ctx context.Context, detection time.Duration) error {
	web, err := webserver.Find()
	if err != nil {
		return err
	}
	argv, err := r.UseWeb(server, web, false)
	if err != nil {
		return err
	}
	if err := r.BuildCluster(ctx, netns.ClusterOptions{Detection: detection}); err != nil {
		return err
	}
	if err := r.Protect(ctx, hierarchy, server, argv, []string{"n1", "n2", "n3"}); err != nil {
		return err
	}
	_, err = r.whole(ctx)
	return err
}

func (r *rig) close() {
	r.client.Stop()
	if err := r.Close(); err != nil {
		say("%v", err)
	}
}

// whole waits until nothing is wanting, and returns who serves.
func (r *rig) whole(ctx context.Context) (owner string, err error) {
	ctx, cancel := context.WithTimeout(ctx, waitWhole)
	defer cancel()
	if err := r.Operator().ClearFailures(ctx, hierarchy); err != nil {
		return "", err
	}
	if err := r.Operator().AwaitWhole(ctx, nil); err != nil {
		return "", err
	}
	good, err := r.client.WaitGood(ctx, r.client.Clock().Now(), "")
	return good.Node, err
}

// outage does something to the owner and measures for how long nobody answers,
// until somebody does: not the owner if it moves.
func (r *rig) outage(ctx context.Context, moves bool, do func(owner string) error) (time.Duration, error) {
	owner, err := r.whole(ctx)
	if err != nil {
		return 0, err
	}
	ctx, cancel := context.WithTimeout(ctx, waitMoved)
	defer cancel()
	from := r.client.Clock().Now()
	if err := do(owner); err != nil {
		return 0, err
	}
	for since := from; ; {
		good, err := r.client.WaitGood(ctx, since, "")
		if err != nil {
			return 0, err
		}
		since = good.Sent + 1
		if moves && good.Node == owner {
			continue
		}
		// Lost requests are on the list when they are given up.
		v := client.Judge(client.Gather(r.client, nil, from), from, r.client.Clock().Now())
		if v.Longest > 0 {
			return v.Longest, nil
		}
		if moves {
			return 0, nil // so quick that no request was lost
		}
	}
}

// repeat measures several outages.
func (b *bench) repeat(ctx context.Context, r *rig, what string, moves bool, do, undo func(owner string) error) ([]time.Duration, error) {
	var all []time.Duration
	for i := range b.rounds {
		var owner string
		d, err := r.outage(ctx, moves, func(o string) error { owner = o; return do(o) })
		if err == nil && undo != nil {
			err = undo(owner)
		}
		if err != nil {
			return nil, fmt.Errorf("%s: %w", what, err)
		}
		say("  %s %d: %v", what, i+1, d.Round(time.Millisecond))
		all = append(all, d)
	}
	return all, nil
}

// perdure measures a profile.
func (b *bench) perdure(ctx context.Context, detection time.Duration, own alone) ([]Result, error) {
	profile, target := "default", 3000.0
	if detection == cluster.DetectionFast {
		profile, target = "fast", 900
	}
	say("three nodes, profile %s …", profile)
	r, err := b.newRig(ctx, detection)
	if err != nil {
		return nil, err
	}
	defer r.close()
	var results []Result
	if detection == cluster.DetectionBalanced {
		if results, err = b.idleCost(ctx, r); err != nil {
			return nil, err
		}
	}
	lost, err := b.repeat(ctx, r, "power loss", true,
		func(owner string) error { return r.PowerOff(ctx, owner) }, func(owner string) error { return r.PowerOn(ctx, owner) })
	if err != nil {
		return nil, err
	}
	results = append(results, newResult("power loss to first reply, "+profile, Milliseconds, target, ms(lost, 0)))
	if detection != cluster.DetectionBalanced {
		return results, nil
	}
	killed, err := b.repeat(ctx, r, "server killed", false,
		func(owner string) error { return r.KillResource(ctx, owner, server, false) }, nil)
	if err != nil {
		return nil, err
	}
	moved, err := b.repeat(ctx, r, "switchover", true, func(owner string) error {
		return r.Switchover(ctx, hierarchy, r.other(owner))
	}, nil)
	if err != nil {
		return nil, err
	}
	return append(results,
		newResult("server killed to first reply", Milliseconds, 0, ms(killed, 0)),
		newResult("… beyond its own start", Milliseconds, 300, ms(killed, own.start.Median)),
		newResult("switchover", Milliseconds, 0, ms(moved, 0)),
		newResult("… beyond its own stop and start", Milliseconds, 300, ms(moved, own.stop.Median+own.start.Median))), nil
}

func (r *rig) other(node string) string {
	for _, n := range r.Nodes() {
		if n.Name != node {
			return n.Name
		}
	}
	return ""
}
