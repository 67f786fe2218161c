package cluster

import "slices"

func (s *State) assign(index uint64, c *Command, a *Assign) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	n := s.Node(a.Node)
	if n == nil {
		return refuse(RefusedUnknownNode, a.Node)
	}
	switch {
	case h.Owner != 0:
		return refuse(RefusedVoid, "assign: "+s.NodeName(h.Owner)+" owns it")
	case h.Epoch != a.Previous:
		return refuse(RefusedVoid, "assign: epoch changed")
	case h.FenceWait != 0 && h.FenceWait != a.Node:
		return refuse(RefusedVoid, "assign: "+s.NodeName(h.FenceWait)+" is not fenced")
	case h.Want != WantInService:
		return refuse(RefusedWantsOut, a.Hierarchy)
	case n.Presence != Present || n.Generation != a.Generation:
		return refuse(RefusedNotPresent, n.Name, n.Presence)
	case s.Maintenance:
		return refuse(RefusedClusterMaint)
	case h.Policy.Maintenance:
		return refuse(RefusedMaintenance, a.Hierarchy)
	case n.Maintenance:
		return refuse(RefusedNodeMaintenance, n.Name)
	case n.Drain:
		return refuse(RefusedDrained, n.Name)
	case n.Role != RoleNode:
		return refuse(RefusedWitness, n.Name)
	case !slices.Contains(h.Nodes, a.Node):
		return refuse(RefusedNotExtended, a.Hierarchy, n.Name)
	case h.FailedOn(a.Node):
		return refuse(RefusedFailedThere, a.Hierarchy, n.Name)
	case h.Move == nil && (s.Denies(h, h.Failover, a.Node) != Allowed || h.Asks() && h.Failover.From != a.Node):
		return refuse(RefusedPolicy, a.Hierarchy, n.Name)
	}
	if f := h.Failover; f != nil && f.From != a.Node && !f.Keeps && !f.Lost && h.Move == nil {
		h.Moves = append(h.Moves, index)
		if over := len(h.Moves) - movesMax; over > 0 {
			h.Moves = slices.Delete(h.Moves, 0, over)
		}
	}
	h.Failover = nil
	h.Owner, h.Generation = a.Node, a.Generation
	h.FenceWait, h.FenceWaitGen = 0, 0
	h.Epoch++
	h.Status, h.Reason = Starting, c.Reason
	h.settleResources(Starting)
	h.Since = s.tell(index, c, Entry{Kind: KindAssigned, Hierarchy: h.Name, Node: a.Node})
	return Result{Entry: h.Since}
}

func (s *State) report(index uint64, c *Command, a *Report) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	if !h.Owns(a.Node, a.Generation) || h.Epoch != a.Epoch {
		return refuse(RefusedVoid, "report: not the owner any more")
	}
	for _, rs := range a.Resources {
		if r := h.Resource(rs.Name); r != nil {
			r.Status, r.Reason = rs.Status, rs.Reason
		}
	}
	var entry uint64
	if !a.Quiet {
		entry = s.tell(index, c, Entry{Kind: KindStatus, Hierarchy: h.Name, Resource: a.Resource, Node: a.Node})
		s.Timeline[len(s.Timeline)-1].Reason = c.Reason
		h.Since = entry
	}
	h.Status, h.Reason = a.Status, c.Reason
	switch a.Status {
	case OutOfService:
		h.release(ReleasedStopped, index)
		if a.Keeps && h.Move == nil {
			h.fallen(Failover{From: a.Node, Entry: index, Keeps: true})
		}
		h.settleResources(OutOfService, a.Resources...)
	case Failed:
		h.release(ReleasedStopped, index)
		if h.Move == nil || h.Move.To != a.Node {
			// After a switchover that failed the planner chooses freely.
			h.fallen(Failover{From: a.Node, Entry: index, Resource: a.Resource})
		}
		h.mark(Failure{Node: a.Node, Resource: a.Resource, Reason: c.Reason, Entry: index})
		for i := range h.Resources {
			if r := &h.Resources[i]; r.Status != Failed {
				r.Status = OutOfService // the word means that everything is stopped
			}
		}
	}
	if h.Move != nil && a.Status.Serving() && h.Move.To == a.Node {
		h.Move = nil
	}
	if h.Move != nil && a.Status == Failed && h.Move.To == a.Node {
		// The switchover failed there; the planner chooses freely.
		h.Move = nil
	}
	return Result{Entry: entry}
}

func (h *Hierarchy) mark(f Failure) {
	h.Failures = slices.DeleteFunc(h.Failures, func(o Failure) bool { return o.Node == f.Node })
	h.Failures = append(h.Failures, f)
}

func (s *State) retry(index uint64, c *Command, a *Retry) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	if h.Epoch != a.Previous {
		return refuse(RefusedVoid, "retry: epoch changed")
	}
	if a.Settled {
		h.Rounds = 0
		return Result{}
	}
	if h.Owner != 0 {
		return refuse(RefusedVoid, "retry: "+s.NodeName(h.Owner)+" owns it")
	}
	if len(h.Failures) == 0 {
		return refuse(RefusedVoid, "retry: no failure stands")
	}
	h.Failures = nil
	h.Rounds++
	h.Since = s.tell(index, c, Entry{Kind: KindRetry, Hierarchy: h.Name})
	return Result{Entry: h.Since}
}

func (s *State) startMove(index uint64, c *Command, a *StartMove) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	n := s.Node(a.To)
	switch {
	case n == nil:
		return refuse(RefusedUnknownNode, a.To)
	case !slices.Contains(h.Nodes, a.To):
		return refuse(RefusedNotExtended, a.Hierarchy, n.Name)
	case h.Want != WantInService:
		return refuse(RefusedWantsOut, a.Hierarchy)
	case h.Owner == a.To && h.Move == nil:
		return refuse(RefusedAlreadyThere, a.Hierarchy, n.Name)
	case n.Presence != Present:
		return refuse(RefusedNotPresent, n.Name, n.Presence)
	case s.Maintenance:
		return refuse(RefusedClusterMaint)
	case h.Policy.Maintenance:
		return refuse(RefusedMaintenance, a.Hierarchy)
	case n.Maintenance:
		return refuse(RefusedNodeMaintenance, n.Name)
	case n.Drain:
		return refuse(RefusedDrained, n.Name)
	case h.FailedOn(a.To):
		return refuse(RefusedFailedThere, a.Hierarchy, n.Name)
	}
	if h.Move != nil && h.Move.To != a.To && h.Owner != a.To {
		// Two people ask for different things: the second one is told.
		return refuse(RefusedMoving, a.Hierarchy, s.NodeName(h.Move.To))
	}
	if o := s.Node(h.Owner); o != nil && o.ID != a.To && o.Presence == Unmanaged {
		// Nobody is there who could stop it: whoever asks would wait for ever.
		return refuse(RefusedNotPresent, o.Name, o.Presence)
	}
	if h.Owner == a.To {
		h.Move = nil
	} else {
		h.Move = &Move{To: a.To, From: h.Owner, Entry: index}
		h.Failover = nil // whoever asks for it there decides
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindMove, Hierarchy: h.Name, Node: a.To})}
}

func (s *State) cancelMove(index uint64, c *Command, a *CancelMove) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	if h.Move == nil {
		return refuse(RefusedNoMove, a.Hierarchy)
	}
	to := h.Move.To
	h.Move = nil
	return Result{Entry: s.tell(index, c, Entry{Kind: KindMoveCancelled, Hierarchy: h.Name, Node: to})}
}

func (s *State) setWant(index uint64, c *Command, a *SetWant) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	h.Want = a.Want
	h.Move, h.Failover = nil, nil
	if a.Want == WantInService {
		// Asking for service is asking for another try.
		h.Failures, h.Rounds, h.Moves = nil, 0, nil
	}
	e := s.tell(index, c, Entry{Kind: KindWant, Hierarchy: h.Name})
	if h.Owner == 0 {
		h.Since = e
		h.Status = OutOfService
	}
	return Result{Entry: e}
}

func (s *State) clearFailures(index uint64, c *Command, a *ClearFailures) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	h.Failures = slices.DeleteFunc(h.Failures, func(f Failure) bool { return a.Node == 0 || f.Node == a.Node })
	h.Rounds, h.Moves = 0, nil
	if h.Owner == 0 && h.Status == Failed {
		h.Status = OutOfService
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindCleared, Hierarchy: h.Name, Node: a.Node})}
}

// note puts an observation into the timeline. Why nobody has a hierarchy is also
// its reason, so that its status says so.
func (s *State) note(index uint64, c *Command, a *Note) Result {
	if h := s.Hierarchy(a.Hierarchy); h != nil && h.Owner == 0 && a.Kind == KindStatus {
		h.Reason = c.Reason
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: a.Kind, Hierarchy: a.Hierarchy, Resource: a.Resource, Node: a.Node})}
}
