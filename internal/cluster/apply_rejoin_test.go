package cluster

import (
	"slices"
	"testing"
)

func TestRejoin(t *testing.T) {
	rejoin := Command{Reason: Because("PD0001"), Rejoin: &Rejoin{Old: 1, HeartbeatKey: []byte("new")}}
	replaced := func(t *testing.T, s *State, r Result) {
		t.Helper()
		n := s.Node(r.Node)
		if n == nil || n.Name != "a" || n.Presence != Joining || len(n.Paths) == 0 || string(n.HeartbeatKey) != "new" {
			t.Fatalf("the new node is %+v", n)
		}
		if h := s.Hierarchy("web"); !slices.Contains(h.Nodes, r.Node) || slices.Contains(h.Nodes, 1) {
			t.Errorf("web is on %v", h.Nodes)
		}
		old := s.Node(1)
		if !old.Lost || old.Presence != Left || s.Successor(old) != n {
			t.Errorf("the old one is %+v", old)
		}
	}
	first := Command{Reason: Because("PD0001"), Rejoin: &Rejoin{Old: 1, HeartbeatKey: []byte("lost with the answer")}}
	play(t, []step{
		{name: "a node that owns nothing", cmd: rejoin, check: replaced},
		// Whoever lives under the id may be another machine, of which the asker
		// is a copy, and its lease may live.
		{name: "an owner that is not evicted", given: []Command{assignTo(1)}, cmd: rejoin, refused: RefusedOwns},
		{name: "an owner that was", given: []Command{assignTo(1), evict(1)}, cmd: rejoin, check: replaced},
		{name: "again, since the answer got lost", given: []Command{first}, cmd: rejoin, check: func(t *testing.T, s *State, r Result) {
			replaced(t, s, r)
			if lost := s.Node(r.Node - 1); lost == nil || !lost.Lost {
				t.Errorf("the node of the lost answer is %+v", lost)
			}
		}},
		{name: "again, though the new one serves", given: []Command{first, {Admit: &Admit{Node: 5, Session: "s"}}}, cmd: rejoin, refused: RefusedUnknownNode},
		{name: "again, though the new one votes", given: []Command{first, {Member: &Member{Node: 5, As: AsVoter}}}, cmd: rejoin, refused: RefusedUnknownNode},
		{name: "unknown node", cmd: Command{Rejoin: &Rejoin{Old: 9}}, refused: RefusedUnknownNode},
	})
}
