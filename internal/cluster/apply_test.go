package cluster

import (
	"testing"

	"github.com/google/go-cmp/cmp"
)

// step is one command put to a cluster, and what must become of it.
type step struct {
	name    string
	given   []Command // before; each must be accepted
	cmd     Command
	refused string // code of the refusal; "": accepted
	check   func(t *testing.T, s *State, r Result)
}

// play runs steps, each on a cluster of its own: nodes a, b and c (present, ids
// 1 to 3), witness w (id 4), hierarchy web on a and b with nginx above ip.
func play(t *testing.T, steps []step) {
	t.Helper()
	for _, st := range steps {
		t.Run(st.name, func(t *testing.T) {
			s := threeNodes(t)
			index := s.Applied
			for i := range st.given {
				index++
				if r := s.Apply(index, travelled(t, &st.given[i])); r.Refused() {
					t.Fatalf("given command %d was refused: %v", i+1, r.Refusal)
				}
			}
			before := s.Clone()
			r := s.Apply(index+1, travelled(t, &st.cmd))
			if r.Refusal.Code != st.refused {
				t.Fatalf("refusal: got %q %v, want %q", r.Refusal.Code, r.Refusal.Args, st.refused)
			}
			if s.Applied != index+1 {
				t.Errorf("applied: got %d, want %d", s.Applied, index+1)
			}
			if r.Refused() {
				unchanged(t, before, s)
			}
			if st.check != nil {
				st.check(t, s, r)
			}
			sound(t, s)
		})
	}
}

// travelled is the command as it comes out of the log.
func travelled(t interface {
	Helper()
	Fatalf(string, ...any)
}, c *Command) *Command {
	t.Helper()
	c, err := DecodeCommand(c.Encode())
	if err != nil {
		t.Fatalf("read a command that was written: %v", err)
	}
	return c
}

// unchanged compares states but for what every command changes.
func unchanged(t interface {
	Helper()
	Errorf(string, ...any)
}, before, after *State) {
	t.Helper()
	a, b := before.Clone(), after.Clone()
	a.Applied, b.Applied, a.Recent, b.Recent = 0, 0, nil, nil
	if d := cmp.Diff(a, b); d != "" {
		t.Errorf("a command that was refused changed the state (-before +after):\n%s", d)
	}
}

// sound is what must hold in every state.
func sound(t interface {
	Helper()
	Errorf(string, ...any)
}, s *State) {
	t.Helper()
	if len(s.Voters) == 0 {
		t.Errorf("nobody has a vote")
	}
	if s.Ceiling < s.Detection {
		t.Errorf("ceiling %v is below the detection time %v", s.Ceiling, s.Detection)
	}
	for _, v := range s.Voters {
		for _, l := range s.Learners {
			if v == l {
				t.Errorf("%v is voter and learner", v)
			}
		}
	}
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if h.Owner == 0 && (h.Generation != 0 || h.Status.Serving() || h.Status == Starting) {
			t.Errorf("%s has no owner and is %s under generation %d", h.Name, h.Status, h.Generation)
		}
		if n := s.Node(h.Owner); h.Owner != 0 && n != nil && n.Generation == h.Generation &&
			n.Presence != Present && n.Presence != Unmanaged {
			t.Errorf("%s is owned by %s, which is %s", h.Name, n.Name, n.Presence)
		}
		if _, ok := h.order(); !ok {
			t.Errorf("%s has no order of starting", h.Name)
		}
		if h.Owner != 0 && h.FenceWait != 0 {
			t.Errorf("%s has an owner and waits for fencing", h.Name)
		}
	}
	for i := range s.Volumes {
		v := &s.Volumes[i]
		if v.Members() == 0 && !v.Unverified {
			t.Errorf("volume %s has no in-sync copy", v.Name)
		}
		if v.Source == 0 {
			continue
		}
		c := v.Copy(v.Source)
		if c == nil || c.Standing != InSync {
			t.Errorf("volume %s is served by a copy that isn't in-sync: %+v", v.Name, c)
			continue
		}
		if n := s.Node(c.Node); n != nil && (n.Generation != v.SourceGeneration || n.Presence != Present && n.Presence != Unmanaged) {
			t.Errorf("volume %s is served by generation %d of %s, which is %s in %d", v.Name, v.SourceGeneration, n.Name, n.Presence, n.Generation)
		}
	}
}

func threeNodes(t *testing.T) *State {
	t.Helper()
	s := New("c", "test", AddNode{Name: "a", Role: RoleNode, Paths: []Path{{Network: "lan", Address: "192.0.2.1:7000"}}}, 1)
	var index uint64 = 1
	must := func(c Command) Result {
		index++
		c.Reason = Because("PD0000")
		r := s.Apply(index, &c)
		if r.Refused() {
			t.Fatalf("set-up command %d was refused: %v", index, r.Refusal)
		}
		return r
	}
	must(Command{Admit: &Admit{Node: 1, Session: "a1"}})
	for i, name := range []string{"b", "c", "w"} {
		role := RoleNode
		if name == "w" {
			role = RoleWitness
		}
		must(Command{AddToken: &AddToken{Token: Token{Hash: name, ExpiresUnix: 100}, NowUnix: 1}})
		r := must(Command{AddNode: &AddNode{Name: name, Role: role, TokenHash: name, NowUnix: 2,
			Paths: []Path{{Network: "lan", Address: "192.0.2." + string(rune('2'+i)) + ":7000"}}}})
		must(Command{Member: &Member{Node: r.Node, As: AsLearner}})
		must(Command{Member: &Member{Node: r.Node, As: AsVoter}})
		if role == RoleNode {
			must(Command{Admit: &Admit{Node: r.Node, Session: name + "1"}})
		}
	}
	must(Command{Member: &Member{Node: 4, As: AsLearner}})
	must(Command{CreateHierarchy: &CreateHierarchy{Name: "web", Nodes: []NodeID{1, 2}, Want: WantInService,
		Resources: []Resource{
			{Name: "nginx", Kit: "process", DependsOn: []string{"ip"}},
			{Name: "ip", Kit: "ip", Claims: []string{"address 10.0.0.5"}},
		}}})
	return s
}

func assignTo(n NodeID) Command {
	return Command{Reason: Because("PD0001"), Assign: &Assign{Hierarchy: "web", Node: n, Generation: 1, Previous: 0}}
}

func reportFrom(n NodeID, st Status, rs ...ResourceStatus) Command {
	return Command{Reason: Because("PD0002"), Report: &Report{Hierarchy: "web", Node: n, Generation: 1, Epoch: 1, Status: st, Resource: "nginx", Resources: rs}}
}

func evict(n NodeID) Command {
	return Command{Reason: Because("PD0003"), Evict: &Evict{Node: n, Generation: 1, Conf: testConf, Promises: []NodeID{1, 2, 3}}}
}

// testConf is the configuration of threeNodes: three learners, three voters,
// and the witness made a learner again.
const testConf = 8
