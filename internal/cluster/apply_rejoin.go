package cluster

import (
	"fmt"
	"slices"
)

// rejoin replaces a node whose local state was lost by a new one with its name
// and place. The old id is taken out of the votes by the leader.
func (s *State) rejoin(index uint64, c *Command, a *Rejoin) Result {
	old := s.Node(a.Old)
	if old == nil || old.Lost {
		return refuse(RefusedUnknownNode, a.Old)
	}
	id := s.NextID
	s.NextID++
	n := Node{
		ID: id, Name: old.Name, Role: old.Role, Presence: Joining, Paths: old.Paths,
		HeartbeatKey: a.HeartbeatKey, Software: a.Software, Protocol: a.Protocol, Maintenance: old.Maintenance,
	}
	old.Name = fmt.Sprintf("%s~%d", old.Name, uint64(old.ID))
	old.Lost, old.Presence, old.Paths, old.HeartbeatKey = true, Left, nil, nil
	s.Nodes = append(s.Nodes, n) // old is not to be used from here on
	e := s.tell(index, c, Entry{Kind: KindRejoined, Node: id})
	s.releaseAll(a.Old, ReleasedReboot, e)
	for i := range s.Hierarchies {
		h := &s.Hierarchies[i]
		if at := slices.Index(h.Nodes, a.Old); at >= 0 {
			h.Nodes[at] = id
		}
		h.Failures = slices.DeleteFunc(h.Failures, func(f Failure) bool { return f.Node == a.Old })
		if h.Move != nil && h.Move.To == a.Old {
			h.Move = nil
		}
		if h.FenceWait == a.Old {
			h.FenceWait, h.FenceWaitGen = 0, 0
		}
		if h.LastOwner == a.Old {
			h.LastOwner = id
		}
	}
	return Result{Node: id, Entry: e}
}
