package e2e

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// settle bounds the wait for anything that a healthy cluster does by itself.
const settle = 15 * time.Second

// begin makes a cluster with a first node that runs.
func begin(t *testing.T, m *machine) {
	t.Helper()
	m.must(t, append([]string{"init", "--name", "shop", "--node", m.name, "--detection", "1s"}, m.paths()...)...)
	m.on(t, cluster.RoleNode)
	m.admitted(t)
}

// admitted waits until the node is in the cluster.
func (m *machine) admitted(t *testing.T) {
	t.Helper()
	until(t, m.name+" is admitted", settle, func() error {
		v, err := m.view()
		if err != nil {
			return err
		}
		n := v.State.NodeByName(m.name)
		if n == nil || n.Role == cluster.RoleNode && n.Presence != cluster.Present {
			return fmt.Errorf("%+v\n%s", n, m.tail(5))
		}
		return nil
	})
}

// token makes a join token on the machine.
func (m *machine) token(t *testing.T, role cluster.Role) string {
	t.Helper()
	return strings.TrimSpace(m.must(t, "token", "create", "--role", string(role)))
}

// join makes the machine a part of a cluster and starts it.
func (m *machine) join(t *testing.T, token string, role cluster.Role) {
	t.Helper()
	m.must(t, append([]string{"join", token, "--node", m.name, "--role", string(role)}, m.paths()...)...)
	m.on(t, role)
	m.admitted(t)
}

// form makes a cluster of nodes with votes.
func form(t *testing.T, network int, names ...string) []*machine {
	t.Helper()
	var all []*machine
	for i, name := range names {
		m := newMachine(t, name, network, i+1)
		all = append(all, m)
		if i == 0 {
			begin(t, m)
		} else {
			m.join(t, all[0].token(t, cluster.RoleNode), cluster.RoleNode)
		}
	}
	voters(t, all[0], len(names))
	return all
}

// voters waits until as many vote and answer.
func voters(t *testing.T, m *machine, n int) {
	t.Helper()
	until(t, fmt.Sprintf("%d votes", n), settle, func() error {
		v, err := m.view()
		if err == nil && (v.Report.Quorum.Voters != n || v.Report.Quorum.Answering != n) {
			err = fmt.Errorf("%+v", v.Report.Quorum)
		}
		return err
	})
}

// protect brings a program in service that writes its process id to a file of
// the node's where it runs, and returns that file.
func protect(t *testing.T, m *machine, hierarchy string, nodes ...string) string {
	t.Helper()
	file := filepath.Join(t.TempDir(), hierarchy+".pid")
	m.must(t, "hierarchy", "create", hierarchy, "--nodes", strings.Join(nodes, ","))
	m.must(t, "resource", "create", "process", hierarchy+"-web", "-H", hierarchy,
		fmt.Sprintf(`command=/bin/sh -c "echo $$ > %s; exec sleep 100000"`, file), "stop.grace=1s")
	m.must(t, "hierarchy", "start", hierarchy)
	servicePID(t, file)
	return file
}

// servicePID is the process id of a service that runs.
func servicePID(t *testing.T, file string) int {
	t.Helper()
	pid := 0
	until(t, "the service runs", settle, func() error {
		b, err := os.ReadFile(file)
		if err != nil {
			return err
		}
		pid, err = strconv.Atoi(strings.TrimSpace(string(b)))
		if err == nil && !alive(pid) {
			err = fmt.Errorf("process %d doesn't run", pid)
		}
		return err
	})
	return pid
}

// owner is where a hierarchy is.
func (m *machine) owner(hierarchy string) (string, error) {
	v, err := m.view()
	if err != nil {
		return "", err
	}
	h := v.State.Hierarchy(hierarchy)
	if h == nil || !h.Status.Serving() {
		return "", fmt.Errorf("hierarchy %s: %+v", hierarchy, h)
	}
	return v.State.NodeName(h.Owner), nil
}

// servedBy waits until a node has the hierarchy in service.
func servedBy(t *testing.T, m *machine, hierarchy, node string) {
	t.Helper()
	until(t, hierarchy+" in service on "+node, settle, func() error {
		got, err := m.owner(hierarchy)
		if err == nil && got != node {
			err = fmt.Errorf("it is on %q", got)
		}
		return err
	})
}
