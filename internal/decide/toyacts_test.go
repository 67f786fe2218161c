package decide

import (
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// perform carries an action out after a while. A later one on the same thing
// ends it, after it had its effect or not.
func (n *toyNode) perform(a Action) {
	w := n.w
	k := key(&a)
	life := n.life
	if a.Act == Announce {
		return
	}
	if a.Act == Validate {
		k += "?" // it is nobody's but its own
	}
	if a.Act == Kill && a.Resource == "" {
		for _, other := range n.keys(a.Hierarchy) {
			n.turn[other]++
		}
	}
	n.turn[k]++
	turn := n.turn[k]
	answer := func(o Outcome, h cluster.Status) {
		if n.life == life && !w.chance(1) {
			n.x.Done(w.instant(), Result{Action: a.ID, Outcome: o, Health: h, Reason: w.reason(o, h)})
			n.step()
		}
	}
	d := w.short(40 * time.Millisecond)
	if w.chance(5) {
		d = a.Timeout
	}
	w.after(d, func() {
		if n.turn[k] != turn || n.life != life {
			return
		}
		if w.chance(4) && a.Act != Guard && a.Act != Unguard {
			if w.chance(50) {
				n.effect(&a)
			}
			answer(Unclear, "")
			return
		}
		switch a.Act {
		case Start, Recover:
			if w.chance(8) {
				n.running[k] = w.chance(50)
				answer(Failed, "")
				return
			}
			if a.Act == Recover && w.rand.IntN(2) == 0 {
				answer(Unsupported, "")
				return
			}
			n.effect(&a)
			answer(Succeeded, "")
		case Stop, Kill:
			if w.chance(10) {
				if w.lyingStops {
					answer(Succeeded, "")
				} else {
					answer(Failed, "")
				}
				return
			}
			n.effect(&a)
			answer(Succeeded, "")
		case Check, DeepCheck:
			switch {
			case w.chance(3):
				answer(Succeeded, cluster.Unknown)
			case !n.running[k]:
				answer(Succeeded, cluster.OutOfService)
			case w.chance(3):
				answer(Succeeded, cluster.Failed)
			case w.chance(3):
				answer(Succeeded, cluster.Degraded)
			default:
				answer(Succeeded, cluster.InService)
			}
		case Validate:
			if w.chance(10) {
				answer(Failed, "")
				return
			}
			answer(Succeeded, "")
		case Guard, Unguard:
			if w.chance(2) {
				answer(Failed, "")
				return
			}
			n.effect(&a)
			answer(Succeeded, "")
		}
	})
}

func (w *toyWorld) reason(o Outcome, h cluster.Status) cluster.Reason {
	if o == Succeeded && (h == "" || h == cluster.InService) {
		return cluster.Reason{}
	}
	return errToy
}

func (n *toyNode) keys(h string) []string {
	ks := []string{h + "/log"}
	for i := range n.s.Hierarchy(h).Resources {
		ks = append(ks, h+"/"+n.s.Hierarchy(h).Resources[i].Name)
	}
	return ks
}

func (n *toyNode) effect(a *Action) {
	k := key(a)
	switch a.Act {
	case Start:
		n.running[k], n.started[k] = true, a.ID
	case Recover:
		n.running[k] = true
	case Stop:
		n.running[k] = false
	case Kill:
		if a.Resource != "" {
			n.running[k] = false
			return
		}
		for _, other := range n.keys(a.Hierarchy) {
			n.running[other] = false
		}
	case Guard:
		n.guards[a.Hierarchy] = a.Epoch
	case Unguard:
		delete(n.guards, a.Hierarchy)
	}
}

// mischief does something bad every now and then.
func (w *toyWorld) mischief() {
	if !w.stormy {
		return
	}
	w.after(w.short(600*time.Millisecond), w.mischief)
	n := w.nodes[w.rand.IntN(3)]
	switch w.rand.IntN(15) {
	case 11, 12, 13, 14:
		w.wish()
	case 0, 1:
		n.crashProcess()
	case 2:
		if n.lease {
			w.tell("%s loses its lease", n.name())
			n.setLease(false)
			w.after(w.short(3*time.Second), n.leaseBack)
		}
	case 3:
		if !n.lease {
			w.evict(n)
		}
	case 4:
		n.restartDaemon()
	case 5:
		n.reboot()
	case 6:
		to := w.nodes[w.rand.IntN(3)].id
		h := []string{"db", "web"}[w.rand.IntN(2)]
		w.propose("user", cluster.Command{Reason: errToy, StartMove: &cluster.StartMove{Hierarchy: h, To: to}})
	case 7:
		want := []cluster.Want{cluster.WantInService, cluster.WantOutOfService}[w.rand.IntN(2)]
		w.propose("user", cluster.Command{Reason: errToy, SetWant: &cluster.SetWant{Hierarchy: "web", Want: want}})
	case 9:
		w.propose("user", cluster.Command{Reason: errToy, SetResource: &cluster.SetResource{Hierarchy: "web", Name: "fs",
			Settings: map[string]string{"v": w.now.String()}}})
	case 10:
		c := cluster.Command{Reason: errToy, DeleteResource: &cluster.DeleteResource{Hierarchy: "web", Name: "log"}}
		if w.rand.IntN(2) == 0 {
			c.DeleteResource = nil
			c.CreateResource = &cluster.CreateResource{Hierarchy: "web", Resource: cluster.Resource{Name: "log", Kit: "log", DependsOn: []string{"httpd"}}}
		}
		w.propose("user", c)
	case 8:
		w.leader = w.rand.IntN(3)
		w.planner = NewPlanner(w.nodes[w.leader].id)
		w.tell("%s leads", w.nodes[w.leader].name())
	}
}

func (n *toyNode) crashProcess() {
	var up []string
	for k, on := range n.running {
		if on {
			up = append(up, k)
		}
	}
	if len(up) == 0 {
		return
	}
	slices.Sort(up)
	k := up[n.w.rand.IntN(len(up))]
	n.w.tell("%s: %s ends by itself", n.name(), k)
	n.running[k] = false
	instance, life := n.started[k], n.life
	h, r, _ := strings.Cut(k, "/")
	n.w.after(n.w.short(30*time.Millisecond), func() {
		if n.life == life && !n.running[k] {
			n.x.Observe(n.w.instant(), KitEvent{Hierarchy: h, Resource: r, Instance: instance, Health: cluster.OutOfService})
		}
	})
}

// leaseBack returns the lease unless the node was evicted.
func (n *toyNode) leaseBack() {
	me := n.w.truth().Node(n.id)
	if n.gen != 0 && n.admitted() == n.gen && me.Presence == cluster.Present && me.Generation == n.gen {
		n.w.tell("%s has its lease back", n.name())
		n.setLease(true)
	}
}

// truth is the state after everything that is committed.
func (w *toyWorld) truth() *cluster.State {
	last := w.nodes[0]
	for _, n := range w.nodes {
		if n.s.Applied > last.s.Applied {
			last = n
		}
	}
	last.learn(len(w.log))
	return last.s
}

// evict takes everything from a node without a lease; afterwards its guardian
// kills all and begins a new session.
func (w *toyWorld) evict(n *toyNode) {
	s := w.truth()
	if s.Node(n.id).Presence != cluster.Present || n.gen == 0 {
		return
	}
	w.tell("%s is evicted", n.name())
	w.commit(cluster.Command{Reason: errToy, Evict: &cluster.Evict{Node: n.id, Generation: s.Node(n.id).Generation, Conf: s.Conf, Promises: s.Voters}})
	w.after(w.short(2*time.Second), n.reset)
}

// reset kills everything, then asks for a new generation.
func (n *toyNode) reset() {
	n.setLease(false)
	n.gen = 0
	for k := range n.running {
		n.running[k] = false
		n.turn[k]++
	}
	clear(n.guards)
	n.x.Reset(n.w.instant())
	n.w.after(n.w.short(time.Second), n.askAdmission)
}

func (n *toyNode) askAdmission() {
	if n.gen != 0 || !n.x.Clean() {
		return
	}
	s := n.w.truth()
	n.gen = s.Node(n.id).Generation + 1
	n.w.tell("%s is admitted as generation %d", n.name(), n.gen)
	n.w.commit(cluster.Command{Reason: errToy, Admit: &cluster.Admit{Node: n.id, Session: time.Duration(n.w.order).String(), Previous: n.gen - 1}})
	n.w.after(n.w.short(time.Second), n.leaseBack)
}

// reboot is a power loss: nothing is left, and the lease ends at once.
func (n *toyNode) reboot() {
	if n.gen == 0 {
		return
	}
	n.w.tell("%s reboots", n.name())
	n.life++
	n.x = NewExecutor(n.id, n.w.rand.Uint64())
	n.reset()
}

// restartDaemon loses what the daemon knew. What ran goes on, and proposals
// that are on their way still arrive.
func (n *toyNode) restartDaemon() {
	if n.gen == 0 {
		return
	}
	n.w.tell("%s: the daemon restarts", n.name())
	n.life++
	for _, h := range []string{"db", "web"} {
		for _, k := range n.keys(h) {
			n.turn[k]++ // what was under way is ended, having had its effect or not
		}
	}
	n.x = NewExecutor(n.id, n.w.rand.Uint64())
	n.setLease(false)
	if !n.w.noAdoption {
		var found []Running
		for _, h := range []string{"db", "web"} {
			if e, ok := n.guards[h]; ok {
				f := Running{Hierarchy: h, Epoch: e}
				if n.w.rand.IntN(2) == 0 { // it may be known what was started
					for _, k := range n.keys(h) {
						if n.running[k] {
							f.Resources = append(f.Resources, cluster.Resource{Name: k[len(h)+1:], Kit: k[len(h)+1:]})
						}
					}
				}
				found = append(found, f)
			}
		}
		n.x.Adopt(n.w.instant(), found)
	}
	n.w.after(n.w.short(500*time.Millisecond), n.leaseBack)
}

// answerAll lets go on what a person has turned down.
func (w *toyWorld) answerAll() {
	for _, h := range []string{"db", "web"} {
		if f := w.truth().Hierarchy(h).Failover; f != nil && f.Answer == cluster.AnswerBlock {
			w.propose("user", cluster.Command{Reason: errToy, Confirm: &cluster.Confirm{Hierarchy: h, Entry: f.Entry, Answer: cluster.AnswerProceed}})
		}
	}
}

// calm ends the faults: whoever has no lease gets one, or is evicted and
// admitted anew.
func (w *toyWorld) calm() {
	w.tell("the faults end")
	w.stormy = false
	w.after(10*time.Second, func() {
		w.propose("user", cluster.Command{Reason: errToy, SetWant: &cluster.SetWant{Hierarchy: "web", Want: cluster.WantInService}})
		off, none := false, []cluster.NodeID{}
		w.propose("user", cluster.Command{Reason: errToy, SetCluster: &cluster.SetCluster{Maintenance: &off}})
		for _, h := range []string{"db", "web"} {
			w.propose("user", cluster.Command{Reason: errToy, SetHierarchy: &cluster.SetHierarchy{Name: h,
				Change: &cluster.PolicyChange{Maintenance: &off, FailoverBlocked: &off, ConfirmFailover: &off, Targets: &none}}})
		}
		w.propose("user", cluster.Command{Reason: errToy, SetResource: &cluster.SetResource{Hierarchy: "web", Name: "httpd", Maintenance: &off}})
		for _, n := range w.nodes {
			w.propose("user", cluster.Command{Reason: errToy, SetNode: &cluster.SetNode{Node: n.id, Maintenance: &off, Drain: &off}})
		}
		w.after(10*time.Second, w.answerAll)
		for _, n := range w.nodes {
			if n.lease {
				continue
			}
			if s := w.truth(); n.gen != 0 && s.Node(n.id).Presence == cluster.Present && s.Node(n.id).Generation == n.gen {
				n.leaseBack()
			} else if n.gen == 0 {
				n.askAdmission()
			} else {
				n.reset()
			}
		}
	})
}

// wish is what administrators ask for besides service: maintenance, drains,
// policies, answers, extensions. Each ends by itself after a while.
func (w *toyWorld) wish() {
	on, off := true, false
	n := w.nodes[w.rand.IntN(3)].id
	h := []string{"db", "web"}[w.rand.IntN(2)]
	say := func(c cluster.Command) { c.Reason = errToy; w.propose("user", c) }
	both := func(make func(on *bool) cluster.Command) {
		say(make(&on))
		w.after(w.short(4*time.Second), func() { say(make(&off)) })
	}
	switch w.rand.IntN(10) {
	case 0:
		both(func(on *bool) cluster.Command {
			return cluster.Command{SetCluster: &cluster.SetCluster{Maintenance: on}}
		})
	case 1:
		both(func(on *bool) cluster.Command {
			return cluster.Command{SetNode: &cluster.SetNode{Node: n, Maintenance: on}}
		})
	case 2, 3:
		both(func(on *bool) cluster.Command { return cluster.Command{SetNode: &cluster.SetNode{Node: n, Drain: on}} })
	case 4:
		both(func(on *bool) cluster.Command {
			return cluster.Command{SetResource: &cluster.SetResource{Hierarchy: "web", Name: "httpd", Maintenance: on}}
		})
	case 5:
		both(func(on *bool) cluster.Command {
			return cluster.Command{SetHierarchy: &cluster.SetHierarchy{Name: h, Change: &cluster.PolicyChange{ConfirmFailover: on, ConfirmSeconds: new(2)}}}
		})
	case 6:
		both(func(on *bool) cluster.Command {
			return cluster.Command{SetHierarchy: &cluster.SetHierarchy{Name: h, Change: &cluster.PolicyChange{FailoverBlocked: on}}}
		})
	case 7:
		if f := w.truth().Hierarchy(h).Failover; f != nil {
			say(cluster.Command{Confirm: &cluster.Confirm{Hierarchy: h, Entry: f.Entry, Answer: []cluster.Answer{cluster.AnswerBlock, cluster.AnswerProceed}[w.rand.IntN(2)]}})
		}
	case 8:
		say(cluster.Command{Extend: &cluster.Extend{Hierarchy: "db", Node: n, At: -1}})
		w.after(w.short(3*time.Second), func() { say(cluster.Command{Unextend: &cluster.Unextend{Hierarchy: "db", Node: n}}) })
	case 9:
		both(func(on *bool) cluster.Command {
			return cluster.Command{SetHierarchy: &cluster.SetHierarchy{Name: h, Change: &cluster.PolicyChange{Maintenance: on}}}
		})
	}
}
