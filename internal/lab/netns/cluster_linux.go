package netns

import (
	"context"
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
	l.op = &operator.Cluster{Witness: o.Witness, Detection: o.Detection, Start: func(ctx context.Context, n operator.Node) error {
		node := n.(*Node)
		start := func(context.Context, *Node) error {
			_, err := node.StartPerdure(node.Name == o.Witness)
			return err
		}
		node.OnBoot(start)
		return start(ctx, node)
	}}
	for _, n := range l.nodes {
		l.op.Nodes = append(l.op.Nodes, n)
	}
	return l.op.Build(ctx)
}

// Operator is the person at the cluster that was built.
func (l *Lab) Operator() *operator.Cluster { return l.op }

// JoinAnew removes a node whose state is gone and lets it join again.
func (l *Lab) JoinAnew(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	running, err := n.PerdureProcesses()
	if err != nil {
		return err
	}
	if len(running) > 0 {
		if err := l.StopDaemon(ctx, node); err != nil {
			return err
		}
	}
	return l.op.JoinAnew(ctx, n)
}

// Protect makes the hierarchy of the service: address, server, page check, with
// more settings of that than its address.
func (l *Lab) Protect(ctx context.Context, hierarchy, server string, argv []string, nodes []string, check ...string) error {
	device := l.nodes[0].Device(l.opts.Networks[0])
	return l.op.Protect(ctx, hierarchy, nodes,
		operator.Resource{Kit: "ip", Name: "vip", Settings: []string{"address=" + l.VIP().String(), "devices=" + device}},
		operator.Resource{Kit: "process", Name: server, Depends: "vip", Settings: []string{"command=" + strings.Join(argv, " ")}},
		operator.Resource{Kit: "http", Name: "page", Depends: server, Settings: append([]string{
			"url=http://" + l.Service().String() + "/"}, check...)})
}
