package netns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"
)

// Like perdure_linux.go, this file knows perdure's command line.

// ClusterOptions describe the cluster that is built in a lab.
type ClusterOptions struct {
	// Witness is the name of a node that is a witness; empty for none.
	Witness string
	// Detection is the detection time; 0 leaves the default.
	Detection time.Duration
}

// BuildCluster makes one cluster of all nodes: the first founds it, the others
// join. Later boots start perdure by themselves.
func (l *Lab) BuildCluster(ctx context.Context, o ClusterOptions) error {
	first := l.nodes[0]
	for _, n := range l.nodes {
		witness := n.Name == o.Witness
		role := []string{"--node", n.Name}
		if witness {
			role = append(role, "--role", "witness")
		}
		if n == first {
			if o.Detection != 0 {
				role = append(role, "--detection", o.Detection.String())
			}
			if _, err := n.Perdure(ctx, slices.Concat([]string{"init"}, role, n.PathArgs())...); err != nil {
				return err
			}
		} else {
			kind := []string{"token", "create"}
			if witness {
				kind = append(kind, "--role", "witness")
			}
			token, err := first.Perdure(ctx, kind...)
			if err != nil {
				return err
			}
			if _, err := n.Perdure(ctx, slices.Concat([]string{"join", strings.TrimSpace(token)}, role, n.PathArgs())...); err != nil {
				return err
			}
		}
		start := func(_ context.Context, n *Node) error {
			_, err := n.StartPerdure(witness)
			return err
		}
		if err := start(ctx, n); err != nil {
			return err
		}
		n.OnBoot(start)
		if err := n.awaitAnswer(ctx); err != nil {
			return err
		}
	}
	return nil
}

// Protect makes the hierarchy of the service: address, server, page check.
func (l *Lab) Protect(ctx context.Context, hierarchy, server string, argv []string, nodes []string) error {
	first := l.nodes[0]
	resource := func(kit, name string, settings ...string) []string {
		return append([]string{"resource", "create", kit, name, "--hierarchy", hierarchy}, settings...)
	}
	for _, args := range [][]string{
		{"hierarchy", "create", hierarchy, "--nodes", strings.Join(nodes, ",")},
		resource("ip", "vip", "address="+l.VIP().String(), "devices="+first.Device(l.opts.Networks[0])),
		resource("process", server, "--depends", "vip", "command="+strings.Join(argv, " ")),
		resource("http", "page", "--depends", server, "url=http://"+l.Service().String()+"/",
			"check.interval=200ms", "check.timeout=1s"),
		{"hierarchy", "start", hierarchy},
	} {
		if _, err := first.Perdure(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// awaitAnswer waits until perdure on the node answers its command line.
func (n *Node) awaitAnswer(ctx context.Context) error {
	return poll(ctx, "perdure on "+n.Name, func() error {
		_, err := n.Perdure(ctx, "status", "--json")
		return err
	})
}

// Safe reports whether the node sees a cluster to which nothing is wanting.
func (n *Node) Safe(ctx context.Context) (bool, error) {
	text, err := n.Perdure(ctx, "status", "--json")
	if err != nil {
		return false, err
	}
	var status struct {
		Safe bool `json:"safe"`
	}
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return false, fmt.Errorf("read status of %s: %w", n.Name, err)
	}
	return status.Safe, nil
}

// AwaitSafe waits until every node that is on sees a safe cluster.
func (l *Lab) AwaitSafe(ctx context.Context) error {
	return poll(ctx, "a safe cluster", func() error {
		for _, n := range l.nodes {
			if !n.On() {
				continue
			}
			if safe, err := n.Safe(ctx); err != nil || !safe {
				return errors.Join(err, fmt.Errorf("%s says NOT SAFE", n.Name))
			}
		}
		return nil
	})
}

// Why asks any node for the account of a hierarchy.
func (l *Lab) Why(ctx context.Context, hierarchy string) (string, error) {
	var last error
	for _, n := range l.nodes {
		if !n.On() {
			continue
		}
		text, err := n.Perdure(ctx, "why", hierarchy)
		if err == nil {
			return text, nil
		}
		last = err
	}
	return "", last
}

// poll tries until it works or ctx ends.
func poll(ctx context.Context, what string, try func() error) error {
	ticker := time.NewTicker(50 * time.Millisecond)
	defer ticker.Stop()
	for {
		err := try()
		if err == nil {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s: %w; last: %w", what, context.Cause(ctx), err)
		case <-ticker.C:
		}
	}
}
