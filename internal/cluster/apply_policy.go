package cluster

// setCluster changes what holds for the whole cluster.
func (s *State) setCluster(index uint64, c *Command, a *SetCluster) Result {
	set(&s.Maintenance, a.Maintenance)
	set(&s.QuorumLoss, a.QuorumLoss)
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
	set(&p.FailoverBlocked, c.FailoverBlocked)
	set(&p.MovesPerHour, c.MovesPerHour)
	if c.Targets != nil {
		p.Targets = listed(*c.Targets)
	}
}

func set[T any](to *T, from *T) {
	if from != nil {
		*to = *from
	}
}

// SameHost reports whether two nodes are virtual machines on one host, as far as
// both know theirs, and its name.
func (s *State) SameHost(a, b NodeID) (host string, same bool) {
	m, n := s.Node(a), s.Node(b)
	if a == b || m == nil || n == nil || m.Host == "" || m.Host != n.Host {
		return "", false
	}
	return m.Host, true
}
