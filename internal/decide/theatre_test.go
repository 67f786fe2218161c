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

// theatre is a cluster without anything beneath: commands are applied at once
// (unless a story loses them), and the story says how actions end.
type theatre struct {
	s       *cluster.State
	index   uint64
	now     time.Duration
	planner *Planner
	leader  cluster.NodeID
	deaf    []cluster.NodeID // not heard by the leader
	unready []cluster.NodeID
	actors  map[cluster.NodeID]*actor
	out     strings.Builder
	quiet   bool
}

// actor is a node's executor and what it asked for.
type actor struct {
	x       *Executor
	gen     cluster.Generation
	pending []Action
	guarded map[string][]cluster.Resource // by hierarchy: of the last Guard
}

func newTheatre() *theatre { return &theatre{index: 1, actors: map[cluster.NodeID]*actor{}} }

func (th *theatre) flush() string {
	s := th.out.String()
	th.out.Reset()
	return s
}

func (th *theatre) printf(format string, args ...any) {
	if !th.quiet {
		fmt.Fprintf(&th.out, format+"\n", args...)
	}
}

func (th *theatre) instant() cluster.Instant { return cluster.Instant{Mono: th.now, Boot: th.now} }

func (th *theatre) id(t *testing.T, name string) cluster.NodeID {
	t.Helper()
	n := th.s.NodeByName(name)
	if n == nil {
		t.Fatalf("no node %q", name)
	}
	return n.ID
}

// setUp makes a cluster whose nodes are all admitted; name:witness hosts nothing.
func (th *theatre) setUp(names []string) {
	role := func(name string) (string, cluster.Role) {
		if n, ok := strings.CutSuffix(name, ":witness"); ok {
			return n, cluster.RoleWitness
		}
		return name, cluster.RoleNode
	}
	first, r := role(names[0])
	th.s = cluster.New("c", "test", cluster.AddNode{Name: first, Role: r}, 0)
	for i, name := range names[1:] {
		name, r := role(name)
		token := fmt.Sprint("token", i)
		th.apply(cluster.Command{AddToken: &cluster.AddToken{Token: cluster.Token{Hash: token, ExpiresUnix: 1}}})
		th.apply(cluster.Command{AddNode: &cluster.AddNode{Name: name, Role: r, TokenHash: token}})
	}
	for _, n := range slices.Clone(th.s.Nodes) {
		if n.ID != 1 {
			th.apply(cluster.Command{Member: &cluster.Member{Node: n.ID, As: cluster.AsVoter}})
		}
		th.admit(n.ID)
	}
	th.leader, th.planner = 1, NewPlanner(1)
}

func (th *theatre) admit(id cluster.NodeID) {
	n := th.s.Node(id)
	th.apply(cluster.Command{Admit: &cluster.Admit{Node: id, Session: fmt.Sprint("session", th.index), Previous: n.Generation}})
	a := th.actors[id]
	if a == nil {
		a = &actor{x: NewExecutor(id, uint64(id)), guarded: make(map[string][]cluster.Resource)}
		a.x.Lease(th.instant(), true)
		th.actors[id] = a
	}
	a.gen = th.s.Node(id).Generation
}

func (th *theatre) evict(id cluster.NodeID) {
	n := th.s.Node(id)
	th.apply(cluster.Command{Evict: &cluster.Evict{Node: id, Generation: n.Generation, Conf: th.s.Conf, Promises: th.s.Voters}})
}

func (th *theatre) apply(c cluster.Command) cluster.Result {
	th.index++
	res := th.s.Apply(th.index, &c)
	if res.Refused() {
		th.printf("  refused: %s", reasonText(res.Refusal))
	}
	return res
}

func reasonText(r cluster.Reason) string {
	if r.Code == "" {
		return "(no reason)"
	}
	return message.Reason{Code: r.Code, Args: r.Args}.Text(message.English)
}

// plan lets the leader plan; lost commands are not applied.
func (th *theatre) plan(lost bool) {
	for range 10 {
		var views []View
		for _, n := range th.s.Nodes {
			v := View{Node: n.ID, Reachable: !slices.Contains(th.deaf, n.ID)}
			if slices.Contains(th.unready, n.ID) {
				v.Readiness = NotReady
			}
			views = append(views, v)
		}
		commands := th.planner.Step(th.instant(), th.s, views)
		for _, c := range commands {
			th.command("planner", c, lost)
		}
		if len(commands) == 0 || lost {
			break
		}
	}
}

func (th *theatre) command(who string, c cluster.Command, lost bool) {
	what := describe(th.s, &c)
	if lost {
		what += " (lost)"
	}
	th.printf("%s: %s", who, what)
	th.printf("  because %s", reasonText(c.Reason))
	for _, e := range c.Evidence {
		th.printf("  - %s", reasonText(e.Reason))
	}
	if len(c.Causes) == 0 && th.s.Hierarchies != nil && c.Note == nil && !(c.Report != nil && c.Report.Quiet) {
		th.printf("  NO CAUSES")
	}
	if !lost {
		th.apply(c)
	}
}

func describe(s *cluster.State, c *cluster.Command) string {
	switch {
	case c.Assign != nil:
		return fmt.Sprintf("assign %s to %s (epoch %d)", c.Assign.Hierarchy, s.NodeName(c.Assign.Node), c.Assign.Previous+1)
	case c.Retry != nil:
		return fmt.Sprintf("retry %s settled=%v", c.Retry.Hierarchy, c.Retry.Settled)
	case c.StartMove != nil:
		return fmt.Sprintf("move %s to %s", c.StartMove.Hierarchy, s.NodeName(c.StartMove.To))
	case c.CancelMove != nil:
		return fmt.Sprintf("cancel the move of %s", c.CancelMove.Hierarchy)
	case c.Confirm != nil:
		return fmt.Sprintf("answer for %s: %s", c.Confirm.Hierarchy, c.Confirm.Answer)
	case c.Extended != nil:
		return fmt.Sprintf("extended %s to %s: %v", c.Extended.Hierarchy, s.NodeName(c.Extended.Node), c.Extended.OK)
	case c.Forget != nil && c.Forget.Node != 0:
		return fmt.Sprintf("forget %d falls of %s, end its quarantine: %v", len(c.Forget.Entries), s.NodeName(c.Forget.Node), c.Forget.Release != 0)
	case c.Forget != nil:
		return fmt.Sprintf("forget %d moves of %s", len(c.Forget.Entries), c.Forget.Hierarchy)
	case c.Fenced != nil:
		return fmt.Sprintf("fenced %s by %s", s.NodeName(c.Fenced.Node), c.Fenced.How)
	case c.Note != nil:
		return fmt.Sprintf("note %q %s", c.Note.Kind, c.Note.Hierarchy)
	case c.Report != nil:
		var rs []string
		for _, r := range c.Report.Resources {
			rs = append(rs, r.Name+" "+string(r.Status))
		}
		quiet := ""
		if c.Report.Quiet {
			quiet = " quietly"
		}
		if c.Report.Keeps {
			quiet += " for its return"
		}
		return fmt.Sprintf("report%s %s %s (%s)", quiet, c.Report.Hierarchy, c.Report.Status, strings.Join(rs, ", "))
	}
	return "?"
}

// step lets a node's executor do what it can without any action ending.
func (th *theatre) step(id cluster.NodeID, lost bool) {
	a := th.actors[id]
	for range 20 {
		g := cluster.Generation(0)
		if n := th.s.Node(id); n != nil && n.Generation == a.gen && (n.Presence == cluster.Present || n.Presence == cluster.Unmanaged) {
			g = a.gen
		}
		a.x.SetState(th.instant(), th.s, g)
		actions, commands := a.x.Step(th.instant())
		for _, act := range actions {
			th.printf("%s: %s", th.s.NodeName(id), describeAction(&act))
			if act.Reason.Code == "" {
				th.printf("  NO REASON")
			}
			if act.Act == Guard {
				a.guarded[act.Hierarchy] = act.Specs
			}
			if act.Act == Start && !slices.ContainsFunc(a.guarded[act.Hierarchy], func(g cluster.Resource) bool {
				return g.Name == act.Resource && sameThing(&g, &act.Spec)
			}) {
				th.printf("  NOT GUARDED")
			}
			// A later action ends an earlier one.
			a.pending = slices.DeleteFunc(a.pending, func(b Action) bool {
				return b.Hierarchy == act.Hierarchy && (b.Resource == act.Resource || act.Act == Kill && act.Resource == "") && act.Act != Announce
			})
			a.pending = append(a.pending, act)
		}
		for _, c := range commands {
			th.command(th.s.NodeName(id), c, lost)
		}
		if len(actions)+len(commands) == 0 || lost {
			return
		}
	}
	th.printf("%s: DOESN'T COME TO REST", th.s.NodeName(id))
}

func describeAction(a *Action) string {
	s := fmt.Sprintf("%s %s", a.Act, a.Hierarchy)
	if a.Resource != "" {
		s += "/" + a.Resource
	}
	if a.Act == Start {
		s += fmt.Sprintf(" after %q", a.How)
	}
	if a.Act == Check || a.Act == DeepCheck {
		return s
	}
	return s + ": " + reasonText(a.Reason)
}
