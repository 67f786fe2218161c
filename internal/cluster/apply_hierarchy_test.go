package cluster

import (
	"slices"
	"strings"
	"testing"
)

func TestHierarchies(t *testing.T) {
	create := func(c CreateHierarchy) Command { return Command{CreateHierarchy: &c} }
	res := func(name string, deps ...string) Resource {
		return Resource{Name: name, Kit: "process", DependsOn: deps}
	}
	play(t, []step{
		{name: "create", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{2, 1}, Resources: []Resource{res("z"), res("a", "z", "z")}}),
			check: func(t *testing.T, s *State, r Result) {
				h := s.Hierarchy("db")
				if h.Class != SelfGuarding || h.Want != WantOutOfService || h.Status != OutOfService || h.Since != r.Entry {
					t.Errorf("got %+v", h)
				}
				if h.Resources[0].Name != "a" || !slices.Equal(h.Resources[0].DependsOn, []string{"z"}) || h.Resources[0].Status != OutOfService {
					t.Errorf("resources %+v", h.Resources)
				}
				if s.Hierarchies[0].Name != "db" {
					t.Error("hierarchies aren't sorted by name")
				}
			}},
		{name: "name taken", cmd: create(CreateHierarchy{Name: "web", Nodes: []NodeID{1}}), refused: RefusedExists},
		{name: "bad name", cmd: create(CreateHierarchy{Name: "-web", Nodes: []NodeID{1}}), refused: RefusedBadName},
		{name: "no nodes", cmd: create(CreateHierarchy{Name: "db"}), refused: RefusedNoNodes},
		{name: "unknown node", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{9}}), refused: RefusedUnknownNode},
		{name: "on a witness", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{4}}), refused: RefusedWitness},
		{name: "a node twice", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{1, 1}}), refused: RefusedExists},
		{name: "a resource twice", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{1}, Resources: []Resource{res("a"), res("a")}}), refused: RefusedExists},
		{name: "bad resource name", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{1}, Resources: []Resource{res("")}}), refused: RefusedBadName},
		{name: "a circle", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{1}, Resources: []Resource{res("a", "b"), res("b", "a")}}), refused: RefusedCycle},
		{name: "depends on nothing known", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{1}, Resources: []Resource{res("a", "b")}}), refused: RefusedCycle},
		{name: "claims what another has", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{1}, Resources: []Resource{{Name: "ip", Kit: "ip", Claims: []string{"address 10.0.0.5"}}}}), refused: RefusedClaim},
		{name: "claims the same twice", cmd: create(CreateHierarchy{Name: "db", Nodes: []NodeID{1}, Resources: []Resource{
			{Name: "a", Kit: "ip", Claims: []string{"address 10.0.0.6"}}, {Name: "b", Kit: "ip", Claims: []string{"address 10.0.0.6"}}}}), refused: RefusedClaim},
		{name: "delete what somebody asks for", cmd: Command{DeleteHierarchy: &DeleteHierarchy{Name: "web"}}, refused: RefusedWanted},
		{name: "delete", given: []Command{{SetWant: &SetWant{Hierarchy: "web", Want: WantOutOfService}}}, cmd: Command{DeleteHierarchy: &DeleteHierarchy{Name: "web"}}, check: func(t *testing.T, s *State, _ Result) {
			if s.Hierarchy("web") != nil {
				t.Error("it is still there")
			}
		}},
		{name: "delete while owned", given: []Command{assignTo(1)}, cmd: Command{DeleteHierarchy: &DeleteHierarchy{Name: "web"}}, refused: RefusedInService},
		{name: "delete nothing", cmd: Command{DeleteHierarchy: &DeleteHierarchy{Name: "x"}}, refused: RefusedNotFound},
		{name: "another order of nodes", cmd: Command{SetHierarchy: &SetHierarchy{Name: "web", Nodes: []NodeID{3, 1}, Policy: &Policy{Switchback: true}, Class: new(Unfenced)}},
			check: func(t *testing.T, s *State, _ Result) {
				h := s.Hierarchy("web")
				if !slices.Equal(h.Nodes, []NodeID{3, 1}) || !h.Policy.Switchback || h.Class != Unfenced {
					t.Errorf("got %+v", h)
				}
			}},
		{name: "marks and moves of a node go with it",
			given: []Command{assignTo(1), reportFrom(1, Failed), {StartMove: &StartMove{Hierarchy: "web", To: 2}}},
			cmd:   Command{SetHierarchy: &SetHierarchy{Name: "web", Nodes: []NodeID{3}}},
			check: func(t *testing.T, s *State, _ Result) {
				if h := s.Hierarchy("web"); len(h.Failures) != 0 || h.Move != nil {
					t.Errorf("failures %v, move %v", h.Failures, h.Move)
				}
			}},
		{name: "not without its owner", given: []Command{assignTo(1)}, cmd: Command{SetHierarchy: &SetHierarchy{Name: "web", Nodes: []NodeID{2}}}, refused: RefusedOwns},
		{name: "not without nodes", cmd: Command{SetHierarchy: &SetHierarchy{Name: "web", Nodes: []NodeID{}}}, refused: RefusedNoNodes},
		{name: "set nothing known", cmd: Command{SetHierarchy: &SetHierarchy{Name: "x"}}, refused: RefusedNotFound},
	})
}

func TestResources(t *testing.T) {
	create := func(r Resource, parents ...string) Command {
		return Command{CreateResource: &CreateResource{Hierarchy: "web", Resource: r, Parents: parents}}
	}
	remove := func(name string) Command {
		return Command{DeleteResource: &DeleteResource{Hierarchy: "web", Name: name}}
	}
	set := func(c SetResource) Command {
		c.Hierarchy = "web"
		return Command{SetResource: &c}
	}
	play(t, []step{
		{name: "between two", cmd: create(Resource{Name: "fs", Kit: "script", DependsOn: []string{"ip"}}, "nginx"), check: func(t *testing.T, s *State, _ Result) {
			if got := s.Hierarchy("web").StartOrder(); !slices.Equal(got, []string{"ip", "fs", "nginx"}) {
				t.Errorf("order %v", got)
			}
		}},
		{name: "starts by itself where the hierarchy is", given: []Command{assignTo(1)}, cmd: create(Resource{Name: "fs", Kit: "script"}), check: func(t *testing.T, s *State, _ Result) {
			if st := s.Hierarchy("web").Resource("fs").Status; st != Starting {
				t.Errorf("status %s", st)
			}
		}},
		{name: "exists", cmd: create(Resource{Name: "ip", Kit: "ip"}), refused: RefusedExists},
		{name: "bad name", cmd: create(Resource{Name: "a/b", Kit: "ip"}), refused: RefusedBadName},
		{name: "unknown parent", cmd: create(Resource{Name: "fs", Kit: "script"}, "x"), refused: RefusedNoResource},
		{name: "unknown child", cmd: create(Resource{Name: "fs", Kit: "script", DependsOn: []string{"x"}}), refused: RefusedNoResource},
		{name: "makes a circle", cmd: create(Resource{Name: "fs", Kit: "script", DependsOn: []string{"nginx"}}, "ip"), refused: RefusedCycle},
		{name: "claims what another has", cmd: create(Resource{Name: "fs", Kit: "ip", Claims: []string{"address 10.0.0.5"}}), refused: RefusedClaim},
		{name: "no such hierarchy", cmd: Command{CreateResource: &CreateResource{Hierarchy: "x"}}, refused: RefusedNotFound},

		{name: "delete the top", cmd: remove("nginx")},
		{name: "others depend on it", cmd: remove("ip"), refused: RefusedDependedOn},
		{name: "delete what isn't there", cmd: remove("x"), refused: RefusedNoResource},
		{name: "delete in no hierarchy", cmd: Command{DeleteResource: &DeleteResource{Hierarchy: "x", Name: "ip"}}, refused: RefusedNotFound},

		{name: "settings and claims together", cmd: set(SetResource{Name: "ip", Settings: map[string]string{"address": "10.0.0.7"}, Claims: []string{"address 10.0.0.7"}, Common: &Common{RecoveryMax: -1}}),
			check: func(t *testing.T, s *State, _ Result) {
				r := s.Hierarchy("web").Resource("ip")
				if r.Settings["address"] != "10.0.0.7" || r.Claims[0] != "address 10.0.0.7" || r.Common.RecoveryMax != -1 {
					t.Errorf("got %+v", r)
				}
			}},
		{name: "its own claim again", cmd: set(SetResource{Name: "ip", Settings: map[string]string{}, Claims: []string{"address 10.0.0.5"}})},
		{name: "another's claim", cmd: set(SetResource{Name: "nginx", Settings: map[string]string{}, Claims: []string{"address 10.0.0.5"}, Common: &Common{RecoveryMax: 9}}), refused: RefusedClaim},
		{name: "no dependencies any more", cmd: set(SetResource{Name: "nginx", DependsOn: &[]string{}}), check: func(t *testing.T, s *State, _ Result) {
			if d := s.Hierarchy("web").Resource("nginx").DependsOn; len(d) != 0 {
				t.Errorf("still depends on %v", d)
			}
		}},
		{name: "on itself", cmd: set(SetResource{Name: "ip", DependsOn: &[]string{"ip"}}), refused: RefusedCycle},
		{name: "on nothing known", cmd: set(SetResource{Name: "ip", DependsOn: &[]string{"x"}}), refused: RefusedNoResource},
		{name: "in a circle", cmd: set(SetResource{Name: "ip", DependsOn: &[]string{"nginx"}}), refused: RefusedCycle},
		{name: "set what isn't there", cmd: set(SetResource{Name: "x"}), refused: RefusedNoResource},
		{name: "set in no hierarchy", cmd: Command{SetResource: &SetResource{Hierarchy: "x", Name: "ip"}}, refused: RefusedNotFound},
	})
}

func TestStartOrder(t *testing.T) {
	h := func(edges ...string) *Hierarchy {
		h := &Hierarchy{}
		for _, e := range edges {
			name, deps, _ := strings.Cut(e, "<")
			r := Resource{Name: name}
			if deps != "" {
				r.DependsOn = strings.Split(deps, ",")
			}
			h.Resources = append(h.Resources, r)
		}
		sortResources(h.Resources)
		return h
	}
	for _, c := range []struct {
		h    *Hierarchy
		want string
		ok   bool
	}{
		{h(), "", true},
		{h("a", "b", "c"), "a b c", true},
		{h("a<c", "b<c", "c"), "c a b", true},
		{h("a<b,c", "b<d", "c<d", "d"), "d b c a", true},
		{h("a<a"), "", false},
		{h("a<b", "b<c", "c<a"), "", false},
		{h("a<x"), "", false},
	} {
		got, ok := c.h.order()
		if ok != c.ok || ok && strings.Join(got, " ") != c.want {
			t.Errorf("order of %v: got %v %v, want %q %v", c.h.Resources, got, ok, c.want, c.ok)
		}
	}
}

func TestNames(t *testing.T) {
	for _, good := range []string{"a", "A9", "web-1", "a.b_c", "9", strings.Repeat("x", 63)} {
		if !ValidName(good) {
			t.Errorf("%q is refused", good)
		}
	}
	for _, bad := range []string{"", "-a", ".a", "_a", "a b", "a/b", "ä", "a\x00", "a\n", strings.Repeat("x", 64)} {
		if ValidName(bad) {
			t.Errorf("%q is accepted", bad)
		}
	}
}
