package cli

import (
	"bytes"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// crowded is a cluster in which everything that a page shows is there and long.
func crowded(t *testing.T) api.View {
	t.Helper()
	s := cluster.New("c", "shop-of-the-northern-district", cluster.AddNode{Name: "database-server-alpha", Role: cluster.RoleNode,
		Paths: []cluster.Path{{Network: "replication", Address: "[fd00:1111:2222:3333::1]:7400"}}}, 1)
	must := func(c cluster.Command) {
		c.Reason = cluster.Because(message.AskedChange, "database-server-alpha")
		if r := s.Apply(s.Applied+1, &c); r.Refused() {
			t.Fatalf("%s: %v", c.Encode(), r.Refusal)
		}
	}
	l := api.Local{Self: 1, Software: "1.0.0-rc1-35-g5742e52", Leader: 1, Quorum: true, LeaseAlive: true, LeaseLeft: 2 * time.Second,
		Guarded: api.GuardState{Gate: "nftables table perdure-perdure", Watchdog: "off until the first hierarchy starts"},
		Alarms:  []cluster.Reason{cluster.Because(message.GuardianWeaker, "cgroups", "no version 2 cgroup hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup)")}}
	must(cluster.Command{Admit: &cluster.Admit{Node: 1, Session: "s"}})
	for i, name := range []string{"database-server-beta", "witness-in-the-office"} {
		role := []cluster.Role{cluster.RoleNode, cluster.RoleWitness}[i]
		id := cluster.NodeID(i + 2)
		remote := "[fd00:1111:2222:3333::" + string(rune('2'+i)) + "]:7400"
		must(cluster.Command{AddToken: &cluster.AddToken{Token: cluster.Token{Hash: name, ExpiresUnix: 9}}})
		must(cluster.Command{AddNode: &cluster.AddNode{Name: name, Role: role, TokenHash: name, Paths: []cluster.Path{{Network: "replication", Address: remote}}}})
		must(cluster.Command{Member: &cluster.Member{Node: id, As: cluster.AsVoter}})
		l.Nodes = append(l.Nodes, api.NodeHeard{Node: id, Ago: time.Duration(1-i) * time.Minute})
		for _, network := range []string{"replication", "10-20-0-0-16"} {
			l.Paths = append(l.Paths, api.PathState{Peer: id, Network: network, Local: "[fd00:1111:2222:3333::1]:7400", Remote: remote,
				State: "degraded", Sent: 123_456_789, Received: 123_456_780, Lost: 12_345, RTT: 1234 * time.Microsecond, Worst: 45 * time.Millisecond})
		}
	}
	must(cluster.Command{CreateHierarchy: &cluster.CreateHierarchy{Name: "customers-database", Nodes: []cluster.NodeID{1, 2}, Want: cluster.WantInService,
		Resources: []cluster.Resource{{Name: "postgresql", Kit: "process", DependsOn: []string{"virtual-address"}}, {Name: "virtual-address", Kit: "ip"}}}})
	must(cluster.Command{Assign: &cluster.Assign{Hierarchy: "customers-database", Node: 1, Generation: 1}})
	must(cluster.Command{Report: &cluster.Report{Hierarchy: "customers-database", Node: 1, Generation: 1, Epoch: 1, Status: cluster.Failed, Resource: "postgresql",
		Resources: []cluster.ResourceStatus{{Name: "postgresql", Status: cluster.Failed,
			Reason: cluster.Because(message.ProcessEnded, 4711, "exit status 1", "FATAL: could not open the configuration file")}}}})
	return api.View{State: s, Local: l, Report: api.Assess(s, l, time.Unix(0, 0))}
}

// TestPagesFitTheTerminal: no line is wider than the terminal, and columns are
// columns where characters take two.
func TestPagesFitTheTerminal(t *testing.T) {
	for _, lang := range []string{message.English, message.Japanese} {
		v := crowded(t)
		var out bytes.Buffer
		a := &app{lang: lang, width: 80, zone: time.UTC, term: Terminal{Out: &out, Err: &out}}
		a.printf("%s", a.statusText(&v, false))
		a.printf("%s", a.statusText(&v, true))
		s := statusPage{app: a, w: &out, v: &v}
		s.pathTable("")
		a.detectionTable(&v)
		for i := range v.State.Timeline {
			a.table(&out, "", [][]cell{a.entryRow(v.State, &v.State.Timeline[i])})
		}
		for _, l := range strings.Split(out.String(), "\n") {
			// A command is never broken, because it will be copied.
			if message.Width(l) > 80 && !strings.Contains(l, "perdure ") {
				t.Errorf("%s: %d columns: %s", lang, message.Width(l), l)
			}
		}
		if t.Failed() || testing.Verbose() {
			t.Log("\n" + out.String())
		}
	}
}
