package cluster

import (
	"bytes"
	"reflect"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"
)

// anyCommand draws a command, near enough to the truth to be accepted often.
func anyCommand(t *rapid.T, s *State) *Command {
	node := rapid.SampledFrom([]NodeID{1, 2, 3, 4, 5, 9})
	gen := rapid.SampledFrom([]Generation{0, 1, 2, 3})
	name := rapid.SampledFrom([]string{"web", "db", "x"})
	res := rapid.SampledFrom([]string{"ip", "nginx", "fs"})
	n := node.Draw(t, "node")
	g := gen.Draw(t, "generation")
	if of := s.Node(n); of != nil && rapid.IntRange(0, 3).Draw(t, "right") > 0 {
		g = of.Generation
	}
	h := name.Draw(t, "hierarchy")
	var epoch Epoch
	var owner NodeID
	if of := s.Hierarchy(h); of != nil {
		epoch, owner = of.Epoch, of.Owner
	}
	if owner != 0 && rapid.Bool().Draw(t, "owner's") {
		n = owner
		if of := s.Node(n); of != nil {
			g = of.Generation
		}
	}
	c := &Command{ID: uint64(rapid.IntRange(0, 40).Draw(t, "id")), Reason: Because("PD0000", n)}
	some := func() []NodeID { return rapid.SliceOfN(node, 0, 3).Draw(t, "nodes") }
	switch rapid.IntRange(0, 39).Draw(t, "command") {
	case 0:
		c.AddToken = &AddToken{Token: Token{Hash: h, ExpiresUnix: int64(g) * 10, Role: RoleNode}, NowUnix: 5}
	case 1:
		c.AddNode = &AddNode{Name: h, Role: RoleNode, TokenHash: h, NowUnix: 5}
	case 2:
		m := Member{Node: n, As: rapid.SampledFrom([]MemberAs{AsVoter, AsLearner, AsNothing}).Draw(t, "as")}
		if !s.CheckMember(&m).Refused() { // its proposer asks first
			c.Member = &m
		}
	case 3:
		c.SetNode = &SetNode{Node: n, Maintenance: new(g == 1), WatchdogSeconds: new(int(g))}
	case 4, 5:
		c.Admit = &Admit{Node: n, Session: rapid.SampledFrom([]string{"a1", "s", "t"}).Draw(t, "session"), Previous: g}
	case 6, 7:
		c.Evict = &Evict{Node: n, Generation: g, Conf: s.Conf, Promises: some()}
	case 8:
		c.Leave = &Leave{Node: n, Generation: g}
	case 9:
		c.SetUnmanaged = &SetUnmanaged{Node: n, Generation: g, On: rapid.Bool().Draw(t, "on")}
	case 10:
		c.Fenced = &Fenced{Node: n, Generation: g}
	case 11:
		c.SetDetection = &SetDetection{Detection: rapid.SampledFrom([]time.Duration{0, time.Second, DetectionBalanced, DetectionWide}).Draw(t, "detection")}
	case 12:
		c.SettleDetection = &SettleDetection{Conf: s.Conf, Step: rapid.IntRange(0, 3).Draw(t, "step")}
	case 13, 14:
		c.Assign = &Assign{Hierarchy: h, Node: n, Generation: g, Previous: epoch}
	case 15, 16:
		c.Report = &Report{Hierarchy: h, Node: n, Generation: g, Epoch: epoch, Resource: "ip",
			Status:    rapid.SampledFrom([]Status{OutOfService, Starting, InService, Degraded, Stopping, Failed, Unknown}).Draw(t, "status"),
			Resources: []ResourceStatus{{Name: res.Draw(t, "resource"), Status: InService, Reason: Because("PD0001")}}}
	case 17:
		c.Retry = &Retry{Hierarchy: h, Previous: epoch, Settled: rapid.Bool().Draw(t, "settled")}
	case 18:
		c.StartMove = &StartMove{Hierarchy: h, To: n}
	case 19:
		c.CancelMove = &CancelMove{Hierarchy: h}
	case 20:
		c.SetWant = &SetWant{Hierarchy: h, Want: rapid.SampledFrom([]Want{WantInService, WantOutOfService}).Draw(t, "want")}
	case 21:
		c.CreateHierarchy = &CreateHierarchy{Name: h, Nodes: some(), Want: WantInService, Class: rapid.SampledFrom([]Class{"", SharedData, WatchdogOnly}).Draw(t, "class"),
			Resources: []Resource{{Name: "ip", Kit: "ip", Claims: []string{"address " + h}}}}
	case 22:
		c.SetHierarchy = &SetHierarchy{Name: h, Nodes: some(), Class: new(SharedData)}
	case 23:
		c.CreateResource = &CreateResource{Hierarchy: h, Resource: Resource{Name: res.Draw(t, "resource"), Kit: "script"}, Parents: []string{res.Draw(t, "parent")}}
	case 25:
		c.SetCluster = &SetCluster{Maintenance: new(rapid.Bool().Draw(t, "on")), QuorumLoss: new(LossReboot)}
	case 26:
		to := some()
		c.SetNode = &SetNode{Node: n, Drain: new(rapid.Bool().Draw(t, "on")), Shutdown: new(ShutdownStay), Host: new(h), OnFailure: &FailureChange{FailoverBlocked: new(g == 2), Targets: &to}}
	case 27:
		to := some()
		c.SetHierarchy = &SetHierarchy{Name: h, Change: &PolicyChange{ConfirmFailover: new(g == 1), FailoverBlocked: new(g == 2), Maintenance: new(g == 3), Targets: &to, MovesPerHour: new(int(g))}}
	case 28:
		to := some()
		c.SetResource = &SetResource{Hierarchy: h, Name: res.Draw(t, "resource"), Maintenance: new(g == 1), OnFailure: &FailureChange{NotifyOnly: new(g == 2), Targets: &to}}
	case 29:
		c.Confirm = &Confirm{Hierarchy: h, Answer: rapid.SampledFrom([]Answer{AnswerProceed, AnswerBlock}).Draw(t, "answer")}
		if of := s.Hierarchy(h); of != nil && of.Failover != nil {
			c.Confirm.Entry = of.Failover.Entry
		}
	case 30:
		c.Forget = &Forget{Node: n, All: rapid.Bool().Draw(t, "all")}
		if of := s.Hierarchy(h); of != nil && rapid.Bool().Draw(t, "moves") {
			c.Forget = &Forget{Hierarchy: h, Entries: slices.Clone(of.Moves)}
		}
	case 31:
		c.Extend = &Extend{Hierarchy: h, Node: n, At: int(g) - 1}
	case 32:
		c.Unextend = &Unextend{Hierarchy: h, Node: n}
		if of := s.Hierarchy(h); of != nil && len(of.Extending) > 0 {
			e := of.Extending[0]
			c.Unextend, c.Extended = nil, &Extended{Hierarchy: h, Node: e.Node, Entry: e.Entry, OK: rapid.Bool().Draw(t, "ok"), Seen: of.Changed}
		}
	case 33:
		c.SetDependency = &SetDependency{Hierarchy: h, Parent: res.Draw(t, "parent"), Child: res.Draw(t, "child"), On: rapid.Bool().Draw(t, "on")}
	case 24:
		c.DeleteResource = &DeleteResource{Hierarchy: h, Name: res.Draw(t, "resource")}
	default:
		anyVolumeCommand(t, s, c, n, g)
	}
	return c
}

// anyVolumeCommand draws one about the volume "data".
func anyVolumeCommand(t *rapid.T, s *State, c *Command, n NodeID, g Generation) {
	cp := Copy(rapid.IntRange(1, 3).Draw(t, "copy"))
	mode := rapid.SampledFrom([]Mode{Sync, Async}).Draw(t, "mode")
	yes := rapid.Bool().Draw(t, "yes")
	var e VolumeEpoch
	var set uint64
	if v := s.Volume("data"); v != nil {
		e, set = v.Epoch, v.Set
		if o := v.Copy(cp); o != nil {
			if of := s.Node(o.Node); of != nil {
				g = of.Generation
			}
		}
	} else {
		c.CreateVolume = &CreateVolume{Name: "data", ID: "00112233445566778899aabbccddeeff", Size: 1 << 20, BlockSize: 4096, ExtentSize: 1 << 16,
			Copy: VolumeCopy{Node: n, Device: "/dev/vdb", Mode: mode}}
		return
	}
	switch rapid.IntRange(0, 11).Draw(t, "volume command") {
	case 0:
		c.ExtendVolume = &ExtendVolume{Name: "data", Copy: VolumeCopy{Node: n, Device: "/dev/vdb", Mode: mode}, Equal: yes}
	case 1:
		c.UnextendVolume = &UnextendVolume{Name: "data", Copy: cp}
	case 2, 3:
		c.AcquireVolume = &AcquireVolume{Name: "data", Copy: cp, Generation: g, Previous: e, AcceptLoss: yes}
	case 4:
		c.ReleaseVolume = &ReleaseVolume{Name: "data", Epoch: e, Drained: CopySet(rapid.Byte().Draw(t, "drained"))}
	case 5, 6:
		c.AddInSync = &AddInSync{Name: "data", Copy: cp, Epoch: e, Set: set}
	case 7:
		c.RemoveInSync = &RemoveInSync{Name: "data", Copy: cp, Epoch: e, Set: set}
	case 8:
		c.SuspectCopy = &SuspectCopy{Name: "data", Copy: cp, Epoch: e, Set: set}
	case 9:
		c.ForceVolume = &ForceVolume{Name: "data", Copy: cp, Previous: e}
	case 10:
		c.ResolveVolume = &ResolveVolume{Name: "data", Copy: cp}
	case 11:
		if yes {
			c.DoubtVolumes = &DoubtVolumes{}
		} else {
			c.SawCopy = &SawCopy{Name: "data", Saw: SeenCopy{Copy: cp, Epoch: e, Set: set, Members: CopySet(rapid.Byte().Draw(t, "members"))}}
		}
	}
}

// TestApplyProperties puts random commands to a cluster: a refused one changes
// nothing, what must hold holds after each, a second node that applies the same
// as it comes off the wire has the same state, and nobody shares memory with
// another's state.
func TestApplyProperties(t *testing.T) {
	first := threeNodes(t)
	rapid.Check(t, func(t *rapid.T) {
		a, b := first.Clone(), first.Clone()
		epochs := make(map[string]Epoch)
		gens := make(map[NodeID]Generation)
		for range rapid.IntRange(1, 30).Draw(t, "commands") {
			c := anyCommand(t, a)
			index := a.Applied + 1
			before, had := bare(a), make(map[string]bool)
			for i := range a.Hierarchies {
				had[a.Hierarchies[i].Name] = true
			}
			ra, rb := a.Apply(index, travelled(t, c)), b.Apply(index, travelled(t, c))
			if !reflect.DeepEqual(ra, rb) {
				t.Fatalf("%s: %+v here, %+v there", c.Encode(), ra, rb)
			}
			after := bare(a)
			if !bytes.Equal(after, bare(b)) {
				t.Fatalf("%s: states differ:\n%s\n%s", c.Encode(), after, bare(b))
			}
			if (ra.Refused() || ra.Repeated) && !bytes.Equal(before, after) {
				t.Fatalf("%s: refused (%v), and the state changed:\n%s\n%s", c.Encode(), ra.Refusal, before, after)
			}
			// Epochs and generations never go back.
			for i := range a.Hierarchies {
				h := &a.Hierarchies[i]
				if had[h.Name] && h.Epoch < epochs[h.Name] {
					t.Fatalf("epoch of %s went from %d to %d", h.Name, epochs[h.Name], h.Epoch)
				}
				epochs[h.Name] = h.Epoch
			}
			for i := range a.Nodes {
				n := &a.Nodes[i]
				if n.Generation < gens[n.ID] {
					t.Fatalf("generation of %v went from %d to %d", n.ID, gens[n.ID], n.Generation)
				}
				gens[n.ID] = n.Generation
			}
			sound(t, a)
		}
		if !bytes.Equal(a.Clone().Encode(), a.Encode()) {
			t.Fatal("a clone differs")
		}
	})
}

// bare is the state without what every command changes.
func bare(s *State) []byte {
	c := *s
	c.Applied, c.Recent, c.Outcomes = 0, nil, nil
	return c.Encode()
}
