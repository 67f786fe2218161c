package core

import (
	"errors"
	"testing"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

const aNode, aWitness = cluster.RoleNode, cluster.RoleWitness

func TestNodesAreAdmittedAndHoldLeases(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	b.until("admitted", b.present)
	b.run(benchD)
	for id, c := range b.cores {
		if l := c.Lease(); !l.Alive(b.now) || l.Generation != 1 {
			t.Errorf("%v: lease %+v at %v", id, l, b.now.Boot)
		}
	}
}

// A leader that refuses its own proposal answers itself while it sends.
func TestLeaderRefusesItsOwnProposal(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	c := b.leader()
	for i := range uint64(3) {
		b.step(c.self, Propose{Command: cluster.Command{ID: 100 + i, Member: &cluster.Member{Node: 99, As: cluster.AsVoter}}})
	}
	b.run(benchD)
	if rs := b.all[c.self].Replies; len(rs) != 3 || rs[0].Result.Refusal.Code != cluster.RefusedUnknownNode {
		t.Errorf("replies %+v", rs)
	}
}

func TestProposalsOfAnybodyAreAnswered(t *testing.T) {
	b := newBench(t, aNode, aNode, aWitness)
	for _, c := range b.others(b.leader()) {
		b.step(c.self, Propose{Command: cluster.Command{ID: 7 + uint64(c.self), SetNode: &cluster.SetNode{Node: 1, Maintenance: new(true)}}})
		b.run(benchD)
		if rs := b.all[c.self].Replies; len(rs) != 1 || rs[0].Result.Refused() || rs[0].Unknown {
			t.Errorf("%v: replies %+v", c.self, rs)
		}
	}
}

func TestWithoutAMajorityTheOutcomeIsUnknown(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	c := b.others(b.leader())[0]
	b.cut[c.self] = true
	b.step(c.self, Propose{Command: cluster.Command{ID: 7, SetNode: &cluster.SetNode{Node: 1, Maintenance: new(true)}}})
	b.run(outsideDeadline + benchD)
	if rs := b.all[c.self].Replies; len(rs) != 1 || !rs[0].Unknown {
		t.Errorf("replies %+v", rs)
	}
}

// Two nodes that only a third sees still form one cluster.
func TestRelay(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	b.until("admitted", b.present)
	c := b.cores[1]
	m := &Message{From: 2, To: 3, Ask: &arbiter.Ask{}}
	b.all[1].Messages = nil
	b.step(1, MessageReceived{From: 2, Message: m})
	if out := b.all[1].Messages; len(out) != 1 || !out[0].Relayed || out[0].Via != 3 || out[0].From != 2 {
		t.Fatalf("passed on as %+v", out)
	}
	b.all[1].Messages = nil
	b.step(1, MessageReceived{From: 2, Message: &Message{From: 2, To: 3, Relayed: true, Ask: &arbiter.Ask{}}})
	b.step(1, MessageReceived{From: 2, Message: &Message{From: 2, To: 77, Ask: &arbiter.Ask{}}})
	for _, m := range b.all[1].Messages {
		if m.From == 2 {
			t.Errorf("passed on once more, or to nobody: %+v", m)
		}
	}
	// Node 2 is not heard, but node 3 hears both.
	c.peers[2].heard -= benchD
	if via := c.route(b.now, &Message{To: 2}); via != 3 {
		t.Errorf("goes by %v", via)
	}
	c.peers[3].beat.Heard = nil
	if via := c.route(b.now, &Message{To: 2}); via != 2 {
		t.Errorf("goes by %v though nobody hears node 2", via)
	}
}

// What an answer promises is on the disk before it is spoken.
func TestPromiseIsDurableBeforeItIsSaid(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	b.until("admitted", b.present)
	voter, suspect := b.cores[1], b.cores[3]
	b.run(benchD)
	b.cut = map[cluster.NodeID]bool{1: true, 2: true, 3: true} // only this test speaks
	b.run(2 * benchD)
	b.slow[1] = true
	ask := arbiter.Ask{Node: 3, Generation: suspect.state.Node(3).Generation, Conf: voter.state.Conf, Phase: arbiter.Do}
	said := func() (yes int) {
		for _, m := range b.all[1].Messages {
			if m.Answer != nil && m.Answer.Yes && m.Answer.Phase == arbiter.Do {
				yes++
			}
		}
		return yes
	}
	b.step(1, MessageReceived{From: 2, Message: &Message{From: 2, To: 1, Ask: &ask}})
	op := b.written[1]
	if op == nil || len(op.Local) == 0 {
		t.Fatalf("nothing is written: %+v", op)
	}
	if said() != 0 {
		t.Fatal("said before it was written")
	}
	if a := voter.voter.Acknowledge(b.now, voter.state, arbiter.Beat{Node: 3, Generation: ask.Generation}); a.Refusal != arbiter.RefusedPromised {
		t.Errorf("acknowledged while the promise is being written: %+v", a)
	}
	b.step(1, Persisted{ID: op.ID})
	if said() != 1 {
		t.Fatalf("said %d times after it was written", said())
	}
	promises, err := decodeLocal(op.Local)
	if err != nil || len(promises) != 1 || promises[0] != (arbiter.Promise{Node: 3, Generation: ask.Generation}) {
		t.Errorf("written: %v, %v", promises, err)
	}
	b.step(1, MessageReceived{From: 2, Message: &Message{From: 2, To: 1, Ask: &ask}})
	if said() != 2 {
		t.Error("a promise that is on disk isn't said again at once")
	}
}

// A full disk is said once, and tried again after a while.
func TestDiskFull(t *testing.T) {
	b := newBench(t, aNode)
	b.until("admitted", b.present)
	b.slow[1] = true
	b.step(1, Propose{Command: cluster.Command{ID: 5, SetNode: &cluster.SetNode{Node: 1, Maintenance: new(true)}}})
	b.drain()
	for range 3 {
		op := b.written[1]
		if op == nil {
			t.Fatal("nothing is written")
		}
		delete(b.written, 1)
		b.step(1, Persisted{ID: op.ID, Err: errors.New("no space left on device")})
		b.run(900 * time.Millisecond)
		if b.written[1] != nil {
			t.Fatal("tried again too soon")
		}
		b.run(200 * time.Millisecond)
	}
	if n := len(b.all[1].Alarms); n != 1 {
		t.Errorf("said %d times", n)
	}
	b.slow[1] = false
	b.step(1, Persisted{ID: b.written[1].ID})
	b.run(benchD)
	if rs := b.all[1].Replies; len(rs) != 1 || rs[0].Result.Refused() {
		t.Errorf("replies %+v", rs)
	}
}

// While the guardian knows no deadlines the cluster isn't told that the node is
// managed.
func TestManagedOnlyAfterTheGuardian(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	b.until("admitted", b.present)
	c := b.others(b.leader())[0]
	at := func(p cluster.Presence) func() bool {
		return func() bool { return c.state.Node(c.self).Presence == p }
	}
	b.step(c.self, Manage{Unmanaged: true})
	b.until("unmanaged", at(cluster.Unmanaged))
	c = b.start(Config{Self: c.self, Role: aNode, Seed: 9, Session: session(aNode, c.self), Unmanaged: true,
		Disk: Disk{HardState: c.log.hard, Snapshot: snapshotOf(c.state, c.appliedT)}})
	b.run(4 * benchD)
	if !at(cluster.Unmanaged)() {
		t.Fatalf("the node is %s before its guardian is ready", c.state.Node(c.self).Presence)
	}
	if !c.Lease().Alive(b.now) {
		t.Error("an unmanaged node gets no lease, and can never come back")
	}
	b.step(c.self, Manage{})
	b.until("managed", at(cluster.Present))
}

// A learner forgets a silent leader: a candidate may not know that it lost its
// vote.
func TestLearnerForgetsTheLeader(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	lead := b.leader()
	c := b.others(lead)[0]
	b.step(lead.self, Propose{Command: cluster.Command{ID: 3, Member: &cluster.Member{Node: c.self, As: cluster.AsLearner}}})
	b.until("a learner", func() bool { return !c.state.IsVoter(c.self) })
	b.cut[c.self] = true
	b.run(benchD)
	if l := c.View(b.now).Leader; l != 0 {
		t.Errorf("still believes in %v", l)
	}
}

// The only voter leads though its disk is slower than what it is told: a vote
// for itself isn't thrown away before it is written.
func TestOnlyVoterWaitsForItsDisk(t *testing.T) {
	b := newBench(t, aNode)
	b.queue = nil
	b.slow[1] = true
	c := b.start(Config{Self: 1, Role: aNode, Seed: 1, Session: "n1-2",
		Disk: Genesis(cluster.New("c", "bench", cluster.AddNode{Name: "n1", Role: aNode}, 0))})
	for range 20 {
		for range 3 {
			b.step(1, Manage{}) // whatever it is told meanwhile
		}
		if op := b.written[1]; op != nil {
			delete(b.written, 1)
			b.step(1, Persisted{ID: op.ID})
		}
	}
	if !c.isLeader() {
		t.Errorf("it doesn't lead; it is in term %d", c.raft.term)
	}
}

// The last node leaves in order though nobody is there to lead after it.
func TestLastNodeLeaves(t *testing.T) {
	b := newBench(t, aNode, aWitness, aWitness)
	b.until("admitted", b.present)
	b.step(1, Shutdown{Move: true})
	b.until("gone", func() bool { return b.all[1].Departed != nil })
	if p := b.cores[2].state.Node(1).Presence; p != cluster.Left {
		t.Errorf("it is %s", p)
	}
}

// A witness never leads for long.
func TestWitnessHandsOver(t *testing.T) {
	b := newBench(t, aNode, aNode, aWitness)
	b.until("admitted", b.present)
	for range 5 {
		lead := b.leader()
		if lead.role == aWitness {
			t.Fatal("the witness leads")
		}
		b.cut[lead.self] = true
		b.run(2 * benchD)
		b.cut[lead.self] = false
		b.run(benchD)
	}
}

// A node isn't removed while something is being assigned to it: the removal
// would be applied after the assignment, and nobody could take it away any more.
func TestNoRemovalAcrossAnAssignment(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	b.until("admitted", b.present)
	lead := b.leader()
	x := b.others(lead)[0]
	ask := func(c cluster.Command) { b.step(lead.self, Propose{Command: c}) }
	ask(cluster.Command{ID: 1, CreateHierarchy: &cluster.CreateHierarchy{Name: "web", Nodes: []cluster.NodeID{x.self}}})
	b.run(benchD)
	b.slow[lead.self] = true
	ask(cluster.Command{ID: 2, SetWant: &cluster.SetWant{Hierarchy: "web", Want: cluster.WantInService}})
	ask(cluster.Command{ID: 3, Assign: &cluster.Assign{Hierarchy: "web", Node: x.self, Generation: 1}})
	ask(cluster.Command{ID: 4, Member: &cluster.Member{Node: x.self, As: cluster.AsNothing}})
	b.slow[lead.self] = false
	b.step(lead.self, Persisted{ID: b.written[lead.self].ID})
	b.run(2 * benchD)
	if h := lead.state.Hierarchy("web"); h.Owner != x.self {
		t.Fatalf("web is owned by %v", h.Owner)
	}
	if lead.state.Node(x.self) == nil {
		t.Fatal("the owner was removed")
	}
	for _, r := range b.all[lead.self].Replies {
		if r.ID == 4 && r.Result.Refusal.Code != cluster.RefusedOwns {
			t.Errorf("the removal: %+v", r.Result)
		}
	}
}

// Should an owner be removed all the same, it becomes a node of the cluster
// again and keeps its lease, so that it can be taken out as everybody else.
func TestRemovedOwnerComesBackAsALearner(t *testing.T) {
	b := newBench(t, aNode, aNode, aNode)
	b.until("admitted", b.present)
	lead := b.leader()
	x := b.others(lead)[0]
	ask := func(c cluster.Command) { b.step(lead.self, Propose{Command: c}) }
	ask(cluster.Command{ID: 1, CreateHierarchy: &cluster.CreateHierarchy{Name: "web", Nodes: []cluster.NodeID{x.self}}})
	ask(cluster.Command{ID: 2, SetWant: &cluster.SetWant{Hierarchy: "web", Want: cluster.WantInService}})
	b.until("assigned", func() bool { h := lead.state.Hierarchy("web"); return h != nil && h.Owner == x.self })
	// As if the change had been under way: no check before it is proposed.
	remove := cluster.Command{ID: 3, Member: &cluster.Member{Node: x.self, As: cluster.AsNothing}}
	lead.proposeChange(raftpb.ConfChangeType_ConfChangeRemoveNode, x.self, remove.Encode())
	b.until("removed", func() bool { return !lead.state.IsVoter(x.self) })
	b.until("given a vote again", func() bool { return lead.state.IsVoter(x.self) && b.present() })
	if !x.Lease().Alive(b.now) || lead.state.Hierarchy("web").Owner != x.self {
		t.Errorf("lease %+v, web is owned by %v", x.Lease(), lead.state.Hierarchy("web").Owner)
	}
}
