package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/perdure-ha/perdure/internal/lab/procs"
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
	starts := 0
	for _, n := range l.nodes {
		text, err := os.ReadFile(n.site().StartsFile())
		if err != nil && !errors.Is(err, os.ErrNotExist) {
			return 0, fmt.Errorf("count starts on %s: %w", n.Name, err)
		}
		starts += strings.Count(string(text), "\n")
	}
	return starts, nil
}

// site is the web server of this node as seen from outside.
func (n *Node) site() webserver.Site {
	return webserver.Site{Node: n.Name, Dir: filepath.Join(n.RunDir(), filepath.Base(webDir))}
}

// resourceTree finds a resource's processes on a node, the main one first.
func (l *Lab) resourceTree(node, resource string) ([]int, error) {
	n, err := l.Node(node)
	if err != nil {
		return nil, err
	}
	if n.resource != resource {
		return nil, fmt.Errorf("the lab knows no resource %q on %s, only %q", resource, node, n.resource)
	}
	file := n.site().Pidfile()
	text, err := os.ReadFile(file)
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", resource, node, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: pid file %s: %w", resource, node, file, err)
	}
	all, err := n.processes()
	if err != nil {
		return nil, err
	}
	// The number may be an old one and belong to another machine's process now.
	if !slices.ContainsFunc(all, func(p procs.Process) bool { return p.PID == pid }) {
		return nil, fmt.Errorf("%s doesn't run on %s: pid %d is gone", resource, node, pid)
	}
	return procs.Tree(all, pid), nil
}

// KillResource ends a resource's processes without warning.
func (l *Lab) KillResource(_ context.Context, node, resource string, mainOnly bool) error {
	pids, err := l.resourceTree(node, resource)
	if err != nil {
		return err
	}
	if mainOnly {
		pids = pids[:1]
	}
	return procs.Signal(pids, syscall.SIGKILL)
}

// HangResource stops a resource's processes, or continues them.
func (l *Lab) HangResource(_ context.Context, node, resource string, hang bool) error {
	pids, err := l.resourceTree(node, resource)
	if err != nil {
		return err
	}
	if hang {
		return procs.Signal(pids, syscall.SIGSTOP)
	}
	return procs.Signal(pids, syscall.SIGCONT)
}

// HangWorkers stops a resource's processes except the main one.
func (l *Lab) HangWorkers(_ context.Context, node, resource string) error {
	pids, err := l.resourceTree(node, resource)
	if err != nil {
		return err
	}
	if len(pids) < 2 {
		return fmt.Errorf("%s on %s is one process alone: it has no workers", resource, node)
	}
	return procs.Signal(pids[1:], syscall.SIGSTOP)
}

// FailStart makes starts of the resource fail on a node, over boots, until
// fail is false.
func (l *Lab) FailStart(_ context.Context, node, resource string, fail bool) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	if n.resource != resource {
		return fmt.Errorf("the lab knows no resource %q on %s, only %q", resource, node, n.resource)
	}
	n.mu.Lock()
	defer n.mu.Unlock()
	n.failStart = fail
	return n.markFailStart()
}

// markFailStart writes the file that the start command looks for, or removes
// it.
func (n *Node) markFailStart() error {
	file := n.site().FailFile()
	if n.failStart {
		if err := os.WriteFile(file, nil, 0o600); err != nil {
			return fmt.Errorf("make the start fail on %s: %w", n.Name, err)
		}
		return nil
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("mend the start on %s: %w", n.Name, err)
	}
	return nil
}
