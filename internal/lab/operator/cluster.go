package operator

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"sync"
	"time"
)

// Node is a machine of which perdure's command line can be used.
type Node interface {
	// NodeName is its name in the cluster.
	NodeName() string
	// On reports whether it is switched on.
	On() bool
	// Perdure runs a command of perdure there and returns what it printed.
	Perdure(ctx context.Context, args ...string) (string, error)
	// PathArgs name its comm paths, for init and join.
	PathArgs() []string
}

// Cluster is the nodes and what was asked of them.
type Cluster struct {
	Nodes []Node
	// Witness is the name of the node that is a witness; empty for none.
	Witness string
	// Detection is the detection time; 0 leaves the default.
	Detection time.Duration
	// Patience bounds one question for the status; 0 for what is enough where
	// machines are fast.
	Patience time.Duration
	// Start starts perdure on a node that is in the cluster now.
	Start func(ctx context.Context, node Node) error

	// protected are the nodes of each hierarchy as they were asked for.
	protected map[string][]string
}

// Build founds the cluster on the first node; the others join, all at the same time.
func (c *Cluster) Build(ctx context.Context) error {
	first := c.Nodes[0]
	args := slices.Concat([]string{"init", "--node", first.NodeName()}, first.PathArgs())
	if c.Detection != 0 {
		args = append(args, "--detection", c.Detection.String())
	}
	if _, err := first.Perdure(ctx, args...); err != nil {
		return err
	}
	if err := c.begin(ctx, first); err != nil {
		return err
	}
	errs := make([]error, len(c.Nodes))
	var joining sync.WaitGroup
	for i, n := range c.Nodes[1:] {
		joining.Go(func() {
			if errs[i] = c.join(ctx, n, first); errs[i] == nil {
				errs[i] = c.begin(ctx, n)
			}
		})
	}
	joining.Wait()
	return errors.Join(errs...)
}

// begin starts perdure on a node and waits until it answers.
func (c *Cluster) begin(ctx context.Context, n Node) error {
	if err := c.Start(ctx, n); err != nil {
		return err
	}
	return c.awaitAnswer(ctx, n)
}

// join lets a node join the cluster that another one is in.
func (c *Cluster) join(ctx context.Context, n, member Node) error {
	var role []string
	if n.NodeName() == c.Witness {
		role = []string{"--role", "witness"}
	}
	token, err := member.Perdure(ctx, append([]string{"token", "create"}, role...)...)
	if err != nil {
		return err
	}
	_, err = n.Perdure(ctx, slices.Concat([]string{"join", strings.TrimSpace(token), "--node", n.NodeName()}, role, n.PathArgs())...)
	return err
}

// JoinAnew does what a person does for a node whose state is gone: remove it from
// the cluster, let it join with a new token, give it its place in the hierarchies
// back. perdure must not run there.
func (c *Cluster) JoinAnew(ctx context.Context, n Node) error {
	member, err := c.Member(ctx, n)
	if err != nil {
		return err
	}
	if _, err := member.Perdure(ctx, "node", "remove", n.NodeName(), "--yes"); err != nil {
		return err
	}
	if err := c.join(ctx, n, member); err != nil {
		return err
	}
	if err := c.begin(ctx, n); err != nil {
		return err
	}
	// With the node its place in the hierarchies was removed.
	for hierarchy, nodes := range c.protected {
		if !slices.Contains(nodes, n.NodeName()) {
			continue
		}
		if _, err := member.Perdure(ctx, "hierarchy", "set", hierarchy, "--nodes", strings.Join(nodes, ",")); err != nil {
			return err
		}
	}
	return nil
}

// Member finds a node that answers, other than not (nil for any).
func (c *Cluster) Member(ctx context.Context, not Node) (Node, error) {
	var errs []error
	for _, n := range c.Nodes {
		if n == not || !n.On() {
			continue
		}
		asking, cancel := context.WithTimeout(ctx, c.patience())
		_, err := n.Perdure(asking, "status", "--json")
		cancel()
		if err == nil {
			return n, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no other node answers: %w", errors.Join(errs...))
}

// Resource is a resource to be protected.
type Resource struct {
	Kit, Name string
	// Depends is the resource below it; empty for none.
	Depends string
	// Settings are NAME=value.
	Settings []string
}

// Protect makes a hierarchy of resources and brings it in service.
func (c *Cluster) Protect(ctx context.Context, hierarchy string, nodes []string, resources ...Resource) error {
	if c.protected == nil {
		c.protected = map[string][]string{}
	}
	c.protected[hierarchy] = nodes
	commands := [][]string{{"hierarchy", "create", hierarchy, "--nodes", strings.Join(nodes, ",")}}
	for _, r := range resources {
		args := []string{"resource", "create", r.Kit, r.Name, "--hierarchy", hierarchy}
		if r.Depends != "" {
			args = append(args, "--depends", r.Depends)
		}
		commands = append(commands, append(args, r.Settings...))
	}
	commands = append(commands, []string{"hierarchy", "start", hierarchy})
	for _, args := range commands {
		if _, err := c.Nodes[0].Perdure(ctx, args...); err != nil {
			return err
		}
	}
	return nil
}

// ClearFailures removes the marks that earlier failures left on a hierarchy.
func (c *Cluster) ClearFailures(ctx context.Context, hierarchy string) error {
	member, err := c.Member(ctx, nil)
	if err != nil {
		return err
	}
	_, err = member.Perdure(ctx, "hierarchy", "clear", hierarchy)
	return err
}

// Why asks any node for the account of a hierarchy, in a language.
func (c *Cluster) Why(ctx context.Context, hierarchy, lang string) (string, error) {
	member, err := c.Member(ctx, nil)
	if err != nil {
		return "", err
	}
	return member.Perdure(ctx, "why", hierarchy, "--lang", lang)
}
