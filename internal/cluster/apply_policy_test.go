package cluster

import (
	"slices"
	"testing"
)

// lost makes web fail over: node 1 has it and is evicted.
func lost() []Command {
	return []Command{assignTo(1), {Evict: &Evict{Node: 1, Generation: 1, Conf: testConf, Promises: []NodeID{2, 3}}}}
}

// TestDenies: which rule forbids a failover to node 2, and what lifts it.
func TestDenies(t *testing.T) {
	only := func(ids ...NodeID) FailurePolicy { return FailurePolicy{Targets: ids} }
	blocked := FailurePolicy{FailoverBlocked: true}
	f := Failover{From: 1, Entry: 7, Resource: "ip"}
	for _, c := range []struct {
		name      string
		f         Failover
		policy    Policy
		node, res FailurePolicy
		want      Denial
	}{
		{name: "nothing", f: f},
		{name: "hierarchy", f: f, policy: Policy{FailoverBlocked: true}, want: DeniedByHierarchy},
		{name: "node", f: f, node: blocked, want: DeniedByNode},
		{name: "resource", f: f, res: blocked, want: DeniedByResource},
		{name: "another resource", f: Failover{From: 1, Resource: "nginx"}, res: blocked},
		{name: "person", f: Failover{From: 1, Answer: AnswerBlock}, want: DeniedByPerson},
		{name: "kept", f: Failover{From: 1, Keeps: true}, want: DeniedKept},
		{name: "proceed lifts blocks", f: Failover{From: 1, Resource: "ip", Keeps: true, Answer: AnswerProceed},
			policy: Policy{FailoverBlocked: true}, node: blocked, res: blocked},
		{name: "a list", f: f, policy: Policy{Targets: []NodeID{3}}, want: DeniedByTargets},
		{name: "all lists allow it", f: f, policy: Policy{Targets: []NodeID{2, 3}}, node: only(2), res: only(2)},
		{name: "one list doesn't", f: f, policy: Policy{Targets: []NodeID{2, 3}}, node: only(2), res: only(3), want: DeniedByTargets},
		{name: "proceed lifts no list", f: Failover{From: 1, Answer: AnswerProceed}, node: only(3), want: DeniedByTargets},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := threeNodes(t)
			h := s.Hierarchy("web")
			h.Policy = c.policy
			s.Node(1).OnFailure = c.node
			h.Resource("ip").OnFailure = c.res
			if got := s.Denies(h, &c.f, 2); got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
			if got := s.Denies(h, &c.f, 1); got != Allowed {
				t.Errorf("its own return: %q", got)
			}
		})
	}
}

// TestAssignObeysPolicy: what the planner decided on an older state is refused.
func TestAssignObeysPolicy(t *testing.T) {
	for _, c := range []struct {
		name    string
		change  Command
		to      NodeID
		refused string
	}{
		{name: "nothing", change: Command{Note: &Note{}}, to: 2},
		{name: "blocked", change: Command{SetHierarchy: &SetHierarchy{Name: "web", Change: &PolicyChange{FailoverBlocked: new(true)}}}, to: 2, refused: RefusedPolicy},
		{name: "asks", change: Command{SetHierarchy: &SetHierarchy{Name: "web", Change: &PolicyChange{ConfirmFailover: new(true)}}}, to: 2, refused: RefusedPolicy},
		{name: "maintenance", change: Command{SetHierarchy: &SetHierarchy{Name: "web", Change: &PolicyChange{Maintenance: new(true)}}}, to: 2, refused: RefusedMaintenance},
		{name: "cluster", change: Command{SetCluster: &SetCluster{Maintenance: new(true)}}, to: 2, refused: RefusedClusterMaint},
		{name: "drain", change: Command{SetNode: &SetNode{Node: 2, Drain: new(true)}}, to: 2, refused: RefusedDrained},
	} {
		t.Run(c.name, func(t *testing.T) {
			s := threeNodes(t)
			for i, cmd := range append(lost(), c.change) {
				if r := s.Apply(s.Applied+1, &cmd); r.Refused() {
					t.Fatalf("command %d: %v", i, r.Refusal)
				}
			}
			r := s.Apply(s.Applied+1, &Command{Assign: &Assign{Hierarchy: "web", Node: c.to, Generation: s.Node(c.to).Generation, Previous: s.Hierarchy("web").Epoch}})
			if r.Refusal.Code != c.refused {
				t.Errorf("got %q, want %q", r.Refusal.Code, c.refused)
			}
		})
	}
}

// TestTwoAdministrators: the second one's change is made, refused with a reason,
// or is the same; it never undoes the first one's.
func TestTwoAdministrators(t *testing.T) {
	s := threeNodes(t)
	apply := func(c Command) Result { return s.Apply(s.Applied+1, &c) }
	h := func() *Hierarchy { return s.Hierarchy("web") }
	policy := func(c PolicyChange) Command { return Command{SetHierarchy: &SetHierarchy{Name: "web", Change: &c}} }

	apply(policy(PolicyChange{NotifyOnly: new(true)}))
	apply(policy(PolicyChange{Switchback: new(true)}))
	if p := h().Policy; !p.NotifyOnly || !p.Switchback {
		t.Errorf("one change was undone: %+v", p)
	}
	apply(Command{SetHierarchy: &SetHierarchy{Name: "web", Nodes: []NodeID{1, 2, 3}}})
	seen := h().Changed
	if r := apply(Command{SetResource: &SetResource{Hierarchy: "web", Name: "ip", Settings: map[string]string{"a": "1"}, Seen: seen}}); r.Refused() {
		t.Error(r.Refusal)
	}
	if r := apply(Command{SetResource: &SetResource{Hierarchy: "web", Name: "ip", Settings: map[string]string{"b": "2"}, Seen: seen}}); r.Refusal.Code != RefusedChanged {
		t.Errorf("a change made from an older picture: %v", r.Refusal)
	}
	if r := apply(Command{SetHierarchy: &SetHierarchy{Name: "web", Nodes: []NodeID{2, 1}, Seen: seen}}); r.Refusal.Code != RefusedChanged {
		t.Errorf("an order of nodes from an older picture: %v", r.Refusal)
	}
	assign := assignTo(1)
	apply(assign)
	if r := apply(Command{StartMove: &StartMove{Hierarchy: "web", To: 2}}); r.Refused() {
		t.Error(r.Refusal)
	}
	if r := apply(Command{StartMove: &StartMove{Hierarchy: "web", To: 3}}); r.Refusal.Code != RefusedMoving {
		t.Errorf("another switchover at the same time: %v", r.Refusal)
	}
	if r := apply(Command{StartMove: &StartMove{Hierarchy: "web", To: 2}}); r.Refused() {
		t.Errorf("the same switchover: %v", r.Refusal)
	}
}

// TestQuarantine: three losses within what is remembered; a clean stop is none.
func TestQuarantine(t *testing.T) {
	s := threeNodes(t)
	n := func() *Node { return s.Node(1) }
	apply := func(c Command) {
		if r := s.Apply(s.Applied+1, &c); r.Refused() {
			t.Fatal(r.Refusal)
		}
	}
	admit := func() {
		apply(Command{Admit: &Admit{Node: 1, Session: string(rune('a' + s.Applied%26)), Previous: n().Generation}})
	}
	apply(Command{Leave: &Leave{Node: 1, Generation: n().Generation}})
	admit()
	if len(n().Falls) != 0 {
		t.Fatalf("a clean stop counts: %v", n().Falls)
	}
	apply(Command{Evict: &Evict{Node: 1, Generation: n().Generation, Conf: s.Conf, Promises: s.Voters}})
	admit()
	admit() // it restarted before anybody noticed
	if len(n().Falls) != 2 || n().Quarantine != 0 {
		t.Fatalf("falls %v, quarantine %d", n().Falls, n().Quarantine)
	}
	first := slices.Clone(n().Falls[:1])
	apply(Command{Forget: &Forget{Node: 1, Entries: first}})
	admit()
	if n().Quarantine != 0 {
		t.Error("what was forgotten counts")
	}
	admit()
	at := n().Quarantine
	if at == 0 {
		t.Fatalf("falls %v, and no quarantine", n().Falls)
	}
	if r := s.Apply(s.Applied+1, &Command{Forget: &Forget{Node: 1, Release: at + 1}}); r.Refusal.Code != RefusedVoid {
		t.Errorf("the end of another quarantine: %v", r.Refusal)
	}
	apply(Command{Forget: &Forget{Node: 1, Release: at}})
	if n().Quarantine != 0 || len(n().Falls) == 0 {
		t.Errorf("quarantine %d, falls %v", n().Quarantine, n().Falls)
	}
	apply(Command{Forget: &Forget{Node: 1, All: true}})
	if len(n().Falls) != 0 {
		t.Errorf("falls %v", n().Falls)
	}
}

// An empty list that was set reads from a snapshot as it was: a node that starts
// from one must have the same state as those that applied everything (seed 38 of
// the simulator).
func TestEmptyListsAreNone(t *testing.T) {
	s := threeNodes(t)
	none := []NodeID{}
	for _, c := range []Command{
		{SetNode: &SetNode{Node: 1, OnFailure: &FailureChange{Targets: &none}}},
		{SetResource: &SetResource{Hierarchy: "web", Name: "ip", OnFailure: &FailureChange{Targets: &none}}},
		{SetHierarchy: &SetHierarchy{Name: "web", Change: &PolicyChange{Targets: &none}}},
	} {
		s.Apply(s.Applied+1, &c)
		if a, b := string(s.Encode()), string(s.Clone().Encode()); a != b {
			t.Errorf("%s: a snapshot differs:\n%s\n%s", c.Encode(), a, b)
		}
	}
}

// What is refused changes nothing, not even its first half.
func TestRefusedNodeChangeIsWhole(t *testing.T) {
	s := threeNodes(t)
	r := s.Apply(s.Applied+1, &Command{SetNode: &SetNode{Node: 1, Drain: new(true), OnFailure: &FailureChange{Targets: &[]NodeID{99}}}})
	if r.Refusal.Code != RefusedUnknownNode || s.Node(1).Drain {
		t.Errorf("%v, and drain is %v", r.Refusal, s.Node(1).Drain)
	}
}
