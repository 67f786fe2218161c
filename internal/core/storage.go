package core

import (
	"errors"
	"slices"
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
)

// StorageOp asks for one step of a passive voter: load its object, have the
// [Stepper] step it with the batch, save it if it hasn't changed meanwhile, and
// again if it has. It is answered by [StorageDone]. There is one at a time for
// each voter, and nothing but the answers waits for it.
type StorageOp struct {
	ID    uint64
	Voter cluster.NodeID
	Store StoreID
	Batch *Batch
	// Within is how long it may be tried.
	Within time.Duration
}

// StorageDone is the end of a StorageOp.
type StorageDone struct {
	ID    uint64
	Voter cluster.NodeID
	// Outcome is nil after an error, when nobody knows whether anything of the
	// batch was done.
	Outcome *Outcome
	Err     error
}

func (StorageDone) event() {}

// storageLink is what this node has to do with one passive voter.
type storageLink struct {
	voter cluster.NodeID
	watch *arbiter.Watch

	busy  bool
	op    uint64
	since time.Duration // Mono when the operation under way began
	done  time.Duration // Mono of the last one that succeeded; 0: none
	bad   time.Duration // Mono since when none succeeds; 0: the last one did
	err   error         // of the last one; nil: it succeeded, or is under way for long
	said  bool          // the alarm was given

	due   bool // a stamp is due
	beats int  // heartbeats since the last stamp
	raft  []*raftpb.Message
	asks  []StampedAsk
	mail  []*Message

	// host is the node through which the voter last spoke to this one. While the
	// voter leads for a moment, it does so in the host's memory.
	host cluster.NodeID
	// mayHelp: it refused a vote because the candidate's log is shorter. help
	// asks it to lead for a moment.
	mayHelp, help bool
}

// Storage stamps go with every stampEvery-th heartbeat, and with every
// stampSoon-th when a node isn't heard, because leases depend on them then.
const (
	stampEvery = 4 // D/5
	stampSoon  = 2 // D/10
)

// rafts bounds the messages that wait for a passive voter; the oldest are lost
// then, as on a bad network.
const raftsMax = 64

// linkStorage follows the state: one link for each storage witness.
func (c *Core) linkStorage() {
	c.links = slices.DeleteFunc(c.links, func(l *storageLink) bool {
		n := c.state.Node(l.voter)
		return n == nil || n.Role != cluster.RoleStorage
	})
	if c.role != cluster.RoleNode {
		return
	}
	for i := range c.state.Nodes {
		n := &c.state.Nodes[i]
		if n.Role == cluster.RoleStorage && c.link(n.ID) == nil {
			c.links = append(c.links, &storageLink{voter: n.ID, watch: arbiter.NewWatch(c.broken), due: true, host: c.self})
		}
	}
}

func (c *Core) link(id cluster.NodeID) *storageLink {
	for _, l := range c.links {
		if l.voter == id {
			return l
		}
	}
	return nil
}

func isStorage(s *cluster.State, id cluster.NodeID) bool {
	n := s.Node(id)
	return n != nil && n.Role == cluster.RoleStorage
}

// stampStorage follows the heartbeat: a stamp goes with it now and then, with
// the same send time, so that the heartbeat dates the stamp for whoever hears
// it.
func (c *Core) stampStorage(now cluster.Instant) {
	every := stampEvery
	for i := range c.state.Nodes {
		n := &c.state.Nodes[i]
		if n.ID != c.self && n.Role != cluster.RoleStorage && c.state.IsVoter(n.ID) && !c.heardLately(now, n.ID) {
			every = stampSoon
		}
	}
	for _, l := range c.links {
		if l.beats++; l.beats >= every {
			l.beats, l.due = 0, true
		}
		if l.busy && now.Mono-l.since > c.state.Detection {
			c.storageFails(now, l, ErrStoreHangs)
		}
	}
}

// heardLately reports whether the node's heartbeats come.
func (c *Core) heardLately(now cluster.Instant, id cluster.NodeID) bool {
	p := c.peers[id]
	return p != nil && now.Mono-p.heard <= deafBeats*c.state.Timing().Heartbeat
}

// ErrStoreHangs: the store hasn't answered for a detection time.
var ErrStoreHangs = errors.New("it doesn't answer")

// stepStorage gives each link that is free what waits for it.
func (c *Core) stepStorage(now cluster.Instant) {
	for _, l := range c.links {
		n := c.state.Node(l.voter)
		if l.busy || n == nil || !n.Storage.Proven() || !l.due && len(l.asks) == 0 && !l.help && !l.urgent() {
			continue
		}
		b := &Batch{Raft: l.raft, Asks: l.asks, Mail: l.mail, Help: l.help, Known: l.watch.Stamps()}
		if c.state.IsVoter(l.voter) {
			if g := c.holder.Generation(); g != 0 {
				b.Stamp = &arbiter.Stamp{Node: c.self, Generation: g, Conf: c.state.Conf, Life: c.life, Sent: now.Boot,
					Term: c.raft.term, Leads: c.isLeader() && !c.stalled(now)}
			}
		} else {
			b.Join = c.isLeader() && len(l.raft) > 0
		}
		l.raft, l.asks, l.mail, l.due, l.help = nil, nil, nil, false, false
		l.busy, l.since = true, now.Mono
		l.op++
		c.out.Storage = append(c.out.Storage, &StorageOp{
			ID: l.op, Voter: l.voter, Batch: b, Within: c.state.Detection / 2,
			Store: StoreID{Cluster: c.state.Cluster, Lineage: c.state.Lineage, Store: n.Storage.ID},
		})
	}
}

// urgent reports whether something waits that shouldn't wait for the next stamp.
func (l *storageLink) urgent() bool {
	soon := func(m *raftpb.Message) bool {
		return m.GetType() != raftpb.MsgHeartbeat && m.GetType() != raftpb.MsgHeartbeatResp
	}
	return slices.ContainsFunc(l.raft, soon) || slices.ContainsFunc(l.mail, func(m *Message) bool { return m.Raft == nil || soon(m.Raft) })
}

// toStorage takes a message for a passive voter, or one that it keeps for
// another node.
func (c *Core) toStorage(now cluster.Instant, l *storageLink, m *Message) {
	switch {
	case m.To != l.voter:
		if m.Raft != nil && m.Raft.GetType() == raftpb.MsgHeartbeat {
			l.mail = slices.DeleteFunc(l.mail, func(o *Message) bool {
				return o.To == m.To && o.Raft != nil && o.Raft.GetType() == raftpb.MsgHeartbeat
			})
		}
		if len(l.mail) < mailLetters {
			l.mail = append(l.mail, m)
		}
	case m.Raft != nil:
		if m.Raft.GetType() == raftpb.MsgHeartbeat {
			l.raft = slices.DeleteFunc(l.raft, func(o *raftpb.Message) bool {
				return o.GetType() == raftpb.MsgHeartbeat && o.GetFrom() == m.Raft.GetFrom()
			})
		}
		if len(l.raft) >= raftsMax {
			l.raft = slices.Delete(l.raft, 0, 1)
		}
		l.raft = append(l.raft, m.Raft)
	case m.Ask != nil && m.From == c.self:
		c.askStorage(now, l, *m.Ask)
	}
}

// askStorage answers for the passive voter whether it would promise, by what
// this node has seen; to promise takes its object.
func (c *Core) askStorage(now cluster.Instant, l *storageLink, ask arbiter.Ask) {
	a := arbiter.Answer{Ask: ask, Voter: l.voter, Silent: -1}
	if ago, ok := l.watch.Silent(now, ask.Node, ask.Generation); ok {
		a.Silent = ago
	}
	at, seen, ok := l.watch.Ripe(c.state, ask.Node, ask.Generation)
	switch {
	case !ok || l.bad != 0 || !c.state.IsVoter(l.voter) || ask.Conf != c.state.Conf:
	case now.Mono < at:
		a.Wait = at - now.Mono
	case ask.Phase == arbiter.Do:
		l.asks = slices.DeleteFunc(l.asks, func(o StampedAsk) bool { return o.Ask == ask })
		l.asks = append(l.asks, StampedAsk{Ask: ask, Seen: seen})
		return
	default:
		a.Yes = true
	}
	if c.lead != nil {
		c.lead.evictor.Answered(now, a)
	}
}

// storageDone takes the end of an operation.
func (c *Core) storageDone(now cluster.Instant, e StorageDone) {
	l := c.link(e.Voter)
	if l == nil || !l.busy || e.ID != l.op {
		return
	}
	l.busy = false
	if e.Err != nil || e.Outcome == nil {
		c.storageFails(now, l, e.Err)
		return
	}
	out := e.Outcome
	if l.bad != 0 {
		l.bad, l.err = 0, nil
		if l.said {
			l.said = false
			c.out.Alarms = append(c.out.Alarms, cluster.Because(NoteStorageBack, c.state.NodeName(l.voter)))
		}
	}
	l.done = now.Mono
	c.seeStorage(now, l, &out.Seen, out.Saved)
	if out.Ack != nil {
		c.holder.Heard(now, *out.Ack)
	}
	if out.Shorter {
		l.mayHelp = true
		if c.forgot && !c.othersVote(now) {
			c.campaignAt = now.Mono // nobody else could lead
		}
	}
	for _, m := range out.Messages {
		if m.To == c.self {
			l.host = c.self
			if m.Answer != nil {
				if ago, ok := l.watch.Silent(now, m.Answer.Node, m.Answer.Generation); ok {
					m.Answer.Silent = ago
				}
			}
			c.received(now, c.self, m)
		} else {
			m.Relayed = true
			c.send(now, m)
		}
	}
	for _, m := range out.Mail {
		c.received(now, l.voter, m)
	}
}

// seeStorage makes the passive voter a peer like others: what its object shows
// is what a heartbeat would say.
func (c *Core) seeStorage(now cluster.Instant, l *storageLink, s *Seen, saved bool) {
	p := c.peers[l.voter]
	if p == nil {
		p = new(peer)
		c.peers[l.voter] = p
	}
	moved := l.watch.See(now, s.Conf, s.Stamps)
	p.heard = now.Mono
	conf := s.Conf
	if !saved {
		conf = p.beat.Lease.Conf // what was only looked at may be undone
	}
	p.beat = Heartbeat{Term: s.Term, Applied: s.Applied, Lease: arbiter.Beat{Node: l.voter, Conf: conf}}
	for _, st := range s.Stamps {
		ago, _ := l.watch.Silent(now, st.Node, st.Generation)
		p.beat.Heard = append(p.beat.Heard, Heard{Node: st.Node, Age: age(ago)})
	}
	for _, st := range moved {
		if st.Leads && st.Node != c.self && st.Term >= c.raft.term {
			c.sawLeader(now, now.Mono)
		}
	}
}

// storageFails notes that the store can't be used.
func (c *Core) storageFails(now cluster.Instant, l *storageLink, err error) {
	l.err = err
	if l.bad == 0 {
		l.bad = now.Mono
	}
	// One failure may be a conflict or a hiccup; half a detection time of them
	// is a loss, whatever else is healthy.
	if !l.said && (now.Mono-l.bad >= c.state.Detection/2 || errors.Is(err, ErrWentBack) && now.Mono-l.bad >= c.state.Detection/4) {
		l.said = true
		c.out.Alarms = append(c.out.Alarms, cluster.Because(AlarmStorage, c.state.NodeName(l.voter), err))
	}
}

const (
	// AlarmStorage: storage witness {0} can't be used: {1}.
	AlarmStorage = "PD8010"
	// NoteStorageBack: storage witness {0} can be used again.
	NoteStorageBack = "PD8011"
)

// othersVote reports whether another voting node is heard.
func (c *Core) othersVote(now cluster.Instant) bool {
	for _, v := range c.state.Voters {
		if v != c.self && !isStorage(c.state, v) && c.reachable(now, v) {
			return true
		}
	}
	return false
}

// askForHelp has a passive voter lead for a moment, if only its log is
// complete. It reports whether one was asked.
func (c *Core) askForHelp() bool {
	for _, l := range c.links {
		if l.mayHelp {
			l.mayHelp, l.help = false, true
			return true
		}
	}
	return false
}

// routeStorage is whom a message for a passive voter is handed to: itself, if
// this node reaches the store, otherwise a node that does.
func (c *Core) routeStorage(now cluster.Instant, m *Message) cluster.NodeID {
	l := c.link(m.To)
	fresh := c.state.Detection / 2
	if l != nil && m.Raft != nil && isResponse(m.Raft) && l.host != c.self && c.reachable(now, l.host) {
		return l.host
	}
	if l != nil && l.bad == 0 || m.Relayed {
		return m.To
	}
	for i := range c.state.Nodes {
		id := c.state.Nodes[i].ID
		p := c.peers[id]
		if p == nil || id == m.To || now.Mono-p.heard >= fresh {
			continue
		}
		if p.beat.hears(c.self, fresh) && p.beat.hears(m.To, fresh) {
			return id
		}
	}
	return m.To
}

func isResponse(m *raftpb.Message) bool {
	switch m.GetType() {
	case raftpb.MsgAppResp, raftpb.MsgVoteResp, raftpb.MsgPreVoteResp, raftpb.MsgHeartbeatResp:
		return true
	}
	return false
}
