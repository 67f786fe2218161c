package main

import (
	"context"
	"fmt"
	"net"
	"net/http"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/netns"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// alone is what the service needs by itself.
type alone struct{ start, stop Result }

// serverAlone starts and stops the service's own command on a node without a
// cluster: from the start of the process to its first reply, and from the signal
// to its end.
func (b *bench) serverAlone(ctx context.Context) (alone, error) {
	say("the service alone …")
	lab, err := netns.New(ctx, netns.Options{Nodes: []string{"n1"}})
	if err != nil {
		return alone{}, err
	}
	defer lab.Close()
	server, err := webserver.Find()
	if err != nil {
		return alone{}, err
	}
	argv, err := lab.UseWeb("web", server, true)
	if err != nil {
		return alone{}, err
	}
	n := lab.Nodes()[0]
	var starts, stops []time.Duration
	for range b.rounds {
		began := time.Now()
		p, err := n.Start("web", argv...)
		if err != nil {
			return alone{}, err
		}
		if err := firstReply(ctx, n); err != nil {
			return alone{}, err
		}
		starts = append(starts, time.Since(began))
		began = time.Now()
		if err := p.Signal(syscall.SIGTERM); err != nil {
			return alone{}, err
		}
		select {
		case <-p.Done():
		case <-ctx.Done():
			return alone{}, context.Cause(ctx)
		}
		stops = append(stops, time.Since(began))
	}
	return alone{
		start: newResult(server.Name+" alone: start to first reply", Milliseconds, 0, ms(starts, 0)),
		stop:  newResult(server.Name+" alone: stop", Milliseconds, 0, ms(stops, 0)),
	}, nil
}

// firstReply asks the node every millisecond until it answers.
func firstReply(ctx context.Context, n *netns.Node) error {
	ctx, cancel := context.WithTimeout(ctx, 10*time.Second)
	defer cancel()
	transport := &http.Transport{DisableKeepAlives: true, DialContext: func(ctx context.Context, _, _ string) (net.Conn, error) {
		return n.Dial(ctx)
	}}
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		req, err := http.NewRequestWithContext(ctx, http.MethodGet, "http://service/", nil)
		if err != nil {
			return err
		}
		resp, err := transport.RoundTrip(req)
		if err == nil {
			return resp.Body.Close()
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for the first reply: %w; last: %w", context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
