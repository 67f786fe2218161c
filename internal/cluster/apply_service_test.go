package cluster

import (
	"reflect"
	"slices"
	"testing"
)

func TestAssign(t *testing.T) {
	with := func(change func(*Assign)) Command {
		c := assignTo(1)
		change(c.Assign)
		return c
	}
	play(t, []step{
		{name: "to a present node", cmd: assignTo(1), check: func(t *testing.T, s *State, r Result) {
			h := s.Hierarchy("web")
			if h.Owner != 1 || h.Generation != 1 || h.Epoch != 1 || h.Status != Starting || h.Reason.Code != "PD0001" || h.Since != r.Entry {
				t.Errorf("got %+v", h)
			}
			for _, res := range h.Resources {
				if res.Status != Starting {
					t.Errorf("%s is %s", res.Name, res.Status)
				}
			}
		}},
		{name: "owned", given: []Command{assignTo(1)}, cmd: Command{Assign: &Assign{Hierarchy: "web", Node: 2, Generation: 1, Previous: 1}}, refused: RefusedVoid},
		{name: "another epoch", cmd: with(func(a *Assign) { a.Previous = 3 }), refused: RefusedVoid},
		{name: "another boot", cmd: with(func(a *Assign) { a.Generation = 2 }), refused: RefusedNotPresent},
		{name: "evicted", given: []Command{evict(1)}, cmd: assignTo(1), refused: RefusedNotPresent},
		{name: "left", given: []Command{{Leave: &Leave{Node: 1, Generation: 1}}}, cmd: assignTo(1), refused: RefusedNotPresent},
		{name: "unmanaged", given: []Command{{SetUnmanaged: &SetUnmanaged{Node: 1, Generation: 1, On: true}}}, cmd: assignTo(1), refused: RefusedNotPresent},
		{name: "in maintenance", given: []Command{{SetNode: &SetNode{Node: 1, Maintenance: new(true)}}}, cmd: assignTo(1), refused: RefusedNodeMaintenance},
		{name: "not extended to it", cmd: with(func(a *Assign) { a.Node = 3 }), refused: RefusedNotExtended},
		{name: "a witness", cmd: with(func(a *Assign) { a.Node, a.Generation = 4, 0 }), refused: RefusedNotPresent},
		{name: "failed there", given: []Command{assignTo(1), reportFrom(1, Failed)}, cmd: with(func(a *Assign) { a.Previous = 1 }), refused: RefusedFailedThere},
		{name: "wanted out", given: []Command{{SetWant: &SetWant{Hierarchy: "web", Want: WantOutOfService}}}, cmd: assignTo(1), refused: RefusedWantsOut},
		{name: "no such hierarchy", cmd: with(func(a *Assign) { a.Hierarchy = "x" }), refused: RefusedNotFound},
		{name: "no such node", cmd: with(func(a *Assign) { a.Node = 9 }), refused: RefusedUnknownNode},
	})
}

func TestReport(t *testing.T) {
	with := func(c Command, change func(*Report)) Command {
		change(c.Report)
		return c
	}
	assigned := []Command{assignTo(1)}
	move := Command{StartMove: &StartMove{Hierarchy: "web", To: 2}}
	play(t, []step{
		{name: "in service", given: assigned, cmd: reportFrom(1, InService, ResourceStatus{Name: "ip", Status: InService}, ResourceStatus{Name: "gone", Status: InService}),
			check: func(t *testing.T, s *State, r Result) {
				h := s.Hierarchy("web")
				if h.Status != InService || h.Owner != 1 || h.Resource("ip").Status != InService || h.Since != r.Entry || r.Entry == 0 {
					t.Errorf("got %+v", h)
				}
			}},
		{name: "quietly", given: assigned, cmd: with(reportFrom(1, InService), func(r *Report) { r.Quiet = true }), check: func(t *testing.T, s *State, r Result) {
			if last := s.Timeline[len(s.Timeline)-1]; r.Entry != 0 || last.Kind != KindAssigned || s.Hierarchy("web").Status != InService {
				t.Errorf("entry %d, last of the timeline %+v", r.Entry, last)
			}
		}},
		{name: "stopped", given: assigned, cmd: reportFrom(1, OutOfService, ResourceStatus{Name: "ip", Status: OutOfService, Reason: Because("PD0009")}),
			check: func(t *testing.T, s *State, _ Result) {
				h := s.Hierarchy("web")
				if h.Owner != 0 || h.Released != ReleasedStopped || h.LastOwner != 1 || h.FailedOn(1) {
					t.Errorf("got %+v", h)
				}
				if ip := h.Resource("ip"); ip.Status != OutOfService || ip.Reason.Code != "PD0009" {
					t.Errorf("the owner's last word on ip is lost: %+v", ip)
				}
				if h.Resource("nginx").Status != OutOfService {
					t.Errorf("nginx is %s", h.Resource("nginx").Status)
				}
			}},
		{name: "failed", given: append(assigned[:1:1], reportFrom(1, InService, ResourceStatus{Name: "ip", Status: InService})),
			cmd: reportFrom(1, Failed, ResourceStatus{Name: "nginx", Status: Failed, Reason: Because("PD0008")}),
			check: func(t *testing.T, s *State, r Result) {
				h := s.Hierarchy("web")
				if h.Owner != 0 || h.Status != Failed || !h.FailedOn(1) || h.Failures[0].Entry != r.Entry || h.Failures[0].Resource != "nginx" {
					t.Errorf("got %+v", h)
				}
				if n := h.Resource("nginx"); n.Status != Failed || n.Reason.Code != "PD0008" {
					t.Errorf("nginx: %+v", n)
				}
				if h.Resource("ip").Status != OutOfService {
					t.Errorf("ip is %s though all is stopped", h.Resource("ip").Status)
				}
			}},
		{name: "a switchover is over when it serves there", given: []Command{{SetWant: &SetWant{Hierarchy: "web", Want: WantInService}}, move,
			{Assign: &Assign{Hierarchy: "web", Node: 2, Generation: 1}}}, cmd: reportFrom(2, Degraded), check: func(t *testing.T, s *State, _ Result) {
			if s.Hierarchy("web").Move != nil {
				t.Error("the move goes on")
			}
		}},
		{name: "a switchover is over when it failed there", given: []Command{move, {Assign: &Assign{Hierarchy: "web", Node: 2, Generation: 1}}},
			cmd: reportFrom(2, Failed), check: func(t *testing.T, s *State, _ Result) {
				if s.Hierarchy("web").Move != nil {
					t.Error("the move goes on")
				}
			}},
		{name: "a switchover goes on while the old owner stops", given: []Command{assignTo(1), move}, cmd: reportFrom(1, OutOfService), check: func(t *testing.T, s *State, _ Result) {
			if m := s.Hierarchy("web").Move; m == nil || m.From != 1 {
				t.Errorf("move %+v", m)
			}
		}},
		{name: "of somebody else", given: assigned, cmd: reportFrom(2, OutOfService), refused: RefusedVoid},
		{name: "of another epoch", given: assigned, cmd: with(reportFrom(1, OutOfService), func(r *Report) { r.Epoch = 7 }), refused: RefusedVoid},
		{name: "of another boot", given: assigned, cmd: with(reportFrom(1, OutOfService), func(r *Report) { r.Generation = 7 }), refused: RefusedVoid},
		{name: "after the eviction", given: append(assigned[:1:1], evict(1)), cmd: reportFrom(1, InService), refused: RefusedVoid},
		{name: "of nobody", cmd: with(reportFrom(0, InService), func(r *Report) { r.Generation, r.Epoch = 0, 0 }), refused: RefusedVoid},
		{name: "no such hierarchy", cmd: with(reportFrom(1, InService), func(r *Report) { r.Hierarchy = "x" }), refused: RefusedNotFound},
	})
}

func TestRetry(t *testing.T) {
	retry := func(previous Epoch, settled bool) Command {
		return Command{Reason: Because("PD0007"), Retry: &Retry{Hierarchy: "web", Previous: previous, Settled: settled}}
	}
	failed := []Command{assignTo(1), reportFrom(1, Failed)}
	play(t, []step{
		{name: "after a failure", given: failed, cmd: retry(1, false), check: func(t *testing.T, s *State, _ Result) {
			if h := s.Hierarchy("web"); len(h.Failures) != 0 || h.Rounds != 1 {
				t.Errorf("failures %v, rounds %d", h.Failures, h.Rounds)
			}
		}},
		{name: "once", given: append(failed[:2:2], retry(1, false)), cmd: retry(1, false), refused: RefusedVoid},
		{name: "nothing failed", cmd: retry(0, false), refused: RefusedVoid},
		{name: "another epoch", given: failed, cmd: retry(0, false), refused: RefusedVoid},
		{name: "owned", given: []Command{assignTo(1)}, cmd: retry(1, false), refused: RefusedVoid},
		{name: "settled", given: append(failed[:2:2], retry(1, false)), cmd: retry(1, true), check: func(t *testing.T, s *State, _ Result) {
			if h := s.Hierarchy("web"); h.Rounds != 0 {
				t.Errorf("rounds %d", h.Rounds)
			}
		}},
		{name: "no such hierarchy", cmd: Command{Retry: &Retry{Hierarchy: "x"}}, refused: RefusedNotFound},
		{name: "cleared by a person", given: failed, cmd: Command{ClearFailures: &ClearFailures{Hierarchy: "web"}}, check: func(t *testing.T, s *State, _ Result) {
			if h := s.Hierarchy("web"); len(h.Failures) != 0 || h.Status != OutOfService {
				t.Errorf("failures %v, status %s", h.Failures, h.Status)
			}
		}},
		{name: "of another node only", given: failed, cmd: Command{ClearFailures: &ClearFailures{Hierarchy: "web", Node: 2}}, check: func(t *testing.T, s *State, _ Result) {
			if h := s.Hierarchy("web"); !h.FailedOn(1) {
				t.Error("the mark of node a is gone")
			}
		}},
		{name: "cleared nowhere", cmd: Command{ClearFailures: &ClearFailures{Hierarchy: "x"}}, refused: RefusedNotFound},
	})
}

func TestMoves(t *testing.T) {
	to := func(n NodeID) Command { return Command{StartMove: &StartMove{Hierarchy: "web", To: n}} }
	play(t, []step{
		{name: "to another node", given: []Command{assignTo(1)}, cmd: to(2), check: func(t *testing.T, s *State, r Result) {
			if m := s.Hierarchy("web").Move; m == nil || *m != (Move{To: 2, From: 1, Entry: r.Entry}) {
				t.Errorf("move %+v", m)
			}
		}},
		{name: "to where it is", given: []Command{assignTo(1)}, cmd: to(1), refused: RefusedAlreadyThere},
		{name: "back to where it still is", given: []Command{assignTo(1), to(2)}, cmd: to(1), check: func(t *testing.T, s *State, _ Result) {
			if s.Hierarchy("web").Move != nil {
				t.Error("it still moves")
			}
		}},
		{name: "unknown node", cmd: to(9), refused: RefusedUnknownNode},
		{name: "not extended", cmd: to(3), refused: RefusedNotExtended},
		{name: "absent", given: []Command{evict(2)}, cmd: to(2), refused: RefusedNotPresent},
		{name: "maintenance", given: []Command{{SetNode: &SetNode{Node: 2, Maintenance: new(true)}}}, cmd: to(2), refused: RefusedNodeMaintenance},
		{name: "failed there", given: []Command{assignTo(1), reportFrom(1, Failed)}, cmd: to(1), refused: RefusedFailedThere},
		{name: "wanted out", given: []Command{{SetWant: &SetWant{Hierarchy: "web", Want: WantOutOfService}}}, cmd: to(1), refused: RefusedWantsOut},
		{name: "no such hierarchy", cmd: Command{StartMove: &StartMove{Hierarchy: "x"}}, refused: RefusedNotFound},
		{name: "cancelled", given: []Command{assignTo(1), to(2)}, cmd: Command{CancelMove: &CancelMove{Hierarchy: "web"}}, check: func(t *testing.T, s *State, _ Result) {
			if e := s.Timeline[len(s.Timeline)-1]; s.Hierarchy("web").Move != nil || e.Node != 2 {
				t.Errorf("move %+v, entry %+v", s.Hierarchy("web").Move, e)
			}
		}},
		{name: "off an unmanaged node", given: []Command{assignTo(1), {SetUnmanaged: &SetUnmanaged{Node: 1, Generation: 1, On: true}}},
			cmd: to(2), refused: RefusedNotPresent},
		{name: "cancel nothing", cmd: Command{CancelMove: &CancelMove{Hierarchy: "web"}}, refused: RefusedNoMove},
		{name: "cancel nowhere", cmd: Command{CancelMove: &CancelMove{Hierarchy: "x"}}, refused: RefusedNotFound},
		{name: "wanting ends a move and forgets failures", given: []Command{assignTo(1), reportFrom(1, Failed), to(2)},
			cmd: Command{SetWant: &SetWant{Hierarchy: "web", Want: WantInService}}, check: func(t *testing.T, s *State, _ Result) {
				if h := s.Hierarchy("web"); h.Move != nil || len(h.Failures) != 0 || h.Status != OutOfService {
					t.Errorf("got %+v", h)
				}
			}},
		{name: "want of an owner changes no status", given: []Command{assignTo(1), reportFrom(1, InService)},
			cmd: Command{SetWant: &SetWant{Hierarchy: "web", Want: WantOutOfService}}, check: func(t *testing.T, s *State, _ Result) {
				if h := s.Hierarchy("web"); h.Status != InService || h.Owner != 1 {
					t.Errorf("got %+v", h)
				}
			}},
		{name: "want nothing known", cmd: Command{SetWant: &SetWant{Hierarchy: "x"}}, refused: RefusedNotFound},
	})
}

func TestNotes(t *testing.T) {
	note := func(k Kind) Command {
		return Command{Reason: Because("PD0006", "nobody"), Note: &Note{Kind: k, Hierarchy: "web"}}
	}
	reason := func(want string) func(*testing.T, *State, Result) {
		return func(t *testing.T, s *State, r Result) {
			if got := s.Hierarchy("web").Reason.Code; got != want {
				t.Errorf("reason %q, want %q", got, want)
			}
			if e := s.Timeline[len(s.Timeline)-1]; e.ID != r.Entry || e.Reason.Code != "PD0006" {
				t.Errorf("entry %+v", e)
			}
		}
	}
	play(t, []step{
		{name: "why nobody has it", cmd: note(KindStatus), check: reason("PD0006")},
		{name: "not over the owner's word", given: []Command{assignTo(1)}, cmd: note(KindStatus), check: reason("PD0001")},
		{name: "of another kind", cmd: note(KindPath), check: reason("")},
		{name: "of nothing known", cmd: Command{Note: &Note{Kind: KindStatus, Hierarchy: "x"}}},
	})
}

func TestTwiceIsOnce(t *testing.T) {
	s := threeNodes(t)
	c := assignTo(1)
	c.ID = 77
	first := s.Apply(s.Applied+1, &c)
	before := s.Clone()
	second := s.Apply(s.Applied+1, &c)
	if first.Refused() || !second.Repeated || second.Refused() {
		t.Errorf("first %+v, second %+v", first, second)
	}
	unchanged(t, before, s)
	// A refusal is remembered as well: what was refused once isn't done later.
	bad := reportFrom(2, InService)
	bad.ID = 78
	refused, again := s.Apply(s.Applied+1, &bad), s.Apply(s.Applied+1, &bad)
	if !refused.Refused() || !again.Repeated || !reflect.DeepEqual(again.Refusal, refused.Refusal) {
		t.Errorf("refused %+v, and again %+v", refused, again)
	}
	for i := range 2 * recentMax {
		s.Apply(s.Applied+1, &Command{ID: 1000 + uint64(i)})
	}
	if len(s.Recent) != recentMax || slices.Contains(s.Recent, 77) || len(s.Outcomes) != 0 {
		t.Errorf("%d ids are remembered, %d outcomes", len(s.Recent), len(s.Outcomes))
	}
}

// A join whose command comes a second time gets the id that the first gave, also
// from a snapshot.
func TestRepeatedJoinHasItsID(t *testing.T) {
	s := threeNodes(t)
	s.Apply(s.Applied+1, &Command{AddToken: &AddToken{Token: Token{Hash: "h", ExpiresUnix: 10}, NowUnix: 1}})
	join := Command{ID: 9, AddNode: &AddNode{Name: "new", Role: RoleNode, TokenHash: "h", NowUnix: 1}}
	first := s.Apply(s.Applied+1, &join)
	if first.Refused() || first.Node == 0 {
		t.Fatalf("the join: %+v", first)
	}
	for i := range recentMax - 1 {
		s.Apply(s.Applied+1, &Command{ID: 1000 + uint64(i), CancelMove: &CancelMove{Hierarchy: "none"}})
	}
	s = s.Clone()
	if again := s.Apply(s.Applied+1, &join); !again.Repeated || again.Refused() || again.Node != first.Node {
		t.Errorf("again: %+v, first %+v", again, first)
	}
	if len(s.Outcomes) > recentMax {
		t.Errorf("%d outcomes are remembered", len(s.Outcomes))
	}
}

func TestTimelineIsBounded(t *testing.T) {
	s := threeNodes(t)
	for range 2 * timelineMax {
		s.Apply(s.Applied+1, &Command{Note: &Note{Kind: KindPath}})
	}
	if n := len(s.Timeline); n != timelineMax || s.Timeline[n-1].ID != s.Applied {
		t.Errorf("%d entries, the last %d of %d", n, s.Timeline[n-1].ID, s.Applied)
	}
}
