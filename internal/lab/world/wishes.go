package world

import (
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/decide"
)

// What administrators ask for besides service: maintenance, drains, policies,
// answers, other nodes, other resources. It may come at any moment, from two of
// them at once, and get lost. When the faults stop, all of it is taken back, and
// the cluster must settle.

// wishes is how many kinds of them there are.
const wishes = 14

// extra is a resource that comes and goes.
const extra = "extra"

// pace makes the planner's long waits short, so that quarantines and limits come
// and go within a run.
func (c *Config) pace() decide.Pace {
	if !c.Policies {
		return decide.Pace{}
	}
	d := c.Detection
	return decide.Pace{Settled: 8 * d, Switchback: d, Hour: 6 * d, Quarantine: 3 * d, Extension: 2 * d}
}

// wish asks for something at random.
func (w *World) wish() {
	h := w.check.hnames[w.rand.IntN(len(w.check.hnames))]
	m := w.nodes[w.rand.IntN(w.cfg.Nodes)]
	s := w.newest()
	if s == nil || m.id == 0 || s.Hierarchy(h) == nil {
		return // nobody knows the cluster: a disk was lost, and the others are off
	}
	on := w.maybe(60)
	to := []cluster.NodeID{}
	if on {
		to = append(to, m.id)
	}
	policy := func(c cluster.PolicyChange) cluster.Command {
		return cluster.Command{SetHierarchy: &cluster.SetHierarchy{Name: h, Change: &c}}
	}
	node := func(c cluster.SetNode) cluster.Command {
		c.Node = m.id
		return cluster.Command{SetNode: &c}
	}
	var c cluster.Command
	switch kind := w.rand.IntN(wishes); kind {
	case 0:
		c.SetCluster = &cluster.SetCluster{Maintenance: &on}
	case 1:
		c = node(cluster.SetNode{Maintenance: &on})
	case 2:
		c = node(cluster.SetNode{Drain: &on})
	case 3:
		c = policy(cluster.PolicyChange{Maintenance: &on})
	case 4:
		c.SetResource = &cluster.SetResource{Hierarchy: h, Name: []string{"address", "server"}[w.rand.IntN(2)], Maintenance: &on}
	case 5:
		answer := []string{"proceed", "block"}[w.rand.IntN(2)]
		c = policy(cluster.PolicyChange{ConfirmFailover: &on, ConfirmSeconds: new(1 + w.rand.IntN(5)), ConfirmDefault: &answer})
	case 6:
		c = policy(cluster.PolicyChange{NotifyOnly: new(w.maybe(20)), FailoverBlocked: &on, Switchback: new(w.maybe(30)),
			Targets: &to, MovesPerHour: new(w.rand.IntN(3) - 1)})
	case 7:
		c = node(cluster.SetNode{OnFailure: &cluster.FailureChange{NotifyOnly: new(w.maybe(20)), FailoverBlocked: &on, Targets: &to},
			Shutdown: new([]cluster.Shutdown{cluster.ShutdownMove, cluster.ShutdownStay}[w.rand.IntN(2)])})
	case 8:
		c.SetResource = &cluster.SetResource{Hierarchy: h, Name: "server", OnFailure: &cluster.FailureChange{FailoverBlocked: &on, Targets: &to}}
	case 9:
		f := s.Hierarchy(h).Failover
		if f == nil {
			return
		}
		answer := cluster.AnswerProceed
		if !on {
			answer = cluster.AnswerBlock
		}
		c.Confirm = &cluster.Confirm{Hierarchy: h, Entry: f.Entry, Answer: answer}
	case 10:
		c.Unextend = &cluster.Unextend{Hierarchy: h, Node: m.id}
	case 11:
		c.Extend = &cluster.Extend{Hierarchy: h, Node: m.id, At: w.rand.IntN(4) - 1}
	case 12:
		if s.Hierarchy(h).Resource(extra) == nil {
			c.CreateResource = &cluster.CreateResource{Hierarchy: h, Resource: cluster.Resource{Name: extra, Kit: "process", DependsOn: []string{"server"}}}
		} else {
			c.DeleteResource = &cluster.DeleteResource{Hierarchy: h, Name: extra}
		}
	case 13:
		c.Forget = &cluster.Forget{Node: m.id, All: true}
	}
	if w.cfg.Tell != nil {
		w.tell("wish: %.200s", c.Encode())
	}
	w.ask(c)
	if w.maybe(20) {
		w.ask(c) // another one has the same idea
	}
}

// site is a power loss of everything at once, and a cold start: the machines come
// back one by one.
func (w *World) site() {
	w.tell("the whole site loses its power")
	for _, n := range w.nodes {
		n.powerOff()
		w.after(w.cfg.Detection/4+w.chance(2*w.cfg.Detection), func() { w.tell("%s: power on", n.name); n.startAgain(false) })
	}
}

// undo is what must be asked for so that nothing that was wished for holds
// service up: empty when all is taken back.
func (w *World) undo(s *cluster.State) []cluster.Command {
	off, none, zero, nobody := false, []cluster.NodeID{}, 0, ""
	var out []cluster.Command
	if s.Maintenance {
		out = append(out, cluster.Command{SetCluster: &cluster.SetCluster{Maintenance: &off}})
	}
	clean := &cluster.FailureChange{NotifyOnly: &off, FailoverBlocked: &off, Targets: &none}
	dirty := func(p *cluster.FailurePolicy) bool { return p.NotifyOnly || p.FailoverBlocked || len(p.Targets) > 0 }
	for i := range s.Nodes {
		if n := &s.Nodes[i]; n.Maintenance || n.Drain || dirty(&n.OnFailure) {
			out = append(out, cluster.Command{SetNode: &cluster.SetNode{Node: n.ID, Maintenance: &off, Drain: &off, OnFailure: clean}})
		}
	}
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		p := &h.Policy
		if p.Maintenance || p.ConfirmFailover || p.NotifyOnly || p.FailoverBlocked || p.Switchback || len(p.Targets) > 0 || p.MovesPerHour != 0 {
			out = append(out, cluster.Command{SetHierarchy: &cluster.SetHierarchy{Name: h.Name, Change: &cluster.PolicyChange{Maintenance: &off,
				ConfirmFailover: &off, ConfirmDefault: &nobody, NotifyOnly: &off, FailoverBlocked: &off, Switchback: &off, Targets: &none, MovesPerHour: &zero}}})
		}
		if f := h.Failover; f != nil && f.Answer == cluster.AnswerBlock {
			out = append(out, cluster.Command{Confirm: &cluster.Confirm{Hierarchy: h.Name, Entry: f.Entry, Answer: cluster.AnswerProceed}})
		}
		for j := range h.Resources {
			if r := &h.Resources[j]; r.Maintenance || dirty(&r.OnFailure) {
				out = append(out, cluster.Command{SetResource: &cluster.SetResource{Hierarchy: h.Name, Name: r.Name, Maintenance: &off, OnFailure: clean}})
			}
		}
		for _, n := range w.nodes[:w.cfg.Nodes] {
			me := s.Node(n.id)
			if me != nil && me.Presence == cluster.Present && !slices.Contains(h.Nodes, n.id) &&
				!slices.ContainsFunc(h.Extending, func(e cluster.Extension) bool { return e.Node == n.id }) {
				out = append(out, cluster.Command{Extend: &cluster.Extend{Hierarchy: h.Name, Node: n.id, At: -1}})
			}
		}
	}
	return out
}

// takeBack asks for all of that, again and again: a wish may be applied long
// after it was asked for.
func (w *World) takeBack() {
	if s := w.newest(); s != nil {
		for _, c := range w.undo(s) {
			w.ask(c)
		}
	}
	w.after(w.cfg.Detection/2+w.chance(w.cfg.Detection/2), w.takeBack)
}

// whole reports whether the resources of a whole service are among them.
func whole(running []string) bool {
	return slices.Contains(running, "address") && slices.Contains(running, "server")
}

// exactly reports whether everything of a hierarchy runs on the node, and
// nothing that it hasn't any more.
func (n *node) exactly(h int, of *cluster.Hierarchy) bool {
	running := n.kits.up[h].running
	return len(running) == len(of.Resources) && !slices.ContainsFunc(of.Resources, func(r cluster.Resource) bool { return !slices.Contains(running, r.Name) })
}

// wishing has administrators ask for things until the faults are over.
func (w *World) wishing() {
	w.after(w.cfg.Detection/8+w.chance(w.cfg.Detection), func() {
		if !w.calm {
			w.wish()
			w.wishing()
		}
	})
}
