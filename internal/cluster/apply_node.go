package cluster

import (
	"errors"
	"slices"
)

// New is the state of a cluster that has just been made by its first node.
func New(id, name string, first AddNode, wallMilli int64) *State {
	s := &State{
		Version: StateVersion, Cluster: id, Name: name, Lineage: 1, Conf: 1,
		Detection: DetectionBalanced, Ceiling: DetectionBalanced,
		NextID: 2, Voters: []NodeID{1},
		Nodes: []Node{{
			ID: 1, Name: first.Name, Role: first.Role, Presence: Joining, Paths: first.Paths,
			HeartbeatKey: first.HeartbeatKey, Software: first.Software, Protocol: first.Protocol,
		}},
	}
	s.tell(1, &Command{WallMilli: wallMilli}, Entry{Kind: KindClusterCreated, Node: 1})
	s.Applied = 1
	return s
}

func (s *State) addToken(a *AddToken) Result {
	s.Tokens = slices.DeleteFunc(s.Tokens, func(t Token) bool {
		return t.UsedBy != 0 || t.ExpiresUnix < a.NowUnix || t.Hash == a.Token.Hash
	})
	s.Tokens = append(s.Tokens, a.Token)
	return Result{}
}

func (s *State) addNode(index uint64, c *Command, a *AddNode) Result {
	if !ValidName(a.Name) {
		return refuse(RefusedBadName, a.Name)
	}
	i := slices.IndexFunc(s.Tokens, func(t Token) bool { return t.Hash == a.TokenHash })
	if i < 0 {
		return refuse(RefusedToken)
	}
	t := &s.Tokens[i]
	if t.UsedBy != 0 || t.ExpiresUnix < a.NowUnix || t.Role != "" && t.Role != a.Role {
		return refuse(RefusedToken)
	}
	if s.NodeByName(a.Name) != nil {
		return refuse(RefusedNameTaken, a.Name)
	}
	if r := s.pathsFree(0, a.Paths); r.Refused() {
		return r
	}
	id := s.NextID
	s.NextID++
	t.UsedBy = id
	s.Nodes = append(s.Nodes, Node{
		ID: id, Name: a.Name, Role: a.Role, Presence: Joining, Paths: a.Paths,
		HeartbeatKey: a.HeartbeatKey, Software: a.Software, Protocol: a.Protocol,
	})
	e := s.tell(index, c, Entry{Kind: KindNodeAdded, Node: id})
	return Result{Node: id, Entry: e}
}

// pathsFree refuses an address that another node has.
func (s *State) pathsFree(self NodeID, paths []Path) Result {
	for _, p := range paths {
		if !ValidName(p.Network) {
			return refuse(RefusedBadName, p.Network)
		}
		for i := range s.Nodes {
			n := &s.Nodes[i]
			if n.ID == self {
				continue
			}
			for _, q := range n.Paths {
				if q.Address == p.Address {
					return refuse(RefusedAddressTaken, p.Address, n.Name)
				}
			}
		}
	}
	return Result{}
}

// CheckMember says whether the change of members would be refused. The leader
// asks before it proposes, because raft can't take back a configuration change.
func (s *State) CheckMember(m *Member) Result {
	n := s.Node(m.Node)
	if n == nil {
		return refuse(RefusedUnknownNode, m.Node)
	}
	if s.Settling != 0 {
		// The rule that leases end with their configuration holds for one
		// change at a time; see docs/design/leases.md.
		return refuse(RefusedSettling)
	}
	switch m.As {
	case AsVoter:
		if !s.IsVoter(m.Node) && len(s.Voters) >= MaxVoters {
			return refuse(RefusedTooManyVoters, MaxVoters)
		}
	default:
		// A witness that has the only vote never leads: nothing could be decided
		// any more.
		leads := func(v NodeID) bool {
			o := s.Node(v)
			return v != m.Node && o != nil && o.Role == RoleNode
		}
		if s.IsVoter(m.Node) && !slices.ContainsFunc(s.Voters, leads) {
			return refuse(RefusedLastVoter, n.Name)
		}
	}
	if m.As == AsNothing {
		return s.keepsNothing(n)
	}
	return Result{}
}

// ownsNothing refuses what must not be done to the owner of a hierarchy.
func (s *State) ownsNothing(n *Node) Result {
	for i := range s.Hierarchies {
		if s.Hierarchies[i].Owner == n.ID {
			return refuse(RefusedOwns, n.Name, s.Hierarchies[i].Name)
		}
	}
	return Result{}
}

// keepsNothing also refuses it to a node that has a copy of a volume.
func (s *State) keepsNothing(n *Node) Result {
	for i := range s.Volumes {
		if s.Volumes[i].CopyOn(n.ID) != nil {
			return refuse(RefusedHasCopy, n.Name, s.Volumes[i].Name)
		}
	}
	return s.ownsNothing(n)
}

// member is applied together with raft's own change, which is why that can't be
// refused any more: the proposer asked CheckMember, and raft allows one change
// at a time. An owner that is removed all the same stays a node, because only
// as one can it stop its hierarchies or be evicted; it is without a vote, and
// the leader makes it a learner again.
func (s *State) member(index uint64, c *Command, m *Member) Result {
	drop := func(ids []NodeID) []NodeID {
		return slices.DeleteFunc(ids, func(id NodeID) bool { return id == m.Node })
	}
	s.Voters, s.Learners = drop(s.Voters), drop(s.Learners)
	var res Result
	kind := KindVoter
	switch m.As {
	case AsVoter:
		s.Voters = append(s.Voters, m.Node)
		slices.Sort(s.Voters)
	case AsLearner:
		s.Learners = append(s.Learners, m.Node)
		slices.Sort(s.Learners)
	case AsNothing:
		if n := s.Node(m.Node); n != nil {
			res = s.keepsNothing(n)
		}
		if !res.Refused() {
			kind = KindNodeRemoved
			s.removeNode(m.Node)
		}
	}
	s.Conf++
	res.Entry = s.tell(index, c, Entry{Kind: kind, Node: m.Node})
	return res
}

func (s *State) removeNode(id NodeID) {
	s.Nodes = slices.DeleteFunc(s.Nodes, func(n Node) bool { return n.ID == id })
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		h.Nodes = slices.DeleteFunc(h.Nodes, func(n NodeID) bool { return n == id })
		h.Failures = slices.DeleteFunc(h.Failures, func(f Failure) bool { return f.Node == id })
		if h.Move != nil && h.Move.To == id {
			h.Move = nil
		}
		h.forgetNode(id)
	}
	for i := range s.Nodes {
		s.Nodes[i].OnFailure.forgetNode(id)
	}
}

func (s *State) setNode(index uint64, c *Command, a *SetNode) Result {
	n := s.Node(a.Node)
	if n == nil {
		return refuse(RefusedUnknownNode, a.Node)
	}
	if a.OnFailure != nil {
		if r := s.checkTargets(a.OnFailure.Targets); r.Refused() {
			return r
		}
	}
	if a.Paths != nil {
		if r := s.pathsFree(a.Node, a.Paths); r.Refused() {
			return r
		}
		n.Paths = a.Paths
	}
	if a.Software != nil {
		n.Software = *a.Software
	}
	if a.Protocol != nil {
		n.Protocol = *a.Protocol
	}
	if a.WatchdogSeconds != nil {
		n.WatchdogSeconds = *a.WatchdogSeconds
	}
	if a.Maintenance != nil {
		n.Maintenance = *a.Maintenance
	}
	if a.API != nil {
		n.API = *a.API
	}
	if a.Drain != nil {
		n.Drain = *a.Drain
	}
	if a.OnFailure != nil {
		a.OnFailure.to(&n.OnFailure)
	}
	set(&n.Shutdown, a.Shutdown)
	set(&n.Host, a.Host)
	if a.Paths == nil && a.Maintenance == nil && a.Drain == nil && a.API == nil && a.OnFailure == nil && a.Shutdown == nil {
		return Result{}
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured, Node: a.Node})}
}

func (s *State) admit(index uint64, c *Command, a *Admit) Result {
	n := s.Node(a.Node)
	if n == nil {
		return refuse(RefusedUnknownNode, a.Node)
	}
	if n.Session == a.Session && n.Presence == Present {
		return Result{} // the same boot asked twice
	}
	if n.Generation != a.Previous {
		return refuse(RefusedVoid, "admit: generation "+gen(n.Generation))
	}
	crashed := n.Presence == Present
	n.Generation++
	n.Session = a.Session
	n.Presence = Present
	e := s.tell(index, c, Entry{Kind: KindAdmitted, Node: a.Node})
	if crashed {
		n.fall(e)
	}
	s.releaseAll(a.Node, ReleasedReboot, e)
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if h.FenceWait == a.Node {
			// It states itself that its earlier boots are over.
			h.FenceWait, h.FenceWaitGen = 0, 0
		}
	}
	return Result{Entry: e}
}

func (s *State) evict(index uint64, c *Command, a *Evict) Result {
	n := s.Node(a.Node)
	if n == nil {
		return refuse(RefusedUnknownNode, a.Node)
	}
	switch {
	case n.Generation != a.Generation:
		return refuse(RefusedVoid, "evict: generation "+gen(n.Generation))
	case s.Conf != a.Conf:
		return refuse(RefusedVoid, "evict: configuration changed")
	case n.Presence != Present:
		return refuse(RefusedVoid, "evict: node is "+string(n.Presence))
	}
	votes := 0
	for _, v := range s.Voters {
		if slices.Contains(a.Promises, v) {
			votes++
		}
	}
	if votes < s.Majority() {
		return refuse(RefusedVoid, "evict: not promised by a majority")
	}
	n.Presence = Evicted
	e := s.tell(index, c, Entry{Kind: KindEvicted, Node: a.Node})
	n.fall(e)
	s.releaseAll(a.Node, ReleasedEvicted, e)
	return Result{Entry: e}
}

// releaseAll takes every hierarchy from a node that can't serve any more.
func (s *State) releaseAll(id NodeID, how Release, entry uint64) {
	s.releaseSources(id)
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if h.Owner != id {
			continue
		}
		if how == ReleasedEvicted && (h.Class == SharedData || h.Class == WatchdogOnly) {
			h.FenceWait, h.FenceWaitGen = id, h.Generation
		}
		h.release(how, entry)
		h.fallen(Failover{From: id, Entry: entry, Lost: true})
		h.Status = OutOfService
		h.Reason = Because(ReasonReleased, s.NodeName(id), string(how))
		h.settleResources(OutOfService)
	}
}

// ReasonReleased: the owner {0} let go: {1}.
const ReasonReleased = "PD3016"

func (h *Hierarchy) release(how Release, entry uint64) {
	h.LastOwner, h.Released = h.Owner, how
	h.Owner, h.Generation, h.Releasing = 0, 0, nil
	h.Since = entry
}

// settleResources gives all resources a status. What the owner's last word says
// of a resource stays with it.
func (h *Hierarchy) settleResources(st Status, last ...ResourceStatus) {
	for i := range h.Resources {
		r := &h.Resources[i]
		r.Status = st
		if !slices.ContainsFunc(last, func(rs ResourceStatus) bool { return rs.Name == r.Name }) {
			r.Reason = Reason{}
		}
	}
}

func (s *State) leave(index uint64, c *Command, a *Leave) Result {
	n := s.Node(a.Node)
	if n == nil {
		return refuse(RefusedUnknownNode, a.Node)
	}
	if n.Generation != a.Generation {
		return refuse(RefusedVoid, "leave: generation "+gen(n.Generation))
	}
	if r := s.ownsNothing(n); r.Refused() {
		return r
	}
	n.Presence = Left
	s.releaseSources(a.Node)
	return Result{Entry: s.tell(index, c, Entry{Kind: KindLeft, Node: a.Node})}
}

func (s *State) setUnmanaged(index uint64, c *Command, a *SetUnmanaged) Result {
	n := s.Node(a.Node)
	if n == nil {
		return refuse(RefusedUnknownNode, a.Node)
	}
	if n.Generation != a.Generation {
		return refuse(RefusedVoid, "unmanaged: generation "+gen(n.Generation))
	}
	from, to, kind := Present, Unmanaged, KindUnmanaged
	if !a.On {
		from, to, kind = Unmanaged, Present, KindManaged
	}
	switch {
	case n.Presence != from && n.Presence != to:
		return refuse(RefusedNotPresent, n.Name, n.Presence)
	case a.On:
		n.HandOvers++
	case n.Presence == from && a.HandOvers != n.HandOvers:
		return refuse(RefusedVoid, "managed: a later hand-over was asked for")
	}
	if n.Presence == to {
		return Result{}
	}
	n.Presence = to
	return Result{Entry: s.tell(index, c, Entry{Kind: kind, Node: a.Node})}
}

func (s *State) fenced(index uint64, c *Command, a *Fenced) Result {
	done := false
	if n := s.Node(a.Node); n != nil && n.Presence == Unmanaged && n.Generation == a.Generation {
		// Nobody watches its services, so only this word ends them: they went
		// with the machine. Nothing waits for a fencing that just happened.
		n.Presence = Evicted
		e := s.tell(index, c, Entry{Kind: KindFenced, Node: a.Node})
		s.releaseAll(a.Node, ReleasedFenced, e)
		return Result{Entry: e}
	}
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if h.FenceWait == a.Node && h.FenceWaitGen == a.Generation {
			h.FenceWait, h.FenceWaitGen = 0, 0
			h.Since = index
			done = true
		}
	}
	if !done {
		return refuse(RefusedVoid, "fenced: nothing waits for it")
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindFenced, Node: a.Node})}
}

func (s *State) setDetection(index uint64, c *Command, a *SetDetection) Result {
	if err := CheckDetection(a.Detection, 0); err != nil {
		return refuseDetection(err)
	}
	if s.Settling != 0 {
		return refuse(RefusedSettling)
	}
	if a.Detection == s.Detection {
		return Result{}
	}
	if a.Detection < s.Detection {
		s.Settling = 1
	} else {
		s.Ceiling = a.Detection
	}
	s.Detection = a.Detection
	s.Conf++
	return Result{Entry: s.tell(index, c, Entry{Kind: KindDetection})}
}

func refuseDetection(err error) Result {
	d := new(DetectionError)
	errors.As(err, &d)
	code, args := d.Says()
	return refuse(code, args...)
}

func (s *State) settleDetection(a *SettleDetection) Result {
	if a.Conf != s.Conf || a.Step != s.Settling {
		return refuse(RefusedVoid, "settle: configuration changed")
	}
	switch a.Step {
	case 1:
		s.Settling = 2
	case 2:
		s.Settling = 0
		s.Ceiling = s.Detection
	}
	return Result{}
}

func gen(g Generation) string { return NodeID(g).String()[1:] }
