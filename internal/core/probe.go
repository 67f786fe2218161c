package core

import (
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// The safety check: while a node is silent, and not only once when it is too
// late, every voter asks it over every other way whether its lease lives: by a
// connection of its own, and through whoever still hears it. A heartbeat needs
// one datagram each way on one of the networks; a wrong packet filter, a full
// queue or a deaf socket takes all of them at once and leaves connections be.
//
// Only the answer of a node whose lease is valid stops an eviction, because it
// is acknowledged as a heartbeat is: as long as a majority acknowledges, no
// majority promises. Anything less, an answer without a lease or a machine that
// merely answers, is evidence and holds nothing up here: see
// [decide.View.Answers] for what it may delay.

const (
	// probeAfter is the part of the detection time after which a silent node is
	// asked, and probeEvery is every how many heartbeats: some ten times until
	// its lease is over.
	probeAfter = 4
	probeEvery = 2
)

// Codes of the evidence of the safety check.
const (
	// EvidenceProbed: node {0} was asked {1} times over every other way and gave
	// no answer.
	EvidenceProbed = "PD2011"
	// EvidenceNoLease: node {0} answered, but has no valid lease.
	EvidenceNoLease = "PD2012"
	// EvidenceMachine: the machine of node {0} answered {1} on network {2}, which
	// says nothing of its services.
	EvidenceMachine = "PD2013"
)

// Proof answers a probe.
type Proof struct {
	Beat arbiter.Beat
	// Alive reports whether the lease of the generation is valid now.
	Alive bool
	// Asked is the probe's time, returned.
	Asked time.Duration
}

// probing is what a node knows of its safety check of another.
type probing struct {
	asked   int           // times since it fell silent
	plain   time.Duration // Mono of the last answer without a valid lease; 0: none
	machine time.Duration // Mono of the last answer of the machine; 0: none
	how     string        // by what the machine answered
	network string
}

// probe asks those that are silent. It is called with each heartbeat.
func (c *Core) probe(now cluster.Instant) {
	c.beatsSent++
	for i := range c.state.Nodes {
		n := &c.state.Nodes[i]
		p := c.peers[n.ID]
		if n.ID == c.self || p == nil || n.Presence != cluster.Present && !c.awaited(n) {
			continue
		}
		if now.Mono-p.heard < c.state.Detection/probeAfter {
			p.probing = probing{}
			continue
		}
		if c.beatsSent%probeEvery != 0 || !c.state.IsVoter(c.self) || p.reverted {
			continue
		}
		if n.Presence == cluster.Present {
			p.probing.asked++
			c.sendEveryWay(now, &Message{From: c.self, To: n.ID, Probe: &Probe{Asked: now.Boot}})
		}
		if c.isLeader() {
			c.out.Suspects = append(c.out.Suspects, n.ID)
		}
	}
}

// awaited reports whether a hierarchy may wait for the machine of an evicted
// node to fall silent.
func (c *Core) awaited(n *cluster.Node) bool {
	if n.Presence != cluster.Evicted {
		return false
	}
	for i := range c.state.Hierarchies {
		if h := &c.state.Hierarchies[i]; h.Class == cluster.Unfenced && h.Owner == 0 && h.LastOwner == n.ID {
			return true
		}
	}
	return false
}

// sendEveryWay sends a message straight, and through somebody who hears both
// ends if there is one.
func (c *Core) sendEveryWay(now cluster.Instant, m *Message) {
	if via := c.route(now, m); via != m.To && c.link(via) == nil {
		relayed := *m
		relayed.Via = via
		c.out.Messages = append(c.out.Messages, &relayed)
	}
	m.Via = m.To
	c.out.Messages = append(c.out.Messages, m)
}

// probed answers a voter that doesn't hear this node.
func (c *Core) probed(now cluster.Instant, from cluster.NodeID, p *Probe) {
	g := c.holder.Generation()
	if g == 0 || !c.state.IsVoter(from) {
		return
	}
	c.sendEveryWay(now, &Message{From: c.self, To: from, Proof: &Proof{
		Beat:  arbiter.Beat{Node: c.self, Generation: g, Conf: c.state.Conf, Sent: now.Boot},
		Alive: c.holder.Lease(now, c.state).Alive(now), Asked: p.Asked,
	}})
}

// proven takes the answer to a probe. An old one says nothing: it may have
// waited somewhere while the lease ended.
func (c *Core) proven(now cluster.Instant, from cluster.NodeID, p *Proof) {
	peer := c.peers[from]
	if peer == nil || peer.reverted || p.Beat.Node != from || p.Asked > now.Boot || now.Boot-p.Asked > c.state.Detection/2 {
		return
	}
	if !p.Alive {
		peer.probing.plain = now.Mono
		return
	}
	if !c.state.IsVoter(c.self) {
		return
	}
	a := c.voter.Acknowledge(now, c.state, p.Beat)
	c.sendEveryWay(now, &Message{From: c.self, To: from, Ack: &a})
}

// machineAnswered notes that something at a silent node's address answers.
func (c *Core) machineAnswered(now cluster.Instant, e MachineAnswered) {
	if p := c.peers[e.Node]; p != nil && now.Mono-p.heard >= c.state.Detection/probeAfter {
		p.probing.machine, p.probing.how, p.probing.network = now.Mono, e.How, e.Network
	}
}

// answers reports whether a node's machine answered lately though the node is
// silent.
func (c *Core) answers(now cluster.Instant, id cluster.NodeID) bool {
	p := c.peers[id]
	return p != nil && p.probing.machine != 0 && now.Mono-p.probing.machine < c.state.Detection/2
}

// safetyEvidence is what the safety check found, for the eviction of a node.
func (c *Core) safetyEvidence(now cluster.Instant, id cluster.NodeID) []cluster.Evidence {
	p := c.peers[id]
	if p == nil || p.probing.asked == 0 {
		return nil
	}
	name := c.state.NodeName(id)
	out := []cluster.Evidence{{Node: c.self, Reason: cluster.Because(EvidenceProbed, name, p.probing.asked)}}
	if at := p.probing.plain; at != 0 {
		out[0] = cluster.Evidence{Node: c.self, Reason: cluster.Because(EvidenceNoLease, name), Ago: now.Mono - at}
	}
	if at := p.probing.machine; at != 0 {
		out = append(out, cluster.Evidence{Node: c.self, Reason: cluster.Because(EvidenceMachine, name, p.probing.how, p.probing.network), Ago: now.Mono - at})
	}
	return out
}
