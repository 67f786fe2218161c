package cluster

import "testing"

// A claim that an owner may still hold is nobody else's.
func TestClaimsOutliveTheirResource(t *testing.T) {
	s := New("c", "c", AddNode{Name: "a", Role: RoleNode}, 0)
	s.Nodes[0].Presence, s.Nodes[0].Generation = Present, 1
	do := func(c Command) Result { return s.Apply(s.Applied+1, &c) }
	address := func(claim string) Resource { return Resource{Name: "ip", Kit: "ip", Claims: []string{claim}} }
	for _, c := range []Command{
		{CreateHierarchy: &CreateHierarchy{Name: "h1", Nodes: []NodeID{1}, Want: WantInService, Resources: []Resource{address("address x")}}},
		{CreateHierarchy: &CreateHierarchy{Name: "h2", Nodes: []NodeID{1}, Want: WantInService}},
		{Assign: &Assign{Hierarchy: "h1", Node: 1, Generation: 1}},
		{DeleteResource: &DeleteResource{Hierarchy: "h1", Name: "ip"}},
	} {
		if r := do(c); r.Refused() {
			t.Fatal(r.Refusal)
		}
	}
	take := Command{CreateResource: &CreateResource{Hierarchy: "h2", Resource: address("address x")}}
	if r := do(take); r.Refusal.Code != RefusedClaim {
		t.Fatalf("an address was given away while its owner may have it: %+v", r)
	}
	if r := do(Command{Report: &Report{Hierarchy: "h1", Node: 1, Generation: 1, Epoch: 1, Status: OutOfService}, Reason: Because("PD0001")}); r.Refused() {
		t.Fatal(r.Refusal)
	}
	if r := do(take); r.Refused() {
		t.Fatalf("the address isn't free after its owner stopped: %v", r.Refusal)
	}
}
