package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"

	"github.com/perdure-ha/perdure/internal/lab/inside"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// webDir is the web server's directory as nodes see it.
const webDir = "/run/web"

// UseWeb puts a web server's files on all nodes, now and at every boot, and
// returns the command that starts it in the foreground; the same on every node,
// as in a real cluster. The server listens on the service's address only,
// or on all if anywhere is set. resource is the name by which faults know it.
func (l *Lab) UseWeb(resource string, server webserver.Server, anywhere bool) (argv []string, err error) {
	if resource == "" {
		return nil, errors.New("use a web server: the resource needs a name")
	}
	listen := l.Service()
	if anywhere {
		listen = netip.AddrPortFrom(netip.IPv4Unspecified(), l.opts.Port)
		if l.opts.IPv6 {
			listen = netip.AddrPortFrom(netip.IPv6Unspecified(), l.opts.Port)
		}
	}
	for _, n := range l.nodes {
		n.mu.Lock()
		n.resource = resource
		n.furnishWeb = func() (err error) {
			site := n.site()
			site.Listen = listen
			if err := os.MkdirAll(site.Dir, 0o700); err != nil {
				return fmt.Errorf("make the web server's directory on %s: %w", n.Name, err)
			}
			argv, err = server.Prepare(site, webDir)
			return err
		}
		err = n.furnishWeb()
		n.mu.Unlock()
		if err != nil {
			return nil, err
		}
	}
	return argv, nil
}

// Starts counts the starts of the web server on all nodes in their current
// boots.
func (l *Lab) Starts() (int, error) {
	all := 0
	for _, n := range l.nodes {
		starts, err := n.inside().Starts()
		if err != nil {
			return 0, err
		}
		all += starts
	}
	return all, nil
}

// site is the web server of this node as seen from outside.
func (n *Node) site() webserver.Site {
	return webserver.Site{Node: n.Name, Dir: filepath.Join(n.RunDir(), filepath.Base(webDir))}
}

// inside is the node as its own processes and files.
func (n *Node) inside() *inside.Node {
	return &inside.Node{Name: n.Name, Perdure: n.lab.opts.Perdure, StateDir: n.StateDir(), SavedDir: filepath.Join(n.dir, "state.saved"),
		Resource: n.resource, Site: n.site(), Processes: n.processes}
}

// within does something inside a node.
func (l *Lab) within(node string, do func(*inside.Node) error) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	return do(n.inside())
}

// KillResource ends a resource's processes without warning.
func (l *Lab) KillResource(_ context.Context, node, resource string, mainOnly bool) error {
	return l.within(node, func(n *inside.Node) error { return n.Kill(resource, mainOnly) })
}

// HangResource stops a resource's processes, or continues them.
func (l *Lab) HangResource(_ context.Context, node, resource string, hang bool) error {
	return l.within(node, func(n *inside.Node) error { return n.Hang(resource, hang) })
}

// HangWorkers stops a resource's processes except the main one.
func (l *Lab) HangWorkers(_ context.Context, node, resource string) error {
	return l.within(node, func(n *inside.Node) error { return n.HangWorkers(resource) })
}

// FailStart makes starts of the resource fail on a node, over boots, until
// fail is false.
func (l *Lab) FailStart(_ context.Context, node, resource string, fail bool) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failStart = fail
	return n.inside().FailStart(resource, fail)
}

// markFailStart tells a new boot.
func (n *Node) markFailStart() error { return n.inside().FailStart(n.resource, n.failStart) }
