package local

import (
	"context"
	"crypto/rand"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/operator"
)

const (
	// servicePort is the web server's on each node's address; checkPort is the
	// one on the address that all share.
	servicePort, checkPort = 8080, 8081
	// perdurePort is where nodes listen on their comm path.
	perdurePort = 7400
	// hostNode is the last byte of the first node's address, hostCheck that of
	// the shared one; hostSecond comes to a node's for its second comm path.
	hostNode, hostCheck, hostSecond = 11, 100, 100
)

// Options describe a lab.
type Options struct {
	// Nodes are the names of the nodes.
	Nodes []string
	// Perdure is the path of the binary that nodes run.
	Perdure string
	// Keep leaves the directory with its logs in place at Close.
	Keep bool
}

// Lab is a running lab.
type Lab struct {
	opts  Options
	dir   string
	net   [2]byte // of 127.a.b.0/24
	nodes []*Node
	op    *operator.Cluster

	janitor *janitor
	closing sync.Once
	closed  error
}

var (
	_ fault.Power     = (*Lab)(nil)
	_ fault.Freezer   = (*Lab)(nil)
	_ fault.Processes = (*Lab)(nil)
	_ fault.Daemons   = (*Lab)(nil)
	_ fault.State     = (*Lab)(nil)
	_ fault.Switcher  = (*Lab)(nil)
	_ fault.Members   = (*Lab)(nil)
)

// New makes a lab and boots its nodes. The caller must Close it.
func New(opts Options) (lab *Lab, err error) {
	dir, err := os.MkdirTemp("", "perdure-demo-")
	if err != nil {
		return nil, fmt.Errorf("make the lab's directory: %w", err)
	}
	lab = &Lab{opts: opts, dir: dir}
	// Two labs of one machine must not meet; 127.0 to 127.63 is left to others.
	var random [2]byte
	_, _ = rand.Read(random[:]) // never fails
	lab.net = [2]byte{random[0] | 64, random[1]}
	if lab.janitor, err = startJanitor(dir); err != nil {
		return nil, errors.Join(err, os.RemoveAll(dir))
	}
	for i, name := range opts.Nodes {
		n := &Node{Name: name, lab: lab, host: byte(hostNode + i), dir: filepath.Join(dir, name)}
		lab.nodes = append(lab.nodes, n)
		if err := n.boot(); err != nil {
			return nil, errors.Join(err, lab.Close())
		}
	}
	return lab, nil
}

// Close ends all processes and leaves nothing behind, except the directory if
// Options.Keep asked for it. It may be called again.
func (l *Lab) Close() error {
	l.closing.Do(func() {
		var errs []error
		for _, n := range l.nodes {
			errs = append(errs, n.killAll(context.Background()))
		}
		errs = append(errs, l.janitor.dismiss(l.opts.Keep))
		if err := errors.Join(errs...); err != nil {
			l.closed = fmt.Errorf("close the lab: %w", err)
		}
	})
	return l.closed
}

// KeptDir is where the nodes' files are after Close, or empty.
func (l *Lab) KeptDir() string {
	if !l.opts.Keep {
		return ""
	}
	return l.dir
}

// Dir is the lab's directory.
func (l *Lab) Dir() string { return l.dir }

// Nodes returns the nodes in the order of the options.
func (l *Lab) Nodes() []*Node { return slices.Clone(l.nodes) }

// Node returns a node by name.
func (l *Lab) Node(name string) (*Node, error) {
	for _, n := range l.nodes {
		if n.Name == name {
			return n, nil
		}
	}
	return nil, fmt.Errorf("the lab has no node %q: the nodes are %v", name, l.opts.Nodes)
}

func (l *Lab) addr(host byte) netip.Addr {
	return netip.AddrFrom4([4]byte{127, l.net[0], l.net[1], host})
}

// check is the address that the server of whichever node has the service
// answers on as well: a page check is set for the cluster, not for each node.
func (l *Lab) check() netip.AddrPort { return netip.AddrPortFrom(l.addr(hostCheck), checkPort) }

// Doors lead to the service on each node.
func (l *Lab) Doors() []client.Door {
	doors := make([]client.Door, 0, len(l.nodes))
	for _, n := range l.nodes {
		doors = append(doors, client.Door{Node: n.Name, Dial: func(ctx context.Context) (net.Conn, error) {
			var d net.Dialer
			return d.DialContext(ctx, "tcp", n.service().String())
		}})
	}
	return doors
}

// BuildCluster makes one cluster of all nodes. Later boots start perdure by
// themselves.
func (l *Lab) BuildCluster(ctx context.Context, witness string, detection time.Duration) error {
	l.op = &operator.Cluster{Witness: witness, Detection: detection, Start: func(_ context.Context, n operator.Node) error {
		node := n.(*Node)
		node.mu.Lock()
		defer node.mu.Unlock()
		node.role = "guardian"
		if node.Name == witness {
			node.role = "witness"
		}
		return node.startPerdure()
	}}
	for _, n := range l.nodes {
		l.op.Nodes = append(l.op.Nodes, n)
	}
	return l.op.Build(ctx)
}

// Operator is the person at the cluster that was built.
func (l *Lab) Operator() *operator.Cluster { return l.op }
