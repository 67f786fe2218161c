package local

import (
	"context"
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/perdure-ha/perdure/internal/lab/operator"
	"github.com/perdure-ha/perdure/internal/lab/procs"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// startScript starts the server of whichever node runs it: the command of a
// resource is the same on all nodes. The entry of the environment is
// RUN/resources/HIERARCHY/RESOURCE.
const startScript = "exec /bin/sh \"${PERDURE_SERVICE%/resources/*}/web/start\"\n"

// Protect makes the hierarchy of the service on these nodes: server and page
// check.
func (l *Lab) Protect(ctx context.Context, hierarchy, resource string, server webserver.Server, nodes []string) error {
	script := filepath.Join(l.dir, "start")
	if err := os.WriteFile(script, []byte(startScript), 0o600); err != nil {
		return fmt.Errorf("write the start script: %w", err)
	}
	for _, n := range l.nodes {
		n.mu.Lock()
		n.resource = resource
		n.furnish = func() error {
			site := n.site()
			if err := os.MkdirAll(site.Dir, 0o700); err != nil {
				return fmt.Errorf("make the web server's directory on %s: %w", n.Name, err)
			}
			_, err := server.Prepare(site, "")
			return err
		}
		err := n.furnish()
		n.mu.Unlock()
		if err != nil {
			return err
		}
	}
	return l.op.Protect(ctx, hierarchy, nodes,
		operator.Resource{Kit: "process", Name: resource, Settings: []string{"command=/bin/sh " + script}},
		operator.Resource{Kit: "http", Name: "page", Depends: resource, Settings: []string{
			"url=http://" + l.check().String() + "/", "check.interval=200ms", "check.timeout=1s"}})
}

func (n *Node) site() webserver.Site {
	return webserver.Site{Node: n.Name, Dir: filepath.Join(n.RunDir(), "web"), Listen: n.service(), Check: n.lab.check()}
}

// Starts counts the starts of the web server on all nodes in their current boots.
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

// resourceTree finds a resource's processes on a node, the main one first.
func (l *Lab) resourceTree(node, resource string) ([]int, error) {
	n, err := l.Node(node)
	if err != nil {
		return nil, err
	}
	if n.resource != resource {
		return nil, fmt.Errorf("the lab knows no resource %q on %s, only %q", resource, node, n.resource)
	}
	text, err := os.ReadFile(n.site().Pidfile())
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: %w", resource, node, err)
	}
	pid, err := strconv.Atoi(strings.TrimSpace(string(text)))
	if err != nil {
		return nil, fmt.Errorf("find %s on %s: pid file: %w", resource, node, err)
	}
	all, err := n.processes()
	if err != nil {
		return nil, err
	}
	// The number may be an old one and belong to somebody else now.
	if !slices.Contains(procs.IDs(all), pid) {
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

// FailStart makes starts of the resource fail on a node, over boots, until fail
// is false.
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

func (n *Node) markFailStart() error {
	file := n.site().FailFile()
	if n.failStart {
		return os.WriteFile(file, nil, 0o600)
	}
	if err := os.Remove(file); err != nil && !errors.Is(err, os.ErrNotExist) {
		return fmt.Errorf("mend the start on %s: %w", n.Name, err)
	}
	return nil
}
