package netns

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
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
	l.witness = o.Witness
	for _, n := range l.nodes {
		if n == first {
			args := slices.Concat([]string{"init", "--node", n.Name}, n.PathArgs())
			if o.Detection != 0 {
				args = append(args, "--detection", o.Detection.String())
			}
			if _, err := n.Perdure(ctx, args...); err != nil {
				return err
			}
		} else if err := n.join(ctx, first); err != nil {
			return err
		}
		start := func(_ context.Context, n *Node) error {
			_, err := n.StartPerdure(n.Name == o.Witness)
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

// join lets the node join the cluster that another one is in.
func (n *Node) join(ctx context.Context, member *Node) error {
	var role []string
	if n.Name == n.lab.witness {
		role = []string{"--role", "witness"}
	}
	token, err := member.Perdure(ctx, append([]string{"token", "create"}, role...)...)
	if err != nil {
		return err
	}
	_, err = n.Perdure(ctx, slices.Concat([]string{"join", strings.TrimSpace(token), "--node", n.Name}, role, n.PathArgs())...)
	return err
}

// JoinAnew does what a person does for a node whose state is gone: stop what
// runs there, remove it from the cluster, let it join with a new token.
func (l *Lab) JoinAnew(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	running, err := n.perdureProcesses("")
	if err != nil {
		return err
	}
	if len(running) > 0 {
		if err := l.StopDaemon(ctx, node); err != nil {
			return err
		}
	}
	member, err := l.member(ctx, n)
	if err != nil {
		return err
	}
	if _, err := member.Perdure(ctx, "node", "remove", node, "--yes"); err != nil {
		return err
	}
	if err := n.join(ctx, member); err != nil {
		return err
	}
	if err := l.StartDaemon(ctx, node); err != nil {
		return err
	}
	if err := n.awaitAnswer(ctx); err != nil {
		return err
	}
	// With the node its place in the hierarchies was removed.
	for hierarchy, nodes := range l.protected {
		if !slices.Contains(nodes, node) {
			continue
		}
		if _, err := member.Perdure(ctx, "hierarchy", "set", hierarchy, "--nodes", strings.Join(nodes, ",")); err != nil {
			return err
		}
	}
	return nil
}

// member finds another node that answers.
func (l *Lab) member(ctx context.Context, not *Node) (*Node, error) {
	var errs []error
	for _, n := range l.nodes {
		if n == not || !n.On() {
			continue
		}
		_, err := n.Perdure(ctx, "status", "--json")
		if err == nil {
			return n, nil
		}
		errs = append(errs, err)
	}
	return nil, fmt.Errorf("no other node answers: %w", errors.Join(errs...))
}

// Protect makes the hierarchy of the service: address, server, page check.
func (l *Lab) Protect(ctx context.Context, hierarchy, server string, argv []string, nodes []string) error {
	first := l.nodes[0]
	if l.protected == nil {
		l.protected = map[string][]string{}
	}
	l.protected[hierarchy] = nodes
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

// statusOf is what the lab reads of a status.
type statusOf struct {
	Findings []finding    `json:"findings"`
	Nodes    []nodeStatus `json:"nodes"`
}

type finding struct {
	Severity api.Severity   `json:"severity"`
	Reason   cluster.Reason `json:"reason"`
	Text     struct {
		EN string `json:"en"`
	} `json:"text"`
}

// wanting reports whether the finding is about the cluster. Round trips are
// about the machine that the lab shares with others.
func (f finding) wanting() bool {
	return (f.Severity == api.SeverityDown || f.Severity == api.SeverityUnsafe) && f.Reason.Code != message.DetectionUnsafe
}

type nodeStatus struct {
	Name     string `json:"name"`
	Presence string `json:"presence"`
}

// Whole reports whether the node sees a cluster to which nothing is wanting:
// it is safe and every node that is on is in it. The error says what is wanting.
func (n *Node) Whole(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, statusWait)
	defer cancel()
	text, err := n.Perdure(ctx, "status", "--json")
	if err != nil {
		return err
	}
	var status statusOf
	if err := json.Unmarshal([]byte(text), &status); err != nil {
		return fmt.Errorf("read status of %s: %w", n.Name, err)
	}
	if i := slices.IndexFunc(status.Findings, finding.wanting); i >= 0 {
		return fmt.Errorf("%s says: %s", n.Name, status.Findings[i].Text.EN)
	}
	for _, other := range n.lab.nodes {
		here := nodeStatus{Name: other.Name, Presence: "present"}
		if other.On() && other.Name != n.lab.witness && !slices.Contains(status.Nodes, here) {
			return fmt.Errorf("%s doesn't see %s as present", n.Name, other.Name)
		}
	}
	return nil
}

// statusWait bounds one question for the status.
const statusWait = 5 * time.Second

// AwaitWhole waits until every node that is on sees a whole cluster. wanting, if
// not nil, is told what is wanting meanwhile.
func (l *Lab) AwaitWhole(ctx context.Context, wanting func(error)) error {
	return poll(ctx, "a whole cluster", func() error {
		for _, n := range l.nodes {
			if !n.On() {
				continue
			}
			if err := n.Whole(ctx); err != nil {
				if wanting != nil {
					wanting(err)
				}
				return err
			}
		}
		return nil
	})
}

// ClearFailures removes the marks that earlier failures left on a hierarchy.
func (l *Lab) ClearFailures(ctx context.Context, hierarchy string) error {
	member, err := l.member(ctx, nil)
	if err != nil {
		return err
	}
	_, err = member.Perdure(ctx, "hierarchy", "clear", hierarchy)
	return err
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
