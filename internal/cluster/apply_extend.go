package cluster

import "slices"

// extend has a node looked at, and is the first half of an extension: the node
// says by [Extended] whether everything could be brought in service there.
func (s *State) extend(index uint64, c *Command, a *Extend) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	n := s.Node(a.Node)
	switch {
	case n == nil:
		return refuse(RefusedUnknownNode, a.Node)
	case n.Role != RoleNode:
		return refuse(RefusedWitness, n.Name)
	case slices.Contains(h.Nodes, a.Node), slices.ContainsFunc(h.Extending, func(e Extension) bool { return e.Node == a.Node }):
		return refuse(RefusedExtended, a.Hierarchy, n.Name)
	case n.Presence != Present:
		return refuse(RefusedNotPresent, n.Name, n.Presence)
	}
	h.Extending = append(h.Extending, Extension{Node: a.Node, At: a.At, Entry: index})
	return Result{Entry: s.tell(index, c, Entry{Kind: KindExtending, Hierarchy: h.Name, Node: a.Node})}
}

// extended ends an extension: it is made, or given up with the reason. It is
// void if it was given up, or if something else was changed since the node
// looked.
func (s *State) extended(index uint64, c *Command, a *Extended) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	i := slices.IndexFunc(h.Extending, func(e Extension) bool { return e.Node == a.Node && e.Entry == a.Entry })
	if i < 0 {
		return refuse(RefusedVoid, "extended: nobody asks for it any more")
	}
	if a.OK && a.Seen != h.Changed {
		return refuse(RefusedChanged, a.Hierarchy)
	}
	e := h.Extending[i]
	h.Extending = slices.Delete(slices.Clone(h.Extending), i, i+1)
	if a.OK {
		at := e.At
		if at < 0 || at > len(h.Nodes) {
			at = len(h.Nodes)
		}
		h.Nodes = slices.Insert(slices.Clone(h.Nodes), at, a.Node)
		h.Changed = index
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindExtended, Hierarchy: h.Name, Node: a.Node})}
}

// unextend takes a node from the order of a hierarchy, which it doesn't have.
func (s *State) unextend(index uint64, c *Command, a *Unextend) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	name := s.NodeName(a.Node)
	switch {
	case !slices.Contains(h.Nodes, a.Node):
		return refuse(RefusedNotExtended, a.Hierarchy, name)
	case h.Owner == a.Node:
		return refuse(RefusedOwns, name, a.Hierarchy)
	case len(h.Nodes) == 1:
		return refuse(RefusedLastNode, a.Hierarchy, name)
	}
	h.setNodes(slices.DeleteFunc(slices.Clone(h.Nodes), func(id NodeID) bool { return id == a.Node }))
	h.Changed = index
	return Result{Entry: s.tell(index, c, Entry{Kind: KindUnextended, Hierarchy: h.Name, Node: a.Node})}
}

// setDependency adds or removes one dependency.
func (s *State) setDependency(index uint64, c *Command, a *SetDependency) Result {
	h := s.Hierarchy(a.Hierarchy)
	if h == nil {
		return refuse(RefusedNotFound, a.Hierarchy)
	}
	try := Hierarchy{Name: h.Name, Owner: h.Owner, Resources: slices.Clone(h.Resources)}
	r := try.Resource(a.Parent)
	switch {
	case r == nil:
		return refuse(RefusedNoResource, a.Parent, a.Hierarchy)
	case h.Resource(a.Child) == nil:
		return refuse(RefusedNoResource, a.Child, a.Hierarchy)
	case a.On:
		r.DependsOn = sortedNames(append(slices.Clone(r.DependsOn), a.Child))
	case !slices.Contains(r.DependsOn, a.Child):
		return refuse(RefusedNoDependency, a.Parent, a.Child)
	default:
		r.DependsOn = slices.DeleteFunc(slices.Clone(r.DependsOn), func(n string) bool { return n == a.Child })
	}
	if res := try.checkDependencies(); res.Refused() {
		return res
	}
	h.Resources, h.Changed = try.Resources, index
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured, Hierarchy: h.Name, Resource: a.Parent})}
}
