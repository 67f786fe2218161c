package decide

import (
	"cmp"
	"fmt"
	"math/rand/v2"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// toyWorld is three nodes, each with its own copy of the state that lags, and
// resources that are a bool. Fault model: a command may be committed late, out
// of order, twice or never; an action may fail, give no answer, or be forgotten
// with its daemon; a process may end at any time. A lease ends at any time, and
// a node is evicted only while it has none.
type toyWorld struct {
	seed    uint64
	rand    *rand.Rand
	now     time.Duration
	log     []cluster.Command
	nodes   []*toyNode
	leader  int
	planner *Planner
	events  []toyEvent // sorted by time, then order
	order   int
	stormy  bool
	story   []string
	telling bool
	faults  []string

	// Deliberately broken variants.
	ignoreLease, lyingStops, noAdoption bool
}

type toyEvent struct {
	at    time.Duration
	order int
	do    func()
}

type toyNode struct {
	w       *toyWorld
	id      cluster.NodeID
	x       *Executor
	s       *cluster.State
	gen     cluster.Generation // of this boot; 0: asks for admission
	lease   bool
	life    int               // of the daemon
	running map[string]bool   // "h/r"
	started map[string]uint64 // by which Start
	turn    map[string]int    // counts the actions of a resource
	guards  map[string]cluster.Epoch
}

func newToyWorld(seed uint64) *toyWorld {
	w := &toyWorld{seed: seed, rand: newRand(seed), stormy: true}
	th := newTheatre()
	th.setUp([]string{"a", "b", "c"})
	r := func(n string, deps ...string) cluster.Resource {
		return cluster.Resource{Name: n, Kit: n, DependsOn: deps, Common: cluster.Common{StopTimeout: 3 * time.Second, StartTimeout: 3 * time.Second}}
	}
	th.apply(cluster.Command{CreateHierarchy: &cluster.CreateHierarchy{Name: "db", Nodes: []cluster.NodeID{2, 1}, Want: cluster.WantInService,
		Policy: cluster.Policy{Switchback: true}, Resources: []cluster.Resource{r("vol"), r("dbd", "vol")}}})
	th.apply(cluster.Command{CreateHierarchy: &cluster.CreateHierarchy{Name: "web", Nodes: []cluster.NodeID{1, 2, 3}, Want: cluster.WantInService,
		Resources: []cluster.Resource{r("ip"), r("fs"), r("httpd", "ip", "fs")}}})
	for id := cluster.NodeID(1); id <= 3; id++ {
		n := &toyNode{w: w, id: id, s: th.s.Clone(), gen: 1, running: map[string]bool{}, started: map[string]uint64{},
			turn: map[string]int{}, guards: map[string]cluster.Epoch{}}
		n.x = NewExecutor(id, seed+uint64(id))
		n.setLease(true)
		w.nodes = append(w.nodes, n)
	}
	w.planner = NewPlanner(1)
	w.after(0, w.mischief)
	return w
}

func (w *toyWorld) after(d time.Duration, do func()) {
	w.order++
	e := toyEvent{w.now + d, w.order, do}
	i, _ := slices.BinarySearchFunc(w.events, e, func(a, b toyEvent) int {
		return cmp.Or(cmp.Compare(a.at, b.at), cmp.Compare(a.order, b.order))
	})
	w.events = slices.Insert(w.events, i, e)
}

func (w *toyWorld) chance(percent int) bool { return w.stormy && w.rand.IntN(100) < percent }

func (w *toyWorld) short(d time.Duration) time.Duration {
	return time.Duration(w.rand.Int64N(int64(d))) + time.Millisecond
}

func (w *toyWorld) instant() cluster.Instant { return cluster.Instant{Mono: w.now, Boot: w.now} }

// run plays until a time has passed or a checker found something.
func (w *toyWorld) run(d time.Duration) {
	end := w.now + d
	for w.now < end && len(w.faults) == 0 {
		w.step()
		next := cluster.Never
		if int(w.nodes[w.leader].s.Applied) == w.index() {
			next = w.planner.Next()
		}
		for _, n := range w.nodes {
			next = min(next, n.x.Next())
		}
		if len(w.events) > 0 {
			next = min(next, w.events[0].at)
		}
		w.now = max(w.now, min(next, end))
		for len(w.events) > 0 && w.events[0].at <= w.now {
			e := w.events[0]
			w.events = w.events[1:]
			e.do()
			w.check()
		}
	}
}

// step lets everybody do what there is to do; it must come to an end.
func (w *toyWorld) step() {
	for range 100 {
		quiet := true
		for _, n := range w.nodes {
			quiet = n.step() && quiet
		}
		l := w.nodes[w.leader]
		if int(l.s.Applied) == w.index() {
			for _, c := range w.planner.Step(w.instant(), l.s, w.views()) {
				quiet = false
				if c.Reason.Code == "" {
					w.fault("planner proposes %s without a reason", describe(l.s, &c))
				}
				w.propose("planner", c)
			}
		}
		w.check()
		if quiet {
			for _, n := range w.nodes {
				if n.x.Next() <= w.now {
					w.fault("%s wants to be called at %v and does nothing", n.name(), n.x.Next())
				}
			}
			if int(l.s.Applied) == w.index() && w.planner.Next() <= w.now {
				w.fault("the planner wants to be called at %v and does nothing", w.planner.Next())
			}
			return
		}
	}
	w.fault("doesn't come to rest")
}

// index is that of the last committed command; the first ones were the set-up.
func (w *toyWorld) index() int { return len(w.log) + w.base() }

func (w *toyWorld) base() int { return 12 }

func (w *toyWorld) views() []View {
	var out []View
	for _, n := range w.nodes {
		out = append(out, View{Node: n.id, Reachable: n.lease})
	}
	return out
}

// propose has a command committed after a while, or twice, or never.
func (w *toyWorld) propose(who string, c cluster.Command) {
	w.tell("%s proposes %s because %s", who, describe(w.nodes[0].s, &c), reasonText(c.Reason))
	if w.chance(5) {
		return
	}
	times := 1
	if w.chance(5) {
		times = 2
	}
	for range times {
		d := time.Millisecond
		if w.stormy {
			d = w.short(20 * time.Millisecond)
		}
		if w.chance(5) {
			d = w.short(5 * time.Second)
		}
		w.after(d, func() { w.commit(c) })
	}
}

func (w *toyWorld) commit(c cluster.Command) {
	w.log = append(w.log, c)
	for _, n := range w.nodes {
		d := time.Duration(0)
		if w.chance(20) {
			d = w.short(500 * time.Millisecond)
		}
		w.after(d, func() { n.learn(len(w.log)) })
	}
}

// learn applies the log up to a length.
func (n *toyNode) learn(upTo int) {
	for int(n.s.Applied) < upTo+n.w.base() {
		c := n.w.log[int(n.s.Applied)-n.w.base()]
		res := n.s.Apply(n.s.Applied+1, &c)
		if n.id == 1 && !res.Refused() {
			n.w.tell("applied %s", describe(n.s, &c))
		}
		n.x.SetState(n.w.instant(), n.s, n.admitted())
		n.step()
	}
}

// admitted is the generation under which this boot may own things.
func (n *toyNode) admitted() cluster.Generation {
	me := n.s.Node(n.id)
	if n.gen != 0 && me.Generation == n.gen && me.Presence == cluster.Present {
		return n.gen
	}
	return 0
}

// step returns whether there was nothing to do.
func (n *toyNode) step() bool {
	w := n.w
	n.x.SetState(w.instant(), n.s, n.admitted())
	actions, commands := n.x.Step(w.instant())
	for _, a := range actions {
		n.check(&a)
		n.perform(a)
	}
	for _, c := range commands {
		if c.Reason.Code == "" {
			w.fault("%s proposes %s without a reason", n.name(), describe(n.s, &c))
		}
		if c.Report != nil && final(c.Report.Status) {
			for k := range n.running {
				if n.running[k] && strings.HasPrefix(k, c.Report.Hierarchy+"/") {
					w.fault("%s reports %s %s while %s runs", n.name(), c.Report.Hierarchy, c.Report.Status, k)
				}
			}
		}
		w.propose(n.name(), c)
	}
	return len(actions)+len(commands) == 0
}

func (n *toyNode) name() string { return n.s.NodeName(n.id) }

func (n *toyNode) setLease(valid bool) {
	n.lease = valid
	n.x.Lease(n.w.instant(), valid || n.w.ignoreLease)
}

// check judges an action when it is asked for.
func (n *toyNode) check(a *Action) {
	w := n.w
	w.tell("%s: %s %s/%s #%d: %s", n.name(), a.Act, a.Hierarchy, a.Resource, a.ID, reasonText(a.Reason))
	if a.Reason.Code == "" {
		w.fault("%s: %s %s/%s without a reason", n.name(), a.Act, a.Hierarchy, a.Resource)
	}
	if a.Act != Start && a.Act != Recover {
		return
	}
	h := n.s.Hierarchy(a.Hierarchy)
	if !n.lease {
		w.fault("%s: %s %s/%s without a lease", n.name(), a.Act, a.Hierarchy, a.Resource)
	}
	if h == nil || !h.Owns(n.id, n.gen) || h.Epoch != a.Epoch {
		w.fault("%s: %s %s/%s without owning it", n.name(), a.Act, a.Hierarchy, a.Resource)
	}
	if n.guards[a.Hierarchy] != a.Epoch {
		w.fault("%s: %s %s/%s without a guard", n.name(), a.Act, a.Hierarchy, a.Resource)
	}
	for _, d := range a.Spec.DependsOn {
		if a.Act == Start && n.turn[a.Hierarchy+"/"+d] == 0 {
			w.fault("%s: start %s/%s before %s", n.name(), a.Hierarchy, a.Resource, d)
		}
	}
}

// check is what must hold at every moment: at most one node serves.
func (w *toyWorld) check() {
	for _, h := range []string{"db", "web"} {
		var serving []string
		for _, n := range w.nodes {
			if n.lease && n.runs(h) {
				serving = append(serving, n.name())
			}
		}
		if len(serving) > 1 {
			w.fault("%s is served by %v", h, serving)
		}
	}
}

func (n *toyNode) runs(h string) bool {
	for k, on := range n.running {
		if on && strings.HasPrefix(k, h+"/") {
			return true
		}
	}
	return false
}

// settled is what must hold when the faults have ended long ago.
func (w *toyWorld) settled() {
	if len(w.faults) > 0 {
		return
	}
	s := w.nodes[0].s
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if h.Status != cluster.InService || h.Owner == 0 {
			w.fault("%s hasn't settled: %s on %v: %s", h.Name, h.Status, h.Owner, reasonText(h.Reason))
			continue
		}
		for _, n := range w.nodes {
			for j := range h.Resources {
				r := &h.Resources[j]
				on := n.running[h.Name+"/"+r.Name]
				if on != (n.id == h.Owner) {
					w.fault("%s/%s on %s: running %v, owner %v", h.Name, r.Name, n.name(), on, h.Owner)
				}
				if n.id == h.Owner && r.Status != cluster.InService {
					w.fault("%s/%s is reported %s", h.Name, r.Name, r.Status)
				}
			}
		}
	}
	if n := len(w.log); n > 3000 {
		w.fault("%d commands were needed", n)
	}
}

var errToy = cluster.Because(message.SimulatedFault)

func key(a *Action) string { return fmt.Sprint(a.Hierarchy, "/", a.Resource) }
