package api

import (
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// networks asks what the loss of each network would do.
func (a *assessor) networks() {
	a.sumPaths()
	names := a.networkNames()
	var present []cluster.NodeID
	for i := range a.st.Nodes {
		if n := &a.st.Nodes[i]; n.ID == a.l.Self || there(n) && heard(a.st, a.l, n.ID) {
			present = append(present, n.ID)
		}
	}
	for _, p := range a.l.Paths {
		if p.State != "up" && slices.Contains(present, p.Peer) {
			a.find(SeverityWarning, "", message.PathIsDown, p.Network, a.st.NodeName(p.Peer), pathWord(p.State))
		}
	}
	if len(present) < 2 || len(a.st.Voters) < 2 || a.report.Quorum.Spare < 0 {
		return
	}
	for _, name := range names {
		left := a.largest(present, name)
		votes := 0
		for _, id := range left {
			if a.st.IsVoter(id) {
				votes++
			}
		}
		if votes < a.st.Majority() {
			a.find(SeverityUnsafe, "perdure path set "+name+"=ADDRESS second=ADDRESS", message.OneNetwork, name)
			continue
		}
		for _, id := range present {
			if n := a.st.Node(id); n.Role == cluster.RoleNode && !slices.Contains(left, id) {
				a.find(SeverityWarning, "", message.OnePath, n.Name, name)
			}
		}
	}
}

func pathWord(state string) string {
	switch state {
	case "down":
		return message.WordPathDown
	case "degraded":
		return message.WordPathDegraded
	}
	return state
}

// sumPaths gathers this node's paths by network.
func (a *assessor) sumPaths() {
	for _, p := range a.l.Paths {
		i := slices.IndexFunc(a.report.Networks, func(n NetworkReport) bool { return n.Network == p.Network })
		if i < 0 {
			i = len(a.report.Networks)
			a.report.Networks = append(a.report.Networks, NetworkReport{Network: p.Network})
		}
		n := &a.report.Networks[i]
		n.Paths++
		if p.State != "down" {
			n.Up++
		}
		n.RTT, n.Worst, n.Lost = max(n.RTT, p.RTT), max(n.Worst, p.Worst), n.Lost+p.Lost
	}
}

func (a *assessor) networkNames() []string {
	var names []string
	for i := range a.st.Nodes {
		for _, p := range a.st.Nodes[i].Paths {
			names = append(names, p.Network)
		}
	}
	slices.Sort(names)
	return slices.Compact(names)
}

// largest is the largest set of nodes that reach each other, directly or
// through others, without a network.
func (a *assessor) largest(nodes []cluster.NodeID, without string) []cluster.NodeID {
	var best []cluster.NodeID
	var seen []cluster.NodeID
	for _, start := range nodes {
		if slices.Contains(seen, start) {
			continue
		}
		group := []cluster.NodeID{start}
		for i := 0; i < len(group); i++ {
			for _, other := range nodes {
				if !slices.Contains(group, other) && a.joined(group[i], other, without) {
					group = append(group, other)
				}
			}
		}
		seen = append(seen, group...)
		if a.votesOf(group) > a.votesOf(best) || a.votesOf(group) == a.votesOf(best) && len(group) > len(best) {
			best = group
		}
	}
	return best
}

func (a *assessor) votesOf(ids []cluster.NodeID) int {
	n := 0
	for _, id := range ids {
		if a.st.IsVoter(id) {
			n++
		}
	}
	return n
}

// joined reports whether two nodes share a network other than one. Paths of
// this node must be up as well; of those between others only the configuration
// is known here.
func (a *assessor) joined(x, y cluster.NodeID, without string) bool {
	nx, ny := a.st.Node(x), a.st.Node(y)
	for _, p := range nx.Paths {
		if p.Network == without {
			continue
		}
		for _, q := range ny.Paths {
			if q.Network == p.Network && a.up(x, y, p.Network) {
				return true
			}
		}
	}
	return false
}

func (a *assessor) up(x, y cluster.NodeID, network string) bool {
	peer := y
	switch a.l.Self {
	case x:
	case y:
		peer = x
	default:
		return true
	}
	for _, p := range a.l.Paths {
		if p.Peer == peer && p.Network == network {
			return p.State != "down"
		}
	}
	return true // not reported yet
}
