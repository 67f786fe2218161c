package decide

import (
	"fmt"
	"slices"
	"strings"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// do carries out one line of a story.
func (th *theatre) do(t *testing.T, line string) {
	t.Helper()
	f := strings.Fields(line)
	arg := func(i int) string {
		if i >= len(f) {
			t.Fatalf("%q lacks a word", line)
		}
		return f[i]
	}
	lost := f[len(f)-1] == "lost"
	switch f[0] {
	case "cluster": // cluster a b w:witness
		th.setUp(f[1:])
	case "hierarchy": // hierarchy web on a b : ip nginx<ip
		th.hierarchy(t, f[1:])
	case "wait": // wait 5s
		d, err := time.ParseDuration(arg(1))
		if err != nil {
			t.Fatal(err)
		}
		th.now += d
	case "leader": // a new leader, with a new planner
		th.leader = th.id(t, arg(1))
		th.planner = NewPlanner(th.leader)
	case "deaf", "unready": // the nodes that the leader doesn't hear
		var ids []cluster.NodeID
		for _, n := range f[1:] {
			ids = append(ids, th.id(t, n))
		}
		if f[0] == "deaf" {
			th.deaf = ids
		} else {
			th.unready = ids
		}
	case "plan":
		th.plan(lost)
	case "node": // node a: let it do what it can
		th.step(th.id(t, arg(1)), lost)
	case "admit":
		th.admit(th.id(t, arg(1)))
	case "evict":
		th.evict(th.id(t, arg(1)))
	case "fenced":
		id := th.id(t, arg(1))
		th.apply(cluster.Command{Fenced: &cluster.Fenced{Node: id, Generation: th.s.Node(id).Generation, How: "power"}})
	case "leave":
		id := th.id(t, arg(1))
		th.apply(cluster.Command{Leave: &cluster.Leave{Node: id, Generation: th.s.Node(id).Generation}})
	case "unmanaged": // unmanaged a on
		id := th.id(t, arg(1))
		th.apply(cluster.Command{SetUnmanaged: &cluster.SetUnmanaged{Node: id, Generation: th.s.Node(id).Generation, On: arg(2) == "on", HandOvers: th.s.Node(id).HandOvers}})
	case "watchdog": // watchdog a 60
		var n int
		fmt.Sscan(arg(2), &n)
		th.apply(cluster.Command{SetNode: &cluster.SetNode{Node: th.id(t, arg(1)), WatchdogSeconds: &n}})
	case "maintenance": // maintenance a on: of a node
		on := arg(2) == "on"
		th.apply(cluster.Command{SetNode: &cluster.SetNode{Node: th.id(t, arg(1)), Maintenance: &on}})
	case "drain": // drain a on
		on := arg(2) == "on"
		th.apply(cluster.Command{SetNode: &cluster.SetNode{Node: th.id(t, arg(1)), Drain: &on}})
	case "cluster-maintenance": // cluster-maintenance on
		on := arg(1) == "on"
		th.apply(cluster.Command{SetCluster: &cluster.SetCluster{Maintenance: &on}})
	case "resource-maintenance": // resource-maintenance web/nginx on
		on := arg(2) == "on"
		h, r, _ := strings.Cut(arg(1), "/")
		th.apply(cluster.Command{SetResource: &cluster.SetResource{Hierarchy: h, Name: r, Maintenance: &on}})
	case "confirm": // confirm web block
		h := th.s.Hierarchy(arg(1))
		entry := uint64(0)
		if h.Failover != nil {
			entry = h.Failover.Entry
		}
		th.apply(cluster.Command{Confirm: &cluster.Confirm{Hierarchy: h.Name, Entry: entry, Answer: cluster.Answer(arg(2))}})
	case "on-failure": // on-failure a notify, on-failure web/nginx blocked to:b
		th.onFailure(t, arg(1), f[2:])
	case "host": // host a esx1
		host := arg(2)
		th.apply(cluster.Command{SetNode: &cluster.SetNode{Node: th.id(t, arg(1)), Host: &host}})
	case "leaves": // leaves a web keeps: the node is shut down
		th.actors[th.id(t, arg(1))].x.Leave(arg(2), len(f) > 3)
	case "extend": // extend web c 0
		at := -1
		if len(f) > 3 {
			fmt.Sscan(arg(3), &at)
		}
		th.apply(cluster.Command{Extend: &cluster.Extend{Hierarchy: arg(1), Node: th.id(t, arg(2)), At: at}})
	case "unextend":
		th.apply(cluster.Command{Unextend: &cluster.Unextend{Hierarchy: arg(1), Node: th.id(t, arg(2))}})
	case "depend": // depend web/nginx ip off
		h, r, _ := strings.Cut(arg(1), "/")
		th.apply(cluster.Command{SetDependency: &cluster.SetDependency{Hierarchy: h, Parent: r, Child: arg(2), On: arg(3) == "on"}})
	case "clear-node":
		th.apply(cluster.Command{Forget: &cluster.Forget{Node: th.id(t, arg(1)), All: true}})
	case "nodes": // the nodes as the state has them
		th.nodes()
	case "policy": // policy web switchback
		th.apply(cluster.Command{SetHierarchy: &cluster.SetHierarchy{Name: arg(1), Policy: th.policy(t, f[2:])}})
	case "want": // want web out
		w := cluster.WantInService
		if arg(2) == "out" {
			w = cluster.WantOutOfService
		}
		th.apply(cluster.Command{SetWant: &cluster.SetWant{Hierarchy: arg(1), Want: w}})
	case "move": // move web b
		th.apply(cluster.Command{StartMove: &cluster.StartMove{Hierarchy: arg(1), To: th.id(t, arg(2))}})
	case "clear":
		th.apply(cluster.Command{ClearFailures: &cluster.ClearFailures{Hierarchy: arg(1)}})
	case "set": // set web/nginx port=81
		h, r, _ := strings.Cut(arg(1), "/")
		k, v, _ := strings.Cut(arg(2), "=")
		th.apply(cluster.Command{SetResource: &cluster.SetResource{Hierarchy: h, Name: r, Settings: map[string]string{k: v}}})
	case "add": // add web/x<ip
		h, r, _ := strings.Cut(arg(1), "/")
		th.apply(cluster.Command{CreateResource: &cluster.CreateResource{Hierarchy: h, Resource: resourceOf(r)}})
	case "delete": // delete web/x
		h, r, _ := strings.Cut(arg(1), "/")
		th.apply(cluster.Command{DeleteResource: &cluster.DeleteResource{Hierarchy: h, Name: r}})
	case "common": // common web/x recovery=2 deep=10s
		th.common(t, arg(1), f[2:])
	case "volume": // volume data a b: made on a, extended to b, used by the resource web/fs
		th.volume(t, arg(1), f[2:])
	case "acquire": // acquire data a
		th.acquire(t, arg(1), th.id(t, arg(2)))
	case "in-sync", "behind": // in-sync data b
		th.standing(t, f[0], arg(1), th.id(t, arg(2)))
	case "lease": // lease a off
		id := th.id(t, arg(1))
		th.actors[id].x.Lease(th.instant(), arg(2) == "on")
		th.step(id, false)
	case "done": // done a start web/ip failed
		th.done(t, th.id(t, arg(1)), f[2:])
	case "ok": // ok a: all that is under way ends well, and what follows from it
		th.allWell(th.id(t, arg(1)))
	case "quietly": // as ok, without telling
		th.quiet = true
		th.allWell(th.id(t, arg(1)))
		th.quiet = false
	case "event": // event a web/nginx out of service
		h, r, _ := strings.Cut(arg(2), "/")
		id := th.id(t, arg(1))
		th.actors[id].x.Observe(th.instant(), KitEvent{Hierarchy: h, Resource: r, Health: cluster.Status(strings.Join(f[3:], " "))})
		th.step(id, false)
	case "restart": // restart a web@1 …: the daemon, which finds these guarded
		th.restart(t, th.id(t, arg(1)), f[2:])
	case "state":
		th.state()
	case "why":
		th.why(arg(1))
	case "next":
		th.printf("planner: %s", until(th.now, th.planner.Next()))
		for _, n := range th.s.Nodes {
			if a := th.actors[n.ID]; a != nil {
				th.printf("%s: %s", n.Name, until(th.now, a.x.Next()))
			}
		}
	default:
		t.Fatalf("%q is no command of a story", line)
	}
}

func (th *theatre) ids(t *testing.T, names string) []cluster.NodeID {
	var out []cluster.NodeID
	for _, n := range strings.Split(names, ",") {
		out = append(out, th.id(t, n))
	}
	return out
}

// onFailure sets what failures of a node or resource lead to, and nothing else.
func (th *theatre) onFailure(t *testing.T, of string, words []string) {
	no, none := false, []cluster.NodeID{}
	c := &cluster.FailureChange{NotifyOnly: &no, FailoverBlocked: new(bool), Targets: &none}
	for _, w := range words {
		w, v, _ := strings.Cut(w, ":")
		switch w {
		case "notify":
			yes := true
			c.NotifyOnly = &yes
		case "blocked":
			*c.FailoverBlocked = true
		case "to":
			to := th.ids(t, v)
			c.Targets = &to
		}
	}
	if h, r, ok := strings.Cut(of, "/"); ok {
		th.apply(cluster.Command{SetResource: &cluster.SetResource{Hierarchy: h, Name: r, OnFailure: c}})
		return
	}
	th.apply(cluster.Command{SetNode: &cluster.SetNode{Node: th.id(t, of), OnFailure: c}})
}

func (th *theatre) nodes() {
	for i := range th.s.Nodes {
		n := &th.s.Nodes[i]
		line := fmt.Sprintf("%s: %s, lost %d times", n.Name, n.Presence, len(n.Falls))
		if n.Quarantine != 0 {
			line += ", in quarantine"
		}
		th.printf("%s", line)
	}
}

func until(now, t time.Duration) string {
	if t == cluster.Never {
		return "never"
	}
	return fmt.Sprint("in ", t-now)
}

func resourceOf(s string) cluster.Resource {
	name, deps, ok := strings.Cut(s, "<")
	name, probe := strings.CutSuffix(name, "?")
	r := cluster.Resource{Name: name, Kit: name, Settings: map[string]string{"v": "1"}, Common: cluster.Common{Probe: probe}}
	if ok {
		r.DependsOn = strings.Split(deps, ",")
	}
	return r
}

func (th *theatre) policy(t *testing.T, words []string) *cluster.Policy {
	p := &cluster.Policy{}
	for _, w := range words {
		w, v, _ := strings.Cut(w, ":")
		switch w {
		case "confirm": // confirm:60:block
			p.ConfirmFailover = true
			n, answer, _ := strings.Cut(v, ":")
			fmt.Sscan(n, &p.ConfirmSeconds)
			p.ConfirmDefault = answer
		case "blocked":
			p.FailoverBlocked = true
		case "to":
			p.Targets = th.ids(t, v)
		case "moves":
			fmt.Sscan(v, &p.MovesPerHour)
		case "switchback":
			p.Switchback = true
		case "notify":
			p.NotifyOnly = true
		case "maintenance":
			p.Maintenance = true
		}
	}
	return p
}

// hierarchy reads: web on a b class shared-data policy notify : ip nginx<ip
func (th *theatre) hierarchy(t *testing.T, f []string) {
	c := &cluster.CreateHierarchy{Name: f[0], Want: cluster.WantInService}
	part := ""
	for _, w := range f[1:] {
		switch {
		case w == "on" || w == "class" || w == "policy" || w == ":":
			part = w
		case part == "on":
			c.Nodes = append(c.Nodes, th.id(t, w))
		case part == "class":
			c.Class = cluster.Class(w)
		case part == "policy":
			c.Policy = *th.policy(t, []string{w})
		default:
			c.Resources = append(c.Resources, resourceOf(w))
		}
	}
	th.apply(cluster.Command{CreateHierarchy: c})
}

func (th *theatre) common(t *testing.T, what string, f []string) {
	h, r, _ := strings.Cut(what, "/")
	c := th.s.Hierarchy(h).Resource(r).Common
	for _, w := range f {
		k, v, _ := strings.Cut(w, "=")
		d, _ := time.ParseDuration(v)
		switch k {
		case "recovery":
			if _, err := fmt.Sscan(v, &c.RecoveryMax); err != nil {
				t.Fatal(err)
			}
		case "deep":
			c.DeepInterval = d
		case "check":
			c.CheckInterval = d
		}
	}
	th.apply(cluster.Command{SetResource: &cluster.SetResource{Hierarchy: h, Name: r, Common: &c}})
}

// done ends the action named by act and resource: ok, failed, unclear,
// unsupported, or what a check found.
func (th *theatre) done(t *testing.T, id cluster.NodeID, f []string) {
	a := th.actors[id]
	how := strings.Join(f[2:], " ")
	i := slices.IndexFunc(a.pending, func(p Action) bool {
		return strings.ReplaceAll(string(p.Act), " ", "-") == f[0] && strings.TrimSuffix(p.Hierarchy+"/"+p.Resource, "/") == f[1]
	})
	if i < 0 {
		t.Fatalf("%s: %s %s isn't under way", th.s.NodeName(id), f[0], f[1])
	}
	r := Result{Action: a.pending[i].ID, Outcome: Succeeded}
	switch how {
	case "", "ok":
		r.Health = cluster.InService // for checks; others say nothing of health
	case "failed":
		r.Outcome, r.Reason = Failed, cluster.Because(message.SimulatedFault)
	case "unclear":
		r.Outcome = Unclear
	case "unsupported":
		r.Outcome = Unsupported
	default:
		r.Health = cluster.Status(how)
		if r.Health != cluster.InService && r.Health != cluster.OutOfService {
			r.Reason = cluster.Because(message.SimulatedFault)
		}
	}
	a.pending = slices.Delete(a.pending, i, i+1)
	a.x.Done(th.instant(), r)
	th.step(id, false)
}

// allWell ends all actions well, each 10 ms after it began, until none is left.
func (th *theatre) allWell(id cluster.NodeID) {
	th.step(id, false)
	a := th.actors[id]
	for range 100 {
		if len(a.pending) == 0 {
			return
		}
		th.now += 10 * time.Millisecond
		batch := a.pending
		a.pending = nil
		for _, p := range batch {
			r := Result{Action: p.ID, Outcome: Succeeded}
			if p.Act == Check || p.Act == DeepCheck {
				r.Health = cluster.InService
			}
			if p.Act == Recover {
				r.Outcome = Unsupported
			}
			a.x.Done(th.instant(), r)
		}
		th.step(id, false)
	}
	th.printf("%s: NEVER ENDS", th.s.NodeName(id))
}

func (th *theatre) restart(t *testing.T, id cluster.NodeID, f []string) {
	var found []Running
	for _, w := range f {
		h, e, _ := strings.Cut(w, "@")
		r := Running{Hierarchy: h}
		if _, err := fmt.Sscan(e, &r.Epoch); err != nil {
			t.Fatal(err)
		}
		found = append(found, r)
	}
	a := th.actors[id]
	a.x, a.pending = NewExecutor(id, uint64(id)), nil
	a.x.Adopt(th.instant(), found)
	th.step(id, false)
	a.x.Lease(th.instant(), true)
	th.step(id, false)
}

func (th *theatre) state() {
	for i := range th.s.Hierarchies {
		h := &th.s.Hierarchies[i]
		owner := "nobody"
		if h.Owner != 0 {
			owner = th.s.NodeName(h.Owner)
		}
		th.printf("%s: %s, owner %s, epoch %d: %s", h.Name, h.Status, owner, h.Epoch, reasonText(h.Reason))
		for j := range h.Resources {
			r := &h.Resources[j]
			th.printf("  %s: %s: %s", r.Name, r.Status, reasonText(r.Reason))
		}
		for _, f := range h.Failures {
			th.printf("  failed on %s: %s", th.s.NodeName(f.Node), reasonText(f.Reason))
		}
	}
}

func (th *theatre) why(name string) {
	for _, e := range th.s.Timeline {
		if e.Hierarchy != name && e.Kind != cluster.KindEvicted {
			continue
		}
		th.printf("%d %s: %s (from %v)", e.ID, e.Kind, reasonText(e.Reason), e.Causes)
	}
}
