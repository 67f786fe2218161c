package cluster

import (
	"cmp"
	"slices"
)

func (s *State) createHierarchy(index uint64, c *Command, a *CreateHierarchy) Result {
	if !ValidName(a.Name) {
		return refuse(RefusedBadName, a.Name)
	}
	if s.Hierarchy(a.Name) != nil {
		return refuse(RefusedExists, a.Name)
	}
	if r := s.checkNodes(a.Name, a.Nodes); r.Refused() {
		return r
	}
	if r := s.checkTargets(&a.Policy.Targets); r.Refused() {
		return r
	}
	h := Hierarchy{Name: a.Name, Nodes: slices.Clone(a.Nodes), Class: cmp.Or(a.Class, SelfGuarding),
		Policy: a.Policy, Want: cmp.Or(a.Want, WantOutOfService), Status: OutOfService, Changed: index}
	for _, r := range a.Resources {
		if res := s.checkResource(&h, &r); res.Refused() {
			return res
		}
		h.add(r)
	}
	if _, ok := h.order(); !ok {
		return refuse(RefusedCycle, a.Name)
	}
	h.Since = s.tell(index, c, Entry{Kind: KindConfigured, Hierarchy: a.Name})
	s.Hierarchies = append(s.Hierarchies, h)
	slices.SortFunc(s.Hierarchies, func(a, b Hierarchy) int { return cmp.Compare(a.Name, b.Name) })
	return Result{Entry: index}
}

func (s *State) checkNodes(name string, ids []NodeID) Result {
	if len(ids) == 0 {
		return refuse(RefusedNoNodes, name)
	}
	for i, id := range ids {
		n := s.Node(id)
		switch {
		case n == nil:
			return refuse(RefusedUnknownNode, id)
		case n.Role != RoleNode:
			return refuse(RefusedWitness, n.Name)
		case slices.Contains(ids[:i], id):
			return refuse(RefusedExists, n.Name)
		}
	}
	return Result{}
}

func (s *State) checkResource(h *Hierarchy, r *Resource) Result {
	if !ValidName(r.Name) {
		return refuse(RefusedBadName, r.Name)
	}
	if h.Resource(r.Name) != nil {
		return refuse(RefusedExists, r.Name)
	}
	return s.checkClaims(h, r.Name, r.Claims)
}

// checkClaims refuses what another resource has claimed, in any hierarchy.
func (s *State) checkClaims(h *Hierarchy, self string, claims []string) Result {
	taken := func(o *Hierarchy) (string, string) {
		for i := range o.Resources {
			r := &o.Resources[i]
			if o.Name == h.Name && r.Name == self {
				continue
			}
			for _, cl := range r.Claims {
				if slices.Contains(claims, cl) {
					return cl, o.Name + "/" + r.Name
				}
			}
		}
		for _, cl := range o.Releasing {
			if o.Name != h.Name && slices.Contains(claims, cl) {
				return cl, o.Name
			}
		}
		return "", ""
	}
	if cl, by := taken(h); cl != "" {
		return refuse(RefusedClaim, cl, by)
	}
	for i := range s.Hierarchies {
		if cl, by := taken(&s.Hierarchies[i]); cl != "" {
			return refuse(RefusedClaim, cl, by)
		}
	}
	return Result{}
}

func (h *Hierarchy) add(r Resource) {
	r.DependsOn = sortedNames(r.DependsOn)
	r.Status = OutOfService
	if h.Owner != 0 {
		r.Status = Starting
	}
	r.Reason = Reason{}
	h.Resources = append(h.Resources, r)
	sortResources(h.Resources)
}

func (s *State) deleteHierarchy(index uint64, c *Command, a *DeleteHierarchy) Result {
	h := s.Hierarchy(a.Name)
	if h == nil {
		return refuse(RefusedNotFound, a.Name)
	}
	if h.Owner != 0 || h.FenceWait != 0 {
		return refuse(RefusedInService, a.Name)
	}
	if h.Want == WantInService {
		// Somebody else may just have asked for it.
		return refuse(RefusedWanted, a.Name)
	}
	s.Hierarchies = slices.DeleteFunc(s.Hierarchies, func(h Hierarchy) bool { return h.Name == a.Name })
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured, Hierarchy: a.Name})}
}

func (s *State) setHierarchy(index uint64, c *Command, a *SetHierarchy) Result {
	h := s.Hierarchy(a.Name)
	if h == nil {
		return refuse(RefusedNotFound, a.Name)
	}
	if a.Seen != 0 && a.Seen != h.Changed {
		return refuse(RefusedChanged, a.Name)
	}
	if a.Change != nil {
		if r := s.checkTargets(a.Change.Targets); r.Refused() {
			return r
		}
	}
	if a.Policy != nil {
		if r := s.checkTargets(&a.Policy.Targets); r.Refused() {
			return r
		}
	}
	if a.Nodes != nil {
		if r := s.checkNodes(a.Name, a.Nodes); r.Refused() {
			return r
		}
		if h.Owner != 0 && !slices.Contains(a.Nodes, h.Owner) {
			return refuse(RefusedOwns, s.NodeName(h.Owner), a.Name)
		}
	}
	if a.Class != nil && *a.Class != h.Class && h.FenceWait != 0 {
		return refuse(RefusedInService, a.Name)
	}
	if a.Nodes != nil {
		h.setNodes(slices.Clone(a.Nodes))
	}
	if a.Policy != nil {
		h.Policy = *a.Policy
	}
	if a.Change != nil {
		a.Change.to(&h.Policy)
	}
	if a.Class != nil {
		h.Class = *a.Class
	}
	h.Changed = index
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured, Hierarchy: a.Name})}
}

// setNodes replaces the order of nodes, and forgets what was about others.
func (h *Hierarchy) setNodes(ids []NodeID) {
	h.Nodes = ids
	gone := func(id NodeID) bool { return !slices.Contains(h.Nodes, id) }
	h.Failures = slices.DeleteFunc(h.Failures, func(f Failure) bool { return gone(f.Node) })
	h.Extending = slices.DeleteFunc(h.Extending, func(e Extension) bool { return !gone(e.Node) })
	if h.Move != nil && gone(h.Move.To) {
		h.Move = nil
	}
	if h.Failover != nil && gone(h.Failover.From) {
		h.Failover = nil // it can't go back there
	}
}

func (s *State) createResource(index uint64, c *Command, a *CreateResource) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	if r := s.checkResource(h, &a.Resource); r.Refused() {
		return r
	}
	try := Hierarchy{Name: h.Name, Owner: h.Owner, Resources: slices.Clone(h.Resources)}
	try.add(a.Resource)
	for _, p := range a.Parents {
		r := try.Resource(p)
		if r == nil {
			return refuse(RefusedNoResource, p, h.Name)
		}
		r.DependsOn = sortedNames(append(slices.Clone(r.DependsOn), a.Resource.Name))
	}
	if r := try.checkDependencies(); r.Refused() {
		return r
	}
	h.Resources, h.Changed = try.Resources, index
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured, Hierarchy: h.Name, Resource: a.Resource.Name})}
}

// giveUp keeps claims from others while an owner may still hold what they are
// about: it learns of the change only after it was made.
func (h *Hierarchy) giveUp(before, after []string) {
	if h.Owner == 0 {
		return
	}
	for _, c := range before {
		if !slices.Contains(after, c) && !slices.Contains(h.Releasing, c) {
			h.Releasing = append(h.Releasing, c)
		}
	}
}

// checkDependencies refuses cycles, and dependencies on what isn't there.
func (h *Hierarchy) checkDependencies() Result {
	for i := range h.Resources {
		for _, d := range h.Resources[i].DependsOn {
			if h.Resource(d) == nil {
				return refuse(RefusedNoResource, d, h.Name)
			}
		}
	}
	if _, ok := h.order(); !ok {
		return refuse(RefusedCycle, h.Name)
	}
	return Result{}
}

func (s *State) deleteResource(index uint64, c *Command, a *DeleteResource) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	if h.Resource(a.Name) == nil {
		return refuse(RefusedNoResource, a.Name, a.Hierarchy)
	}
	for i := range h.Resources {
		if slices.Contains(h.Resources[i].DependsOn, a.Name) {
			return refuse(RefusedDependedOn, h.Resources[i].Name, a.Name)
		}
	}
	h.giveUp(h.Resource(a.Name).Claims, nil)
	h.Resources = slices.DeleteFunc(h.Resources, func(r Resource) bool { return r.Name == a.Name })
	h.Changed = index
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured, Hierarchy: h.Name, Resource: a.Name})}
}

func (s *State) setResource(index uint64, c *Command, a *SetResource) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	if h.Resource(a.Name) == nil {
		return refuse(RefusedNoResource, a.Name, a.Hierarchy)
	}
	if a.Seen != 0 && a.Seen != h.Changed {
		return refuse(RefusedChanged, a.Hierarchy)
	}
	try := Hierarchy{Name: h.Name, Owner: h.Owner, Resources: slices.Clone(h.Resources)}
	r := try.Resource(a.Name)
	if a.Settings != nil {
		r.Settings = a.Settings
		r.Claims = a.Claims
		if res := s.checkClaims(h, a.Name, a.Claims); res.Refused() {
			return res
		}
	}
	if a.Common != nil {
		r.Common = *a.Common
	}
	set(&r.Maintenance, a.Maintenance)
	if a.OnFailure != nil {
		if res := s.checkTargets(a.OnFailure.Targets); res.Refused() {
			return res
		}
		a.OnFailure.to(&r.OnFailure)
	}
	if a.DependsOn != nil {
		r.DependsOn = sortedNames(*a.DependsOn)
	}
	if res := try.checkDependencies(); res.Refused() {
		return res
	}
	h.giveUp(h.Resource(a.Name).Claims, r.Claims)
	h.Resources, h.Changed = try.Resources, index
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured, Hierarchy: h.Name, Resource: a.Name})}
}
