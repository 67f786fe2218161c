package cluster

import (
	"slices"
	"testing"
	"time"
)

func TestJoining(t *testing.T) {
	token := func(hash string, expires int64, role Role) Command {
		return Command{AddToken: &AddToken{Token: Token{Hash: hash, ExpiresUnix: expires, Role: role}, NowUnix: 10}}
	}
	join := func(hash, name string, role Role, addr string) Command {
		return Command{AddNode: &AddNode{Name: name, Role: role, TokenHash: hash, NowUnix: 20, Paths: []Path{{Network: "lan", Address: addr}}}}
	}
	play(t, []step{
		{name: "a good token admits", given: []Command{token("t", 99, RoleNode)}, cmd: join("t", "d", RoleNode, "192.0.2.9:7000"),
			check: func(t *testing.T, s *State, r Result) {
				n := s.Node(r.Node)
				if n == nil || n.Name != "d" || n.Presence != Joining || r.Node != 5 || s.NextID != 6 {
					t.Errorf("got %+v as %v", n, r.Node)
				}
				if s.IsVoter(r.Node) {
					t.Error("a new node has a vote at once")
				}
			}},
		{name: "no token", cmd: join("t", "d", RoleNode, "192.0.2.9:7000"), refused: RefusedToken},
		{name: "a token works once", given: []Command{token("t", 99, ""), join("t", "d", RoleNode, "192.0.2.9:7000")},
			cmd: join("t", "e", RoleNode, "192.0.2.10:7000"), refused: RefusedToken},
		{name: "expired", given: []Command{token("t", 19, "")}, cmd: join("t", "d", RoleNode, "192.0.2.9:7000"), refused: RefusedToken},
		{name: "for another role", given: []Command{token("t", 99, RoleWitness)}, cmd: join("t", "d", RoleNode, "192.0.2.9:7000"), refused: RefusedToken},
		{name: "name taken", given: []Command{token("t", 99, "")}, cmd: join("t", "a", RoleNode, "192.0.2.9:7000"), refused: RefusedNameTaken},
		{name: "bad name", given: []Command{token("t", 99, "")}, cmd: join("t", "../x", RoleNode, "192.0.2.9:7000"), refused: RefusedBadName},
		{name: "address taken", given: []Command{token("t", 99, "")}, cmd: join("t", "d", RoleNode, "192.0.2.2:7000"), refused: RefusedAddressTaken},
		{name: "old tokens are dropped", given: []Command{token("t", 12, "")},
			cmd: Command{AddToken: &AddToken{Token: Token{Hash: "u", ExpiresUnix: 99}, NowUnix: 50}},
			check: func(t *testing.T, s *State, _ Result) {
				if len(s.Tokens) != 1 || s.Tokens[0].Hash != "u" {
					t.Errorf("tokens: %v", s.Tokens)
				}
			}},
	})
}

func TestMembers(t *testing.T) {
	play(t, []step{
		{name: "a voter is removed", cmd: Command{Member: &Member{Node: 3, As: AsNothing}},
			check: func(t *testing.T, s *State, _ Result) {
				if s.Node(3) != nil || s.IsVoter(3) || s.Conf != testConf+1 {
					t.Errorf("voters %v, configuration %d", s.Voters, s.Conf)
				}
			}},
		{name: "its moves and marks go with it",
			given: []Command{assignTo(1), {StartMove: &StartMove{Hierarchy: "web", To: 2}}},
			cmd:   Command{Member: &Member{Node: 2, As: AsNothing}},
			check: func(t *testing.T, s *State, _ Result) {
				if h := s.Hierarchy("web"); h.Move != nil || len(h.Nodes) != 1 {
					t.Errorf("move %v, nodes %v", h.Move, h.Nodes)
				}
			}},
	})
	for _, c := range []struct {
		name  string
		given []Command
		m     Member
		want  string
	}{
		{"a learner", nil, Member{Node: 4, As: AsVoter}, ""},
		{"unknown", nil, Member{Node: 9, As: AsVoter}, RefusedUnknownNode},
		{"owner", []Command{assignTo(1)}, Member{Node: 1, As: AsNothing}, RefusedOwns},
		{"owner stays as learner", []Command{assignTo(1)}, Member{Node: 1, As: AsLearner}, ""},
		{"last voter", []Command{{Member: &Member{Node: 2, As: AsLearner}}, {Member: &Member{Node: 3, As: AsLearner}}}, Member{Node: 1, As: AsLearner}, RefusedLastVoter},
		{"last voter but a witness", []Command{{Member: &Member{Node: 4, As: AsVoter}}, {Member: &Member{Node: 2, As: AsLearner}}, {Member: &Member{Node: 3, As: AsLearner}}},
			Member{Node: 1, As: AsLearner}, RefusedLastVoter},
		{"a witness beside the last node", []Command{{Member: &Member{Node: 4, As: AsVoter}}, {Member: &Member{Node: 2, As: AsLearner}}, {Member: &Member{Node: 3, As: AsLearner}}},
			Member{Node: 4, As: AsLearner}, ""},
		{"while a detection time settles", []Command{{SetDetection: &SetDetection{Detection: time.Second}}}, Member{Node: 4, As: AsVoter}, RefusedSettling},
	} {
		t.Run("check "+c.name, func(t *testing.T) {
			s := threeNodes(t)
			for i := range c.given {
				s.Apply(s.Applied+1, &c.given[i])
			}
			if got := s.CheckMember(&c.m).Refusal.Code; got != c.want {
				t.Errorf("got %q, want %q", got, c.want)
			}
		})
	}
	full := threeNodes(t)
	full.Voters = []NodeID{1, 2, 3, 11, 12, 13, 14}
	if got := full.CheckMember(&Member{Node: 4, As: AsVoter}).Refusal.Code; got != RefusedTooManyVoters {
		t.Errorf("an eighth voter: got %q", got)
	}
}

func TestAdmission(t *testing.T) {
	admit := func(session string, previous Generation) Command {
		return Command{Admit: &Admit{Node: 1, Session: session, Previous: previous}}
	}
	play(t, []step{
		{name: "the next boot", given: []Command{assignTo(1)}, cmd: admit("a2", 1), check: func(t *testing.T, s *State, _ Result) {
			h := s.Hierarchy("web")
			if s.Node(1).Generation != 2 || h.Owner != 0 || h.Released != ReleasedReboot || h.LastOwner != 1 {
				t.Errorf("generation %d, owner %v, released %q", s.Node(1).Generation, h.Owner, h.Released)
			}
		}},
		{name: "the same boot twice", given: []Command{assignTo(1)}, cmd: admit("a1", 1), check: func(t *testing.T, s *State, _ Result) {
			if s.Node(1).Generation != 1 || s.Hierarchy("web").Owner != 1 {
				t.Error("admitting the same session again took something away")
			}
		}},
		{name: "late", cmd: admit("a0", 0), refused: RefusedVoid},
		{name: "unknown node", cmd: Command{Admit: &Admit{Node: 9, Session: "x"}}, refused: RefusedUnknownNode},
		{name: "ends an eviction", given: []Command{evict(1)}, cmd: admit("a2", 1), check: func(t *testing.T, s *State, _ Result) {
			if s.Node(1).Presence != Present {
				t.Errorf("presence %s", s.Node(1).Presence)
			}
		}},
		{name: "states that its earlier boots can't write any more",
			given: []Command{{SetHierarchy: &SetHierarchy{Name: "web", Class: new(SharedData)}}, assignTo(1), evict(1)},
			cmd:   admit("a2", 1), check: func(t *testing.T, s *State, _ Result) {
				if h := s.Hierarchy("web"); h.FenceWait != 0 {
					t.Errorf("still waits for %v", h.FenceWait)
				}
			}},
	})
}

func TestEviction(t *testing.T) {
	with := func(change func(*Evict)) Command {
		c := evict(1)
		change(c.Evict)
		return c
	}
	play(t, []step{
		{name: "by a majority", given: []Command{assignTo(1)}, cmd: evict(1), check: func(t *testing.T, s *State, r Result) {
			h := s.Hierarchy("web")
			if s.Node(1).Presence != Evicted || h.Owner != 0 || h.Released != ReleasedEvicted || h.Since != r.Entry || h.FenceWait != 0 {
				t.Errorf("presence %s, hierarchy %+v", s.Node(1).Presence, h)
			}
		}},
		{name: "shared data waits for fencing", given: []Command{{SetHierarchy: &SetHierarchy{Name: "web", Class: new(SharedData)}}, assignTo(1)},
			cmd: evict(1), check: func(t *testing.T, s *State, _ Result) {
				if h := s.Hierarchy("web"); h.FenceWait != 1 || h.FenceWaitGen != 1 {
					t.Errorf("waits for %v generation %d", h.FenceWait, h.FenceWaitGen)
				}
			}},
		{name: "another generation", cmd: with(func(e *Evict) { e.Generation = 2 }), refused: RefusedVoid},
		{name: "another configuration", cmd: with(func(e *Evict) { e.Conf-- }), refused: RefusedVoid},
		{name: "after the configuration changed", given: []Command{{Member: &Member{Node: 4, As: AsVoter}}}, cmd: evict(1), refused: RefusedVoid},
		{name: "promised by a minority", cmd: with(func(e *Evict) { e.Promises = []NodeID{2} }), refused: RefusedVoid},
		{name: "promised by who has no vote", cmd: with(func(e *Evict) { e.Promises = []NodeID{2, 4, 9} }), refused: RefusedVoid},
		{name: "promised twice by one", cmd: with(func(e *Evict) { e.Promises = []NodeID{2, 2, 2} }), refused: RefusedVoid},
		{name: "after the node left", given: []Command{{Leave: &Leave{Node: 1, Generation: 1}}}, cmd: evict(1), refused: RefusedVoid},
		{name: "an unmanaged node", given: []Command{{SetUnmanaged: &SetUnmanaged{Node: 1, Generation: 1, On: true}}}, cmd: evict(1), refused: RefusedVoid},
		{name: "unknown node", cmd: evict(9), refused: RefusedUnknownNode},
	})
}

func TestLeavingAndUnmanaged(t *testing.T) {
	unmanaged := func(on bool, g Generation) Command {
		c := Command{SetUnmanaged: &SetUnmanaged{Node: 1, Generation: g, On: on}}
		if !on {
			c.SetUnmanaged.HandOvers = 1
		}
		return c
	}
	play(t, []step{
		{name: "leave", cmd: Command{Leave: &Leave{Node: 1, Generation: 1}}, check: func(t *testing.T, s *State, _ Result) {
			if s.Node(1).Presence != Left {
				t.Errorf("presence %s", s.Node(1).Presence)
			}
		}},
		{name: "not while it owns", given: []Command{assignTo(1)}, cmd: Command{Leave: &Leave{Node: 1, Generation: 1}}, refused: RefusedOwns},
		{name: "another boot's leave", cmd: Command{Leave: &Leave{Node: 1, Generation: 2}}, refused: RefusedVoid},
		{name: "unknown node leaves", cmd: Command{Leave: &Leave{Node: 9, Generation: 1}}, refused: RefusedUnknownNode},
		{name: "unmanaged keeps what it owns", given: []Command{assignTo(1)}, cmd: unmanaged(true, 1), check: func(t *testing.T, s *State, _ Result) {
			if s.Node(1).Presence != Unmanaged || s.Hierarchy("web").Owner != 1 {
				t.Errorf("presence %s, owner %v", s.Node(1).Presence, s.Hierarchy("web").Owner)
			}
		}},
		{name: "and managed again", given: []Command{unmanaged(true, 1)}, cmd: unmanaged(false, 1), check: func(t *testing.T, s *State, _ Result) {
			if s.Node(1).Presence != Present {
				t.Errorf("presence %s", s.Node(1).Presence)
			}
		}},
		{name: "asked twice", given: []Command{unmanaged(true, 1)}, cmd: unmanaged(true, 1)},
		// The daemon was about to manage again when it was asked to hand over once
		// more: what it said first comes late, when no guardian holds a deadline.
		{name: "a late end of an earlier hand-over", given: []Command{unmanaged(true, 1), unmanaged(true, 1)}, cmd: unmanaged(false, 1), refused: RefusedVoid},
		{name: "another boot's", cmd: unmanaged(true, 2), refused: RefusedVoid},
		{name: "an evicted node", given: []Command{evict(1)}, cmd: unmanaged(true, 1), refused: RefusedNotPresent},
		{name: "managed though evicted", given: []Command{evict(1)}, cmd: unmanaged(false, 1), refused: RefusedNotPresent},
		{name: "unknown node", cmd: Command{SetUnmanaged: &SetUnmanaged{Node: 9}}, refused: RefusedUnknownNode},
	})
}

func TestFencing(t *testing.T) {
	shared := []Command{{SetHierarchy: &SetHierarchy{Name: "web", Class: new(SharedData)}}, assignTo(1), evict(1)}
	takeOver := Command{Reason: Because("PD0001"), Assign: &Assign{Hierarchy: "web", Node: 2, Generation: 1, Previous: 1}}
	fenced := Command{Fenced: &Fenced{Node: 1, Generation: 1, How: "power"}}
	unmanaged := func(g Generation) Command {
		return Command{SetUnmanaged: &SetUnmanaged{Node: 1, Generation: g, On: true}}
	}
	play(t, []step{
		{name: "no takeover before", given: shared, cmd: takeOver, refused: RefusedVoid},
		{name: "takeover after", given: append(shared[:3:3], fenced), cmd: takeOver},
		{name: "of another boot", given: shared, cmd: Command{Fenced: &Fenced{Node: 1, Generation: 2}}, refused: RefusedVoid},
		{name: "nothing waits", cmd: fenced, refused: RefusedVoid},
		{name: "an unmanaged node", given: append(shared[:2:2], unmanaged(1)), cmd: fenced, check: func(t *testing.T, s *State, _ Result) {
			if h := s.Hierarchy("web"); h.Owner != 0 || h.Released != ReleasedFenced || h.FenceWait != 0 || s.Node(1).Presence != Evicted {
				t.Errorf("owner %v, released %q, waits for %v, node is %s", h.Owner, h.Released, h.FenceWait, s.Node(1).Presence)
			}
		}},
		{name: "an unmanaged node's takeover", given: append(shared[:2:2], unmanaged(1), fenced), cmd: takeOver},
		{name: "an unmanaged node's earlier boot", given: append(shared[:2:2], unmanaged(1)), cmd: Command{Fenced: &Fenced{Node: 1}}, refused: RefusedVoid},
		{name: "a managed node", given: shared[:2], cmd: fenced, refused: RefusedVoid},
		{name: "no deletion before", given: shared, cmd: Command{DeleteHierarchy: &DeleteHierarchy{Name: "web"}}, refused: RefusedInService},
		{name: "no change of class before", given: shared, cmd: Command{SetHierarchy: &SetHierarchy{Name: "web", Class: new(Unfenced)}}, refused: RefusedInService},
	})
}

func TestDetection(t *testing.T) {
	set := func(d time.Duration) Command { return Command{SetDetection: &SetDetection{Detection: d}} }
	settle := func(conf uint64, step int) Command {
		return Command{SettleDetection: &SettleDetection{Conf: conf, Step: step}}
	}
	lower := set(time.Second)
	play(t, []step{
		{name: "raised at once", cmd: set(5 * time.Second), check: func(t *testing.T, s *State, _ Result) {
			if s.Detection != 5*time.Second || s.Ceiling != 5*time.Second || s.Settling != 0 || s.Conf != testConf+1 {
				t.Errorf("detection %v, ceiling %v, settling %d, configuration %d", s.Detection, s.Ceiling, s.Settling, s.Conf)
			}
		}},
		{name: "lowered under the old ceiling", cmd: lower, check: func(t *testing.T, s *State, _ Result) {
			if s.Detection != time.Second || s.Ceiling != DetectionBalanced || s.Settling != 1 {
				t.Errorf("detection %v, ceiling %v, settling %d", s.Detection, s.Ceiling, s.Settling)
			}
		}},
		{name: "first step", given: []Command{lower}, cmd: settle(testConf+1, 1), check: func(t *testing.T, s *State, _ Result) {
			if s.Settling != 2 || s.Ceiling != DetectionBalanced {
				t.Errorf("settling %d, ceiling %v", s.Settling, s.Ceiling)
			}
		}},
		{name: "second step", given: []Command{lower, settle(testConf+1, 1)}, cmd: settle(testConf+1, 2), check: func(t *testing.T, s *State, _ Result) {
			if s.Settling != 0 || s.Ceiling != time.Second {
				t.Errorf("settling %d, ceiling %v", s.Settling, s.Ceiling)
			}
		}},
		{name: "steps in order", given: []Command{lower}, cmd: settle(testConf+1, 2), refused: RefusedVoid},
		{name: "of another configuration", given: []Command{lower}, cmd: settle(testConf, 1), refused: RefusedVoid},
		{name: "nothing settles", cmd: settle(testConf, 1), refused: RefusedVoid},
		{name: "one at a time", given: []Command{lower}, cmd: set(5 * time.Second), refused: RefusedSettling},
		{name: "the same again", cmd: set(DetectionBalanced), check: func(t *testing.T, s *State, _ Result) {
			if s.Conf != testConf {
				t.Error("nothing changed, and the configuration did")
			}
		}},
		{name: "too short", cmd: set(100 * time.Millisecond), refused: RefusedDetection},
		{name: "too long", cmd: set(time.Hour), refused: RefusedDetectionLong},
	})
}

func TestSetNode(t *testing.T) {
	play(t, []step{
		{name: "all of it", cmd: Command{SetNode: &SetNode{Node: 2, Software: new("v2"), Protocol: new(2), WatchdogSeconds: new(10), Maintenance: new(true),
			Paths: []Path{{Network: "lan2", Address: "198.51.100.2:7000"}}}}, check: func(t *testing.T, s *State, r Result) {
			n := s.Node(2)
			if n.Software != "v2" || n.Protocol != 2 || n.WatchdogSeconds != 10 || !n.Maintenance || n.Paths[0].Network != "lan2" || r.Entry == 0 {
				t.Errorf("got %+v", n)
			}
		}},
		{name: "what a node tells of itself is no entry", cmd: Command{SetNode: &SetNode{Node: 2, Software: new("v2")}}, check: func(t *testing.T, _ *State, r Result) {
			if r.Entry != 0 {
				t.Error("it made an entry")
			}
		}},
		{name: "its own address again", cmd: Command{SetNode: &SetNode{Node: 2, Paths: []Path{{Network: "lan", Address: "192.0.2.2:7000"}}}}},
		{name: "another's address", cmd: Command{SetNode: &SetNode{Node: 2, Paths: []Path{{Network: "lan", Address: "192.0.2.1:7000"}}, Maintenance: new(true)}}, refused: RefusedAddressTaken},
		{name: "bad network", cmd: Command{SetNode: &SetNode{Node: 2, Paths: []Path{{Network: "a b", Address: "x"}}}}, refused: RefusedBadName},
		{name: "unknown", cmd: Command{SetNode: &SetNode{Node: 9, Maintenance: new(true)}}, refused: RefusedUnknownNode},
	})
}

// An owner that is removed all the same, because the change was under way
// before it became one, stays a node: else nobody could take its hierarchies
// from it.
func TestRemovedOwnerStaysANode(t *testing.T) {
	s := threeNodes(t)
	a := assignTo(2)
	if r := s.Apply(s.Applied+1, &a); r.Refused() {
		t.Fatal(r.Refusal)
	}
	r := s.Apply(s.Applied+1, &Command{Member: &Member{Node: 2, As: AsNothing}})
	if r.Refusal.Code != RefusedOwns || s.Conf != testConf+1 {
		t.Errorf("result %+v, configuration %d", r, s.Conf)
	}
	if s.Node(2) == nil || s.IsVoter(2) || slices.Contains(s.Learners, 2) || s.Hierarchy("web").Owner != 2 {
		t.Errorf("nodes %+v, voters %v", s.Nodes, s.Voters)
	}
	if r := s.Apply(s.Applied+1, &Command{Reason: Because("PD0003"), Evict: &Evict{Node: 2, Generation: 1, Conf: s.Conf, Promises: []NodeID{1, 3}}}); r.Refused() {
		t.Errorf("its eviction: %v", r.Refusal)
	}
	if h := s.Hierarchy("web"); h.Owner != 0 {
		t.Errorf("web is still owned by %v", h.Owner)
	}
	sound(t, s)
}
