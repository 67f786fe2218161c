package cluster

import "slices"

// fallen remembers that nobody asked for the hierarchy to have no owner.
func (h *Hierarchy) fallen(f Failover) {
	if h.Want == WantInService {
		h.Failover = &f
	}
}

// fall counts an end of the node that nobody asked for.
func (n *Node) fall(entry uint64) {
	n.Falls = append(n.Falls, entry)
	if over := len(n.Falls) - fallsMax; over > 0 {
		n.Falls = slices.Delete(n.Falls, 0, over)
	}
	if len(n.Falls) >= fallsMax && n.Quarantine == 0 {
		n.Quarantine = entry
	}
}

// confirm takes a decision about a failover. It is void unless the failover is
// the one that was asked about.
func (s *State) confirm(index uint64, c *Command, a *Confirm) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	if h.Failover == nil || h.Failover.Entry != a.Entry {
		return refuse(RefusedNoQuestion, a.Hierarchy)
	}
	f := *h.Failover // others may hold the state before
	f.Answer = a.Answer
	h.Failover = &f
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfirmed, Hierarchy: h.Name})}
}

// forget drops what is long past, or was judged by a person.
func (s *State) forget(index uint64, c *Command, a *Forget) Result {
	old := func(e uint64) bool { return slices.Contains(a.Entries, e) }
	if a.Node != 0 {
		n := s.Node(a.Node)
		if n == nil {
			return refuse(RefusedUnknownNode, a.Node)
		}
		if a.Release != 0 && a.Release != n.Quarantine {
			return refuse(RefusedVoid, "forget: another quarantine")
		}
		n.Falls = slices.DeleteFunc(slices.Clone(n.Falls), old)
		if a.All {
			n.Falls = nil
		}
		if a.Release != 0 || a.All && n.Quarantine != 0 {
			n.Quarantine = 0
			return Result{Entry: s.tell(index, c, Entry{Kind: KindForgotten, Node: a.Node})}
		}
		return Result{}
	}
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	h.Moves = slices.DeleteFunc(slices.Clone(h.Moves), old)
	return Result{}
}

// Denial says which rule forbids a failover to a node.
type Denial string

const (
	Allowed           Denial = ""
	DeniedByPerson    Denial = "person"    // who was asked and said no
	DeniedKept        Denial = "kept"      // for the node that was shut down
	DeniedByHierarchy Denial = "hierarchy" // failover is blocked for it
	DeniedByNode      Denial = "node"      // failover is blocked from its node
	DeniedByResource  Denial = "resource"  // failover is blocked for what failed
	DeniedByTargets   Denial = "targets"   // the node isn't among the allowed targets
)

// Denies says which rule forbids that node to takes over what f is about;
// [Allowed] if none does. A person's word to proceed lifts the blocks, and the
// lists of targets hold all the same.
func (s *State) Denies(h *Hierarchy, f *Failover, to NodeID) Denial {
	if f == nil || to == f.From {
		return Allowed
	}
	from, res := FailurePolicy{}, FailurePolicy{}
	if n := s.Node(f.From); n != nil {
		from = n.OnFailure
	}
	if r := h.Resource(f.Resource); r != nil {
		res = r.OnFailure
	}
	for _, list := range [][]NodeID{h.Policy.Targets, from.Targets, res.Targets} {
		if len(list) > 0 && !slices.Contains(list, to) {
			return DeniedByTargets
		}
	}
	switch {
	case f.Answer == AnswerProceed:
		return Allowed
	case f.Answer == AnswerBlock:
		return DeniedByPerson
	case f.Keeps:
		return DeniedKept
	case res.FailoverBlocked:
		return DeniedByResource
	case h.Policy.FailoverBlocked:
		return DeniedByHierarchy
	case from.FailoverBlocked:
		return DeniedByNode
	}
	return Allowed
}

// Asks reports whether the failover waits for a person.
func (h *Hierarchy) Asks() bool {
	return h.Policy.ConfirmFailover && h.Failover != nil && h.Failover.Answer == "" && !h.Failover.Keeps
}

// NotifyOnly reports whether failures of the resource on node id are only
// reported.
func (s *State) NotifyOnly(h *Hierarchy, r *Resource, id NodeID) bool {
	n := s.Node(id)
	return h.Policy.NotifyOnly || r.OnFailure.NotifyOnly || n != nil && n.OnFailure.NotifyOnly
}

// MovesMax is the bound on failovers because of failures within an hour;
// negative: none.
func (p *Policy) MovesMax() int {
	if p.MovesPerHour == 0 {
		return MovesPerHourDefault
	}
	return p.MovesPerHour
}

// checkTargets refuses nodes that don't exist or host nothing.
func (s *State) checkTargets(ids *[]NodeID) Result {
	if ids == nil || len(*ids) == 0 {
		return Result{}
	}
	return s.checkNodes("", *ids)
}

func (h *Hierarchy) forgetNode(id NodeID) {
	h.Policy.Targets = without(h.Policy.Targets, id)
	h.Extending = slices.DeleteFunc(slices.Clone(h.Extending), func(e Extension) bool { return e.Node == id })
	if h.Failover != nil && h.Failover.From == id {
		h.Failover = nil
	}
	for i := range h.Resources {
		h.Resources[i].OnFailure.forgetNode(id)
	}
}

func (h *Hierarchy) replaceNode(was, id NodeID) {
	replaceIn(h.Policy.Targets, was, id)
	for i := range h.Extending {
		if h.Extending[i].Node == was {
			h.Extending[i].Node = id
		}
	}
	if h.Failover != nil && h.Failover.From == was {
		f := *h.Failover
		f.From = id
		h.Failover = &f
	}
	for i := range h.Resources {
		replaceIn(h.Resources[i].OnFailure.Targets, was, id)
	}
}
