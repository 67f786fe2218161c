package cluster

import (
	"fmt"
	"slices"
	"strings"
)

// rejoin replaces a node whose local state was lost by a new one with its name
// and place. The old id is taken out of the votes by the leader.
func (s *State) rejoin(index uint64, c *Command, a *Rejoin) Result {
	old := s.Node(a.Old)
	if old != nil && old.Lost {
		// The answer to its first request got lost, so nobody is the new node.
		old = s.Successor(old)
		if old != nil && (old.Presence != Joining || s.IsVoter(old.ID)) {
			old = nil
		}
	}
	if old == nil {
		return refuse(RefusedUnknownNode, a.Old)
	}
	if i := slices.IndexFunc(s.Hierarchies, func(h Hierarchy) bool { return h.Owner == old.ID }); i >= 0 && old.Presence == Present {
		// Somebody else may live under the id: a machine of which this one is a
		// copy. Its eviction comes within the detection time, or never.
		return refuse(RefusedOwns, old.Name, s.Hierarchies[i].Name)
	}
	was := old.ID
	id := s.NextID
	s.NextID++
	n := Node{
		ID: id, Name: old.Name, Role: old.Role, Presence: Joining, Paths: old.Paths,
		HeartbeatKey: a.HeartbeatKey, Software: a.Software, Protocol: a.Protocol, Maintenance: old.Maintenance, Drain: old.Drain,
		OnFailure: old.OnFailure, Shutdown: old.Shutdown, Host: old.Host, Falls: slices.Clone(old.Falls), Quarantine: old.Quarantine,
	}
	old.Name = fmt.Sprintf("%s~%d", old.Name, uint64(old.ID))
	old.Lost, old.Presence, old.Paths = true, Left, nil
	// Its key stays, so that it can ask again, until the new one was heard.
	s.Nodes = append(s.Nodes, n) // old is not to be used from here on
	e := s.tell(index, c, Entry{Kind: KindRejoined, Node: id})
	s.releaseAll(was, ReleasedReboot, e)
	for i := range s.Volumes {
		if cp := s.Volumes[i].CopyOn(was); cp != nil {
			cp.Node = id // the device is still there; its superblock says what it is worth
		}
	}
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if at := slices.Index(h.Nodes, was); at >= 0 {
			h.Nodes[at] = id
		}
		h.Failures = slices.DeleteFunc(h.Failures, func(f Failure) bool { return f.Node == was })
		if h.Move != nil && h.Move.To == was {
			h.Move = nil
		}
		if h.FenceWait == was {
			h.FenceWait, h.FenceWaitGen = 0, 0
		}
		if h.LastOwner == was {
			h.LastOwner = id
		}
		h.replaceNode(was, id)
	}
	for i := range s.Nodes {
		s.Nodes[i].OnFailure.replaceNode(was, id)
	}
	return Result{Node: id, Entry: e}
}

// Successor is the node that came in the place of one whose local state was
// lost; nil if there is none any more.
func (s *State) Successor(old *Node) *Node {
	name, _ := strings.CutSuffix(old.Name, fmt.Sprintf("~%d", uint64(old.ID)))
	if n := s.NodeByName(name); n != nil && !n.Lost {
		return n
	}
	return nil
}
