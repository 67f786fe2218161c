package cluster

// setCluster changes what holds for the whole cluster.
func (s *State) setCluster(index uint64, c *Command, a *SetCluster) Result {
	if a.Maintenance != nil {
		s.Maintenance = *a.Maintenance
	}
	return Result{Entry: s.tell(index, c, Entry{Kind: KindConfigured})}
}

// Suspended reports whether nothing of the hierarchy is started, moved,
// recovered or monitored, because it or the whole cluster is in maintenance.
func (s *State) Suspended(h *Hierarchy) bool { return s.Maintenance || h.Policy.Maintenance }

// Unwatched reports whether node id leaves the hierarchy alone while it has it:
// it isn't monitored there and its failures lead to nothing.
func (s *State) Unwatched(h *Hierarchy, id NodeID) bool {
	n := s.Node(id)
	return s.Suspended(h) || n != nil && n.Maintenance
}

// Takes reports whether the node may have hierarchies brought in service, as far
// as the state knows: it hosts resources, is present, and nobody asked it to
// stay empty.
func (n *Node) Takes() bool {
	return n.Role == RoleNode && n.Presence == Present && !n.Maintenance && !n.Drain
}

// to carries the change out.
func (c *PolicyChange) to(p *Policy) {
	set(&p.NotifyOnly, c.NotifyOnly)
	set(&p.Switchback, c.Switchback)
	set(&p.ConfirmFailover, c.ConfirmFailover)
	set(&p.ConfirmSeconds, c.ConfirmSeconds)
	set(&p.ConfirmDefault, c.ConfirmDefault)
	set(&p.Maintenance, c.Maintenance)
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}
