package daemon

import (
	"fmt"
	"os"
	"slices"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// TestHealth: what a node finds at its machine is agreed on, makes an event, and
// is taken back.
func TestHealth(t *testing.T) {
	n := &testNode{t: t, name: "n1", dir: t.TempDir(), addr: fmt.Sprintf("127.80.%d.1:7400", os.Getpid()%200)}
	if _, err := Init(InitOptions{StateDir: n.dir + "/state", ClusterName: "test", NodeName: n.name, Paths: n.paths(), Detection: time.Second}); err != nil {
		t.Fatal(err)
	}
	n.start()
	await(t, "a leader", 10*time.Second, func() bool { return n.d.Local().Leader != 0 })
	mark := []cluster.HealthMark{{What: "disk /", Reason: cluster.Because(message.FullDisk, "/", 97, 90)}}
	n.d.tellHealth(n.d.State().Node(1), mark)
	last := func() cluster.Entry { s := n.d.State(); return s.Timeline[len(s.Timeline)-1] }
	await(t, "the mark", 5*time.Second, func() bool { return len(n.d.State().Node(1).Health) == 1 })
	if e := last(); e.Kind != cluster.KindHealth || e.Reason.Code != message.HealthBad || e.Node != 1 || len(e.Evidence) != 1 {
		t.Errorf("%+v", e)
	}
	if !sameMarks(mark, []cluster.HealthMark{{What: "disk /", Reason: cluster.Because(message.FullDisk, "/", 98, 90)}}) {
		t.Error("one percent more is news")
	}
	n.d.tellHealth(n.d.State().Node(1), nil)
	await(t, "the end of the mark", 5*time.Second, func() bool { return len(n.d.State().Node(1).Health) == 0 })
	if e := last(); e.Reason.Code != message.HealthGood {
		t.Errorf("%+v", e)
	}
	if !slices.Contains(healthPaths(n.dir), n.dir) {
		t.Error("the node's own state is not looked at")
	}
}
