package vm

import (
	"context"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/operator"
)

// ClusterOptions describe the cluster that is built in a lab.
type ClusterOptions struct {
	// Witness is the name of a node that is a witness; empty for none.
	Witness string
	// Detection is the detection time; 0 leaves the default.
	Detection time.Duration
}

// BuildCluster makes one cluster of all nodes. Later boots start perdure by
// themselves.
func (l *Lab) BuildCluster(ctx context.Context, o ClusterOptions) error {
	l.op = &operator.Cluster{Witness: o.Witness, Detection: o.Detection, Patience: actWait, Start: func(ctx context.Context, n operator.Node) error {
		node := n.(*Node)
		node.mu.Lock()
		defer node.mu.Unlock()
		if node.role = "guardian"; node.Name == o.Witness {
			node.role = "witness"
		}
		return node.startPerdure(ctx)
	}}
	for _, n := range l.nodes {
		l.op.Nodes = append(l.op.Nodes, n)
	}
	return l.op.Build(ctx)
}

// Operator is the person at the cluster that was built.
func (l *Lab) Operator() *operator.Cluster { return l.op }

// Protect makes the hierarchy of a web server: address, server, page check. Faults
// know the server by its name.
func (l *Lab) Protect(ctx context.Context, hierarchy, server string, nodes []string) error {
	l.web = &web{resource: server}
	var command []string
	for _, n := range l.nodes {
		a, err := n.Agent()
		if err != nil {
			return err
		}
		if command, err = a.UseWeb(ctx, l.siteOf(n)); err != nil {
			return err
		}
	}
	return l.op.Protect(ctx, hierarchy, nodes,
		operator.Resource{Kit: "ip", Name: "vip", Settings: []string{"address=" + l.VIP().String(), "devices=" + Device(Public)}},
		operator.Resource{Kit: "process", Name: server, Depends: "vip", Settings: []string{"command=" + strings.Join(command, " ")}},
		operator.Resource{Kit: "http", Name: "page", Depends: server, Settings: []string{
			"url=http://" + l.Service().String() + "/", "check.interval=200ms", "check.timeout=1s"}})
}

// Starts counts the starts of the server on all nodes in their current boots.
func (l *Lab) Starts() (int, error) {
	ctx, cancel := context.WithTimeout(context.Background(), actWait)
	defer cancel()
	all := 0
	for _, n := range l.nodes {
		a, err := n.Agent()
		if err != nil {
			continue // off: its count went with the boot
		}
		starts, err := a.Starts(ctx)
		if err != nil {
			return 0, err
		}
		all += starts
	}
	return all, nil
}

// JoinAnew removes a node whose state is gone and lets it join again.
func (l *Lab) JoinAnew(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	if err := l.StopDaemon(ctx, node); err != nil && !strings.Contains(err.Error(), "doesn't run") {
		return err
	}
	return l.op.JoinAnew(ctx, n)
}

// Switchover asks the node that shall take over.
func (l *Lab) Switchover(ctx context.Context, hierarchy, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	_, err = n.Perdure(ctx, "switchover", hierarchy, "--to", node)
	return err
}

// hostOf is the host where a node lives.
func (l *Lab) hostOf(node string) (*Host, error) {
	n, err := l.Node(node)
	if err != nil {
		return nil, err
	}
	return n.host, nil
}

// nodesOn are the nodes that live on a host.
func (l *Lab) nodesOn(h *Host) []*Node {
	return slices.DeleteFunc(slices.Clone(l.nodes), func(n *Node) bool { return n.host != h })
}
