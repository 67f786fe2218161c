package daemon

import (
	"fmt"
	"os"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestRejoin: a node loses its log and comes back under a new id, though the
// answer to its first request was lost and another id was given for nothing.
func TestRejoin(t *testing.T) {
	var nodes []*testNode
	for i := range 3 {
		nodes = append(nodes, &testNode{t: t, name: fmt.Sprintf("r%d", i+1), dir: t.TempDir(), addr: fmt.Sprintf("127.78.%d.%d:7400", os.Getpid()%200, i+1)})
	}
	first, last := nodes[0], nodes[2]
	if _, err := Init(InitOptions{StateDir: first.dir + "/state", ClusterName: "test", NodeName: first.name, Paths: first.paths(), Detection: time.Second}); err != nil {
		t.Fatal(err)
	}
	first.start()
	await(t, "a leader", 5*time.Second, func() bool { return first.d.Local().Leader != 0 && len(first.d.State().Nodes) == 1 })
	for _, n := range nodes[1:] {
		token, err := first.d.CreateToken(t.Context(), cluster.RoleNode, time.Minute)
		if err != nil {
			t.Fatal(err)
		}
		if _, err := Join(t.Context(), JoinOptions{StateDir: n.dir + "/state", Token: token, NodeName: n.name, Role: cluster.RoleNode, Paths: n.paths()}); err != nil {
			t.Fatal(err)
		}
		n.start()
	}
	whole := func() bool {
		s := first.d.State()
		n := s.NodeByName(last.name)
		return len(s.Nodes) == 3 && len(s.Voters) == 3 && n != nil && n.Presence == cluster.Present
	}
	await(t, "three nodes with votes", 20*time.Second, whole)
	old := first.d.State().NodeByName(last.name)

	last.stop()
	if err := os.RemoveAll(last.dir + "/state/" + logDir); err != nil {
		t.Fatal(err)
	}
	res, err := first.d.Propose(t.Context(), cluster.Command{Rejoin: &cluster.Rejoin{Old: old.ID, HeartbeatKey: old.HeartbeatKey}})
	if err != nil || res.Refused() {
		t.Fatalf("the request whose answer is lost: %v %v", err, res.Refusal)
	}
	last.start()
	await(t, "the node back under a new id", 20*time.Second, whole)
	if n := first.d.State().NodeByName(last.name); n.ID <= res.Node {
		t.Errorf("it is %v, after %v and %v", n.ID, old.ID, res.Node)
	}
}
