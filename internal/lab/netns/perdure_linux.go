package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"strings"
	"syscall"

	"github.com/perdure-ha/perdure/internal/lab/inside"
	"github.com/perdure-ha/perdure/internal/lab/procs"
)

// Perdure's processes, and the commands that only this lab uses; what labs share
// is in package operator.

// perdurePort is where nodes listen on each comm path.
const perdurePort = 7400

// errNoBinary says that the lab was made without a perdure to run.
var errNoBinary = errors.New("the lab has no perdure: set Options.Perdure to the path of the binary")

// Perdure runs a perdure command on a node.
func (n *Node) Perdure(ctx context.Context, args ...string) (string, error) {
	if n.lab.opts.Perdure == "" {
		return "", errNoBinary
	}
	return n.Run(ctx, append([]string{n.lab.opts.Perdure}, args...)...)
}

// PathArgs are the arguments that name a node's comm paths.
func (n *Node) PathArgs() []string {
	var args []string
	for _, network := range n.lab.opts.Networks {
		args = append(args, "--path", network+"="+netip.AddrPortFrom(n.Addr(network), perdurePort).String())
	}
	return args
}

// StartPerdure starts the guardian, which starts the daemon. A witness runs
// "witness" instead.
func (n *Node) StartPerdure(witness bool) (*Process, error) {
	if n.lab.opts.Perdure == "" {
		return nil, errNoBinary
	}
	if witness {
		return n.Start("perdure", n.lab.opts.Perdure, "witness")
	}
	return n.Start("perdure", n.lab.opts.Perdure, "guardian")
}

// PerdureProcesses are guardian and daemon, or the witness.
func (n *Node) PerdureProcesses() ([]procs.Process, error) { return n.inside().Running("") }

// KillDaemon ends the daemon (or witness) by SIGKILL.
func (l *Lab) KillDaemon(_ context.Context, node string) error {
	return l.within(node, (*inside.Node).KillDaemon)
}

// KillGuardian ends the guardian by SIGKILL.
func (l *Lab) KillGuardian(_ context.Context, node string) error {
	return l.within(node, func(n *inside.Node) error { return n.Signal("guardian", syscall.SIGKILL) })
}

// StopDaemon stops perdure in order and waits for its end.
func (l *Lab) StopDaemon(ctx context.Context, node string) error {
	return l.within(node, func(n *inside.Node) error { return n.Stop(ctx) })
}

// KeepStop stops perdure as for an upgrade, with the services left running.
func (l *Lab) KeepStop(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	if _, err := n.Perdure(ctx, "node", "stop", "--keep"); err != nil {
		return err
	}
	return n.inside().AwaitStopped(ctx)
}

// StartDaemon starts perdure again as the last boot did.
func (l *Lab) StartDaemon(ctx context.Context, node string) error {
	n, err := l.Node(node)
	if err != nil {
		return err
	}
	n.mu.Lock()
	hook := n.onBoot
	n.mu.Unlock()
	if hook == nil {
		return fmt.Errorf("start perdure on %s: the lab doesn't know how (no OnBoot)", node)
	}
	return hook(ctx, n)
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

// enterScript runs perdure on a node, or a shell without arguments; whichever
// process of the node comes first shows the way. The words are: cgroup, name,
// environment, binary.
const enterScript = `#!/bin/sh
pid=$(head -n 1 %[1]q/cgroup.procs 2>/dev/null)
[ -n "$pid" ] || { echo "%[2]s is off" >&2; exit 1; }
[ $# -gt 0 ] && set -- %[4]q "$@" || set -- "${SHELL:-/bin/sh}"
exec nsenter -t "$pid" -n -m -u env %[3]s "$@"
`

// Enter writes a script by which a person gets onto the node, and returns its
// path.
func (n *Node) Enter() (string, error) {
	path := filepath.Join(n.lab.dir, n.Name+".sh")
	text := fmt.Sprintf(enterScript, string(n.initCgroup()), n.Name, strings.Join(n.env(), " "), n.lab.opts.Perdure)
	if err := os.WriteFile(path, []byte(text), 0o700); err != nil {
		return "", fmt.Errorf("write the script for %s: %w", n.Name, err)
	}
	return path, nil
}
