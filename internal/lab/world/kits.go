package world

import (
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
	"github.com/perdure-ha/perdure/internal/decide"
)

// kits is what runs on a node. It outlives the daemon, but not the machine.
type kits struct {
	up       map[string]*service // by hierarchy
	sick     map[string]bool     // "hierarchy/resource" that fails to start here
	slowStop bool
}

// service is a hierarchy's resources on one node.
type service struct {
	epoch   cluster.Epoch
	running []string // resources, in the order in which they were started
	specs   []cluster.Resource
	starts  map[string]uint64
	guarded bool
	busy    map[string]int // acts under way on a resource, counted
}

func newKits() kits { return kits{up: make(map[string]*service), sick: make(map[string]bool)} }

func (k *kits) get(h string) *service {
	s := k.up[h]
	if s == nil {
		s = &service{starts: make(map[string]uint64), busy: make(map[string]int)}
		k.up[h] = s
	}
	return s
}

// running lists what a restarted daemon finds.
func (k *kits) running(s *cluster.State) []decide.Running {
	var out []decide.Running
	for i := range s.Hierarchies {
		name := s.Hierarchies[i].Name
		sv := k.up[name]
		if sv == nil || !sv.guarded && len(sv.running) == 0 {
			continue
		}
		out = append(out, decide.Running{Hierarchy: name, Epoch: sv.epoch, Resources: slices.Clone(sv.specs)})
	}
	return out
}

func (k *kits) killAll(n *node) {
	for _, s := range k.up {
		s.running, s.specs, s.guarded = nil, nil, false
	}
}

// serving reports whether clients get answers for the hierarchy, as far as the
// processes go.
func (k *kits) serving(h string) bool {
	s := k.up[h]
	return s != nil && len(s.running) >= 2
}

func (s *service) drop(r string) {
	s.running = slices.DeleteFunc(s.running, func(x string) bool { return x == r })
	s.specs = slices.DeleteFunc(s.specs, func(x cluster.Resource) bool { return x.Name == r })
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
	s := k.get(a.Hierarchy)
	s.busy[a.Resource]++
	turn := s.busy[a.Resource]
	// A later act on the same resource ends an earlier one.
	mine := func() bool { return s.busy[a.Resource] == turn }
	switch a.Act {
	case decide.Guard:
		s.guarded, s.epoch = true, a.Epoch
		n.act(w.chance(time.Millisecond), func() { answer(decide.Succeeded, "", cluster.Reason{}) })
	case decide.Unguard:
		n.act(w.chance(time.Millisecond), func() { s.guarded = false; answer(decide.Succeeded, "", cluster.Reason{}) })
	case decide.Announce:
		answer(decide.Succeeded, "", cluster.Reason{})
	case decide.Start:
		w.tell("%s: start %s/%s (epoch %d)", n.name, a.Hierarchy, a.Resource, a.Epoch)
		n.act(2*time.Millisecond+w.chance(30*time.Millisecond), func() {
			if !mine() || n.life != life && w.maybe(50) {
				return
			}
			if k.sick[a.Hierarchy+"/"+a.Resource] {
				answer(decide.Failed, "", cluster.Because("PD9901"))
				return
			}
			if !slices.Contains(s.running, a.Resource) {
				s.running = append(s.running, a.Resource)
				s.specs = append(s.specs, a.Spec)
			}
			s.starts[a.Resource] = a.ID
			answer(decide.Succeeded, "", cluster.Reason{})
		})
	case decide.Stop:
		w.tell("%s: stop %s/%s", n.name, a.Hierarchy, a.Resource)
		d := time.Millisecond + w.chance(20*time.Millisecond)
		if k.slowStop {
			d = a.Timeout + time.Millisecond
		}
		n.act(d, func() {
			if !mine() {
				return
			}
			if k.slowStop {
				answer(decide.Unclear, "", cluster.Reason{})
				return
			}
			s.drop(a.Resource)
			answer(decide.Succeeded, "", cluster.Reason{})
		})
	case decide.Kill:
		w.tell("%s: kill %s/%s", n.name, a.Hierarchy, a.Resource)
		n.act(w.chance(5*time.Millisecond), func() {
			if a.Resource == "" {
				s.running, s.specs = nil, nil
			} else {
				s.drop(a.Resource)
			}
			answer(decide.Succeeded, "", cluster.Reason{})
		})
	case decide.Recover:
		answer(decide.Unsupported, "", cluster.Reason{})
	case decide.Check, decide.DeepCheck:
		n.act(w.chance(3*time.Millisecond), func() {
			if !mine() {
				return
			}
			health := cluster.OutOfService
			if slices.Contains(s.running, a.Resource) {
				health = cluster.InService
			}
			answer(decide.Succeeded, health, cluster.Reason{})
		})
	}
}

// crash ends a running resource by itself and tells the daemon.
func (k *kits) crash(n *node, h, r string) {
	s := k.up[h]
	if s == nil || !slices.Contains(s.running, r) {
		return
	}
	n.w.tell("%s: %s/%s crashed", n.name, h, r)
	s.drop(r)
	n.deliver(core.Observed{Event: decide.KitEvent{Hierarchy: h, Resource: r, Instance: s.starts[r], Health: cluster.OutOfService, Reason: cluster.Because("PD9901")}})
}

// guardian is the process beside the daemon, as far as leases go: the kernel's
// time-out shuts the gate, whoever stands still; the guardian kills afterwards.
type guardian struct {
	generation cluster.Generation
	until      time.Duration // Boot
	gate       time.Duration // Boot
	watching   bool
}

func (g *guardian) renew(n *node, l *arbiter.Lease) {
	if l.Generation != g.generation {
		return
	}
	g.until, g.gate = max(g.until, l.Until), max(g.gate, l.Gate)
	g.watch(n)
}

// open reports whether the gate lets clients through.
func (g *guardian) open(now cluster.Instant) bool { return g.generation != 0 && now.Boot < g.gate }

// watch kills what runs some time after the lease has ended.
func (g *guardian) watch(n *node) {
	if g.watching {
		return
	}
	g.watching = true
	boot := n.boot
	end := g.until + n.w.timing().StopAfter
	n.act(n.real(end-n.local().Boot)+time.Microsecond, func() {
		if n.boot != boot {
			return
		}
		g.watching = false
		if g.generation == 0 {
			return
		}
		if n.local().Boot < g.until+n.w.timing().StopAfter {
			g.watch(n)
			return
		}
		n.kits.killAll(n)
	})
}
