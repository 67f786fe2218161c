package world

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/decide"
	"github.com/perdure-ha/perdure/internal/guard"
)

// kits is what runs on a node. It outlives daemon and guardian, but not the
// machine.
type kits struct {
	up       []*service      // by hierarchy
	sick     map[string]bool // "hierarchy/resource" that fails to start here
	slowStop bool
}

// service is a hierarchy's resources on one node.
type service struct {
	h       int
	running []string // resources, in the order in which they were started
	specs   []cluster.Resource
	starts  map[string]uint64
	frozen  bool           // its cgroup
	turnAt  time.Duration  // real time of the guardian's latest act on it
	busy    map[string]int // acts under way on a resource, counted
}

func newKits(hierarchies int) kits {
	k := kits{sick: make(map[string]bool)}
	for h := range hierarchies {
		k.up = append(k.up, &service{h: h, starts: make(map[string]uint64), busy: make(map[string]int)})
	}
	return k
}

func (k *kits) get(h string) *service { return k.up[int(h[1]-'1')] }

// set changes what runs, and tells the checker when that begins or ends a
// service.
func (s *service) set(n *node, running []string, specs []cluster.Resource) {
	n.w.check.count(s.h, whole(s.running), whole(running))
	s.running, s.specs = running, specs
}

func (s *service) drop(n *node, r string) {
	s.set(n, slices.DeleteFunc(slices.Clone(s.running), func(x string) bool { return x == r }),
		slices.DeleteFunc(slices.Clone(s.specs), func(x cluster.Resource) bool { return x.Name == r }))
}

// clear is what a loss of power or a boot leaves: nothing.
func (k *kits) clear(n *node) {
	for _, s := range k.up {
		s.set(n, nil, nil)
		s.frozen = false
	}
	k.forget()
	clear(k.sick)
	k.slowStop = false
}

// forget ends all acts under way.
func (k *kits) forget() {
	for _, s := range k.up {
		for r := range s.busy {
			s.busy[r]++
		}
	}
}

// abandon is what the end of the daemon does to acts under way: those in its
// own process end, a program that it had started goes on by itself.
func (k *kits) abandon(n *node) {
	for _, s := range k.up {
		for r := range s.busy {
			if r == "address" || n.w.maybe(50) {
				s.busy[r]++
			}
		}
	}
}

// kill ends everything of a hierarchy, what is just being started as well.
func (k *kits) kill(n *node, s *service) {
	ended := s.running
	for _, r := range []string{"address", "server", extra} {
		s.busy[r]++
	}
	s.frozen = false
	s.set(n, nil, nil)
	for _, r := range ended {
		k.notice(n, s, r)
	}
}

func (k *kits) killAll(n *node) {
	for _, s := range k.up {
		k.kill(n, s)
	}
}

// notice tells the daemon that a resource ended by itself.
func (k *kits) notice(n *node, s *service, r string) {
	life, start := n.life, s.starts[r]
	n.act(n.w.chance(time.Millisecond), func() {
		if n.life == life {
			n.deliver(core.Observed{Event: decide.KitEvent{Hierarchy: n.w.check.hnames[s.h], Resource: r, Instance: start,
				Health: cluster.OutOfService, Reason: cluster.Because("PD9901")}})
		}
	})
}

// crash ends a running resource by itself.
func (k *kits) crash(n *node, h, r string) {
	s := k.get(h)
	if !n.power || !slices.Contains(s.running, r) {
		return
	}
	n.w.tell("%s: %s/%s crashed", n.name, h, r)
	s.drop(n, r)
	k.notice(n, s, r)
}

// perform carries out an action of the executor after a while.
func (k *kits) perform(n *node, a decide.Action) {
	w := n.w
	if a.Reason.Code == "" {
		w.check.fail("%s: %s %s/%s without a reason", n.name, a.Act, a.Hierarchy, a.Resource)
	}
	life := n.life
	answer := func(o decide.Outcome, health cluster.Status, why cluster.Reason) {
		if n.life == life {
			n.deliver(core.Acted{Result: decide.Result{Action: a.ID, Outcome: o, Health: health, Reason: why}})
		}
	}
	done := func() { answer(decide.Succeeded, "", cluster.Reason{}) }
	if a.Act == decide.Validate {
		n.act(w.chance(5*time.Millisecond), func() {
			if k.sick[a.Hierarchy+"/"+a.Resource] {
				answer(decide.Failed, "", cluster.Because("PD9901"))
				return
			}
			done()
		})
		return
	}
	s := k.get(a.Hierarchy)
	s.busy[a.Resource]++
	turn := s.busy[a.Resource]
	// after does it later, unless a later act on the same resource or the end
	// of its process came first. What stands frozen answers nobody.
	after := func(d time.Duration, do func()) {
		n.act(d, func() {
			switch {
			case s.busy[a.Resource] != turn:
			case s.frozen && a.Resource != "address" && a.Resource != "" && a.Act != decide.Kill:
				n.act(a.Timeout, func() { answer(decide.Unclear, cluster.Unknown, cluster.Reason{}) })
			default:
				do()
			}
		})
	}
	switch a.Act {
	case decide.Guard:
		after(w.chance(time.Millisecond), func() { k.guard(n, a, answer) })
	case decide.Unguard:
		after(w.chance(time.Millisecond), func() {
			if n.guardian != nil && n.life == life {
				n.guardian.step(guard.Unguard{Hierarchy: a.Hierarchy})
			}
			done()
		})
	case decide.Announce:
		done()
	case decide.Start:
		w.tell("%s: start %s/%s (epoch %d)", n.name, a.Hierarchy, a.Resource, a.Epoch)
		after(2*time.Millisecond+w.chance(30*time.Millisecond), func() {
			if k.sick[a.Hierarchy+"/"+a.Resource] {
				answer(decide.Failed, "", cluster.Because("PD9901"))
				return
			}
			if !slices.Contains(s.running, a.Resource) {
				s.set(n, append(slices.Clone(s.running), a.Resource), append(slices.Clone(s.specs), a.Spec))
			}
			s.starts[a.Resource] = a.ID
			done()
		})
	case decide.Stop:
		w.tell("%s: stop %s/%s", n.name, a.Hierarchy, a.Resource)
		d := time.Millisecond + w.chance(20*time.Millisecond)
		if k.slowStop {
			d = a.Timeout + time.Millisecond
		}
		after(d, func() {
			if k.slowStop {
				answer(decide.Unclear, "", cluster.Reason{})
				return
			}
			s.drop(n, a.Resource)
			done()
		})
	case decide.Kill:
		w.tell("%s: kill %s/%s", n.name, a.Hierarchy, a.Resource)
		if a.Resource == "" {
			s.busy["address"]++
			s.busy["server"]++
			s.busy[extra]++
			if n.guardian != nil {
				n.guardian.step(guard.Revoke{Hierarchy: a.Hierarchy})
			}
		}
		after(w.chance(5*time.Millisecond), func() {
			if a.Resource == "" {
				s.set(n, nil, nil)
			} else {
				s.drop(n, a.Resource)
			}
			done()
		})
	case decide.Recover:
		answer(decide.Unsupported, "", cluster.Reason{})
	case decide.Check, decide.DeepCheck:
		after(w.chance(3*time.Millisecond), func() {
			health := cluster.OutOfService
			if slices.Contains(s.running, a.Resource) {
				health = cluster.InService
			}
			answer(decide.Succeeded, health, cluster.Reason{})
		})
	}
}

// guard asks the guardian to be able to silence the hierarchy.
func (k *kits) guard(n *node, a decide.Action, answer func(decide.Outcome, cluster.Status, cluster.Reason)) {
	if n.guardian == nil || n.core == nil {
		return
	}
	s := k.get(a.Hierarchy)
	r := n.guardian.step(guard.Guard{Hierarchy: a.Hierarchy, Epoch: a.Epoch,
		Addresses: []guard.Address{addressOf(s.h)}, Cgroups: []string{a.Hierarchy}})
	if r.Code != "" {
		n.w.tell("%s: guard %s refused: %s %v", n.name, a.Hierarchy, r.Code, r.Args)
		answer(decide.Failed, "", r)
		return
	}
	answer(decide.Succeeded, "", cluster.Reason{})
}
