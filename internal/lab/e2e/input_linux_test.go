package e2e

import (
	"strings"
	"testing"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// TestBadInput types everything wrong at a cluster in service.
func TestBadInput(t *testing.T) {
	s := &shop{nodes: form(t, 1, "a", "b", "c")}
	w := newMachine(t, "w", 1, 9)
	w.join(t, s.nodes[0].token(t, cluster.RoleWitness), cluster.RoleWitness)
	s.nodes = append(s.nodes, w)
	a := s.nodes[0]
	s.service = protect(t, a, "app", "a", "b")
	a.must(t, "hierarchy", "create", "idle")
	for _, c := range []struct {
		name, code string
		words      []string
		command    string
	}{
		{"unknown command", "PD7201", []string{`did you mean "status"`}, "stauts"},
		{"unknown kit", "PD3904", []string{"there is no kit proces", "process"}, "resource create proces x -H app command=/bin/true"},
		{"unknown setting", "", []string{"did you mean stop.grace"}, "resource create process x -H app command=/bin/true stop.grase=1s"},
		{"missing setting", "", []string{"needs the setting command"}, "resource create process x -H app"},
		{"bad value", "", []string{"check.interval"}, "resource create process x -H app command=/bin/true check.interval=often"},
		{"cycle", "", []string{"circle"}, "resource create process x -H app command=/bin/true -d app-web -p app-web"},
		{"unknown dependency", "", []string{"app-wbe", "did you mean app-web"}, "resource create process x -H app command=/bin/true -d app-wbe"},
		{"name taken by a hierarchy", "", []string{"app exists already"}, "hierarchy create app"},
		{"name taken by a resource", "", []string{"app-web"}, "resource create process app-web -H app command=/bin/true"},
		{"unknown hierarchy", "", []string{"did you mean app"}, "resource create process x -H ap command=/bin/true"},
		{"unknown hierarchy of start", "", []string{"ape", "did you mean app"}, "hierarchy start ape"},
		{"unknown hierarchy of why", "", []string{"did you mean app"}, "why ap"},
		{"unknown hierarchy of switchover", "", []string{"did you mean app"}, "switchover ap"},
		{"unknown node of switchover", "", []string{"there is no node bb", "did you mean b"}, "switchover app --to bb"},
		{"unknown node of remove", "", []string{"there is no node z"}, "node remove zz -y"},
		{"unknown node of show", "", []string{"there is no node"}, "node show aa"},
		{"unknown node of a hierarchy", "", []string{"there is no node aa", "did you mean a"}, "hierarchy create h2 --nodes aa,b"},
		{"unknown resource", "", []string{"app-wep"}, "resource show app-wep"},
		{"unknown resource of delete", "", []string{"nothing"}, "resource delete nothing"},
		{"switchover to a witness", "", []string{"w"}, "switchover app --to w"},
		{"hierarchy on a witness", "", []string{"w"}, "hierarchy create h2 --nodes a,w"},
		{"switchover to where it is", "", []string{"on node a already"}, "switchover app --to a"},
		{"switchover to a node that is not extended to", "", []string{"not extended to node c"}, "switchover app --to c"},
		{"switchover of what is out of service", "", []string{"idle"}, "switchover idle --to b"},
		{"nothing to cancel", "PD3017", []string{"app"}, "switchover app --cancel"},
		{"removal of an owner", "PD7012", []string{"node a can't remove itself"}, "node remove a -y"},
		{"delete in service", "", []string{"not out of service"}, "hierarchy delete app"},
		{"stop of another node", "", []string{"on b: perdure node stop"}, "node stop b"},
		{"nothing waits for fencing", "PD7233", []string{"b"}, "node fenced b -y"},
		{"unconfirmed", "PD7217", []string{"nothing was done"}, "node remove b"},
		{"detection time too short", "PD2001", []string{"100 ms is below the minimum 300 ms", "heartbeat 100 ms / 20 = 5 ms"}, "quorum detection 100ms"},
		{"detection time too long", "PD2008", []string{"above the maximum 2 min"}, "quorum detection 1h"},
		{"no detection time", "PD7014", []string{"soon"}, "quorum detection soon"},
		{"no address", "", []string{"not an address"}, "path set lan=300.1.1.1"},
		{"two addresses in one network", "", []string{"lan"}, "path set lan=127.1.1.1 lan=127.1.1.2"},
		{"address of another node", "", []string{"belongs to node b"}, "path set lan=" + address(1, 2)},
		{"token for too short", "PD7004", nil, "token create --valid 3s"},
		{"name with a path", "", []string{"can't be a name"}, "hierarchy create ../../etc/passwd"},
		{"name of a flag", "", []string{"can't be a name"}, "hierarchy create -- -rf"},
		{"hostile resource name", "", []string{"can't be a name"}, "resource create process ../x -H app command=/bin/true"},
		{"no socket of a daemon", "PD7001", []string{"no daemon answers at", "systemctl start perdure"}, "status --run-dir /nonexistent/run"},
	} {
		t.Run(c.name, func(t *testing.T) { s.refuses(t, a, c.code, c.words, strings.Fields(c.command)...) })
	}

	t.Run("hostile values", func(t *testing.T) { hostile(t, s) })
	t.Run("duplicate address", func(t *testing.T) { duplicateAddress(t, s) })
	t.Run("start without nodes", func(t *testing.T) { startWithoutNodes(t, s) })
	t.Run("join", func(t *testing.T) { joins(t, s) })
	t.Run("two at once", func(t *testing.T) { twoAtOnce(t, s) })
	t.Run("interrupted", func(t *testing.T) { interrupted(t, s) })
	t.Run("failed node", func(t *testing.T) { failedNode(t, s) })
	t.Run("garbage", func(t *testing.T) { garbage(t, s) })
}
