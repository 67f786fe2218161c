package daemon

import (
	"context"
	"errors"
	"fmt"
	"io"
	"log/slog"
	"net/http"
	"os"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/guardian"
	"github.com/perdure-ha/perdure/internal/pki"
)

// testNode is a daemon in this process, with a guardian that closes no gate.
type testNode struct {
	t    *testing.T
	name string
	dir  string
	addr string
	d    *Daemon
	end  context.CancelFunc
	done chan error
}

func (n *testNode) paths() []cluster.Path {
	return []cluster.Path{{Network: "lan", Address: n.addr}}
}

func (n *testNode) start() {
	n.t.Helper()
	ctx, cancel := context.WithCancel(context.Background())
	local, client := guardian.NewLocal(time.Second, slog.New(slog.DiscardHandler))
	log := slog.New(slog.NewTextHandler(os.Stderr, &slog.HandlerOptions{Level: slog.LevelInfo}))
	cfg := Config{StateDir: n.dir + "/state", RunDir: n.dir + "/run", Software: "test", Guard: client, Instance: n.name, Log: log}
	d, err := open(ctx, cfg)
	if errors.Is(err, errRejoined) {
		d, err = open(ctx, cfg)
	}
	if err != nil {
		n.t.Fatal(err)
	}
	n.d, n.end, n.done = d, cancel, make(chan error, 1)
	go func() {
		n.done <- d.run()
		_ = client.Close()
		local.Close()
	}()
	n.t.Cleanup(n.stop)
}

func (n *testNode) stop() {
	if n.end == nil {
		return
	}
	n.end()
	n.end = nil
	select {
	case err := <-n.done:
		if err != nil {
			n.t.Errorf("%s ended: %v", n.name, err)
		}
	case <-time.After(20 * time.Second):
		n.t.Errorf("%s does not end", n.name)
	}
}

// await polls until the condition holds.
func await(t *testing.T, what string, within time.Duration, cond func() bool) {
	t.Helper()
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	deadline := time.After(within)
	for !cond() {
		select {
		case <-tick.C:
		case <-deadline:
			t.Fatalf("not within %v: %s", within, what)
		}
	}
}

// TestThreeNodes forms a cluster by token, brings a real server in service,
// loses its node, and finds it on another one.
func TestThreeNodes(t *testing.T) {
	nodes := make([]*testNode, 3)
	for i := range nodes {
		nodes[i] = &testNode{t: t, name: fmt.Sprintf("n%d", i+1), dir: t.TempDir(), addr: fmt.Sprintf("127.77.%d.%d:7400", os.Getpid()%200, i+1)}
	}
	first := nodes[0]
	if _, err := Init(InitOptions{StateDir: first.dir + "/state", ClusterName: "test", NodeName: first.name, Paths: first.paths(), Detection: time.Second}); err != nil {
		t.Fatal(err)
	}
	first.start()
	await(t, "a leader", 5*time.Second, func() bool { return first.d.Local().Leader != 0 && len(first.d.State().Nodes) == 1 })
	ctx := t.Context()
	for _, n := range nodes[1:] {
		token, err := first.d.CreateToken(ctx, cluster.RoleNode, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Join(ctx, JoinOptions{StateDir: n.dir + "/state", Token: token, NodeName: n.name, Role: cluster.RoleNode, Paths: n.paths()}); err != nil {
			t.Fatal(err)
		}
		if _, err := Join(ctx, JoinOptions{StateDir: t.TempDir() + "/x", Token: token, NodeName: "thief", Role: cluster.RoleNode, Paths: []cluster.Path{{Network: "lan", Address: "127.77.0.9:7400"}}}); err == nil {
			t.Fatal("a token was used twice")
		}
		n.start()
	}
	await(t, "three votes and three admissions", 15*time.Second, func() bool {
		s := first.d.State()
		if len(s.Voters) != 3 {
			return false
		}
		for _, n := range s.Nodes {
			if n.Presence != cluster.Present {
				return false
			}
		}
		return true
	})
	port := 20000 + os.Getpid()%10000
	cmd := fmt.Sprintf("/usr/bin/env python3 -m http.server %d --bind 127.0.0.1", port)
	claims, common, settings, err := kits{}.Parse("process", map[string]string{"command": cmd, "ready.tcp": fmt.Sprintf("127.0.0.1:%d", port)})
	if err != nil {
		t.Fatal(err)
	}
	res, err := nodes[2].d.Propose(ctx, cluster.Command{CreateHierarchy: &cluster.CreateHierarchy{
		Name: "web", Nodes: []cluster.NodeID{1, 2, 3}, Want: cluster.WantInService,
		Resources: []cluster.Resource{{Name: "server", Kit: "process", Settings: settings, Common: common, Claims: claims}},
	}})
	if err != nil || res.Refused() {
		t.Fatalf("create the hierarchy: %v %v", err, res.Refusal)
	}
	served := func() bool {
		r, err := http.Get(fmt.Sprintf("http://127.0.0.1:%d/", port))
		if err != nil {
			return false
		}
		defer r.Body.Close()
		_, _ = io.Copy(io.Discard, r.Body)
		return r.StatusCode == 200
	}
	await(t, "the server answers", 10*time.Second, served)
	await(t, "in service on n1", 5*time.Second, func() bool {
		h := first.d.State().Hierarchy("web")
		return h.Status == cluster.InService && h.Owner == 1
	})
	// A switchover.
	if res, err := first.d.Propose(ctx, cluster.Command{StartMove: &cluster.StartMove{Hierarchy: "web", To: 2}}); err != nil || res.Refused() {
		t.Fatalf("switchover: %v %v", err, res.Refusal)
	}
	await(t, "in service on n2", 10*time.Second, func() bool {
		h := first.d.State().Hierarchy("web")
		return h.Status == cluster.InService && h.Owner == 2
	})
	await(t, "the server answers after the switchover", 5*time.Second, served)
	for _, e := range first.d.State().Timeline {
		t.Log(e.ID, e.Kind, e.Hierarchy, e.Node, e.Reason.Code, strings.Join(e.Reason.Args, " "))
	}
	_ = pki.Token{}
}
