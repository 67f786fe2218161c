package core

import (
	"fmt"
	"math"
	"math/rand/v2"
	"time"

	"go.etcd.io/raft/v3"
	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/decide"
)

// Protocol is the newest version of wire messages and commands that this
// software speaks; ProtocolMin the oldest.
const (
	Protocol    = 1
	ProtocolMin = 1
)

// Config makes a core.
type Config struct {
	Self cluster.NodeID
	Role cluster.Role
	// Seed is the source of all chance.
	Seed uint64
	// Session is the guardian's id of this boot; empty on a witness.
	Session string
	// Unmanaged reports whether the guardian runs the services without
	// deadlines. Until Manage says that it has them again, the cluster must not
	// be told that this node is managed: it could be evicted and serve on.
	Unmanaged bool
	// Disk is what was read from the disk.
	Disk Disk
	// Software is the version to announce.
	Software string
	// Pace is the planner's long waits; the zero value is the default.
	Pace decide.Pace
	// Broken removes a rule, for negative controls only.
	Broken arbiter.Broken
}

// Disk is the durable state that a process finds when it starts. The zero value
// is that of a node that has just joined.
type Disk struct {
	HardState *raftpb.HardState
	Snapshot  *raftpb.Snapshot
	Entries   []*raftpb.Entry
	Local     []byte
}

// Core is the decision of one node.
type Core struct {
	self    cluster.NodeID
	role    cluster.Role
	session string
	soft    string
	broken  arbiter.Broken
	pace    decide.Pace
	rand    *rand.Rand
	life    uint64 // of this process, random

	log        *memlog
	raft       *rawNode
	state      *cluster.State
	appliedT   uint64 // term of the last applied entry
	snapAt     uint64 // index of the last snapshot on disk
	hardOnDisk *raftpb.HardState
	farTerm    uint64 // see furthest
	farIndex   uint64

	disk   diskQueue
	peers  map[cluster.NodeID]*peer
	voter  *arbiter.Voter
	holder *arbiter.Holder
	exec   *decide.Executor
	lead   *leadership // nil unless this node leads and may plan
	props  proposals
	links  []*storageLink

	// Times (Mono).
	due        time.Duration // when work has something to do, as of its last time
	last       time.Duration // of the last Step
	nextBeat   time.Duration
	beatsSent  uint64
	nextTick   time.Duration // raft's, while leading
	leaderSeen time.Duration // word of the leader, first or second hand
	forgot     bool          // raft was told to forget the leader
	campaignAt time.Duration
	mayLead    bool // a witness that refused a shorter log

	lease        arbiter.Lease
	served       bool          // the lease as the executor knows it
	unmanage     bool          // this node's services are to run on without it
	manageAt     time.Duration // Mono when to ask for that again
	leaving      bool
	moveFirst    bool
	keepsAll     bool
	departed     bool
	resetting    bool
	admitAt      time.Duration // Mono when to ask for admission (again)
	leaveAt      time.Duration // Mono when the next step of leaving is due
	leaveBy      time.Duration // Mono after which leadership isn't handed over any more
	nextHandOver time.Duration
	hopeless     time.Duration // Mono since when no majority can acknowledge us

	out Effects
}

// peer is what this node knows of another.
type peer struct {
	heard    time.Duration // Mono of the last heartbeat
	reverted bool          // its durable log went back
	beats    uint64        // answered
	beat     Heartbeat
	probing  probing
}

// New makes the core of a starting process. It refuses a disk that can't be
// this node's.
func New(now cluster.Instant, cfg Config) (*Core, error) {
	c := &Core{
		self: cfg.Self, role: cfg.Role, session: cfg.Session, soft: cfg.Software, broken: cfg.Broken, pace: cfg.Pace, unmanage: cfg.Unmanaged,
		rand:  rand.New(rand.NewPCG(cfg.Seed, uint64(cfg.Self))),
		peers: make(map[cluster.NodeID]*peer),
		last:  now.Mono, nextBeat: now.Mono, leaderSeen: now.Mono,
	}
	c.state = &cluster.State{Version: cluster.StateVersion, Detection: cluster.DetectionBalanced, Ceiling: cluster.DetectionBalanced}
	c.log = &memlog{hard: &raftpb.HardState{}, conf: &raftpb.ConfState{}, state: func() (*cluster.State, uint64) { return c.state, c.appliedT }}
	c.life = c.rand.Uint64()
	if cfg.Disk.HardState != nil {
		c.log.hard = cfg.Disk.HardState
	}
	c.hardOnDisk = c.log.hard
	if snap := cfg.Disk.Snapshot; snap != nil && snap.GetMetadata().GetIndex() > 0 {
		s, err := cluster.DecodeState(snap.GetData())
		if err != nil {
			return nil, fmt.Errorf("read the snapshot at index %d: %w", snap.GetMetadata().GetIndex(), err)
		}
		c.state = s
		c.appliedT = snap.GetMetadata().GetTerm()
		c.snapAt = s.Applied
		c.log.restore(snap.GetMetadata())
	}
	c.log.append(cfg.Disk.Entries)
	promises, err := decodeLocal(cfg.Disk.Local)
	if err != nil {
		return nil, err
	}
	c.raft, err = newRawNode(&raft.Config{
		ID: uint64(cfg.Self), Storage: c.log, Applied: c.state.Applied,
		ElectionTick: cluster.RaftElectionTicks, HeartbeatTick: 1,
		// All that is committed is applied at once: an answer to an entry must
		// not leave before what it says was committed is applied, because the
		// rules for configurations count on that.
		MaxSizePerMsg: 256 << 10, MaxCommittedSizePerReady: math.MaxUint64, MaxInflightMsgs: 64, MaxUncommittedEntriesSize: 16 << 20,
		CheckQuorum: true, PreVote: true, Logger: quiet{},
	})
	if err != nil {
		return nil, fmt.Errorf("start raft: %w", err)
	}
	c.voter = arbiter.NewVoter(cfg.Self, now, c.state, promises, cfg.Broken)
	c.holder = arbiter.NewHolder(cfg.Self, cfg.Broken)
	c.exec = decide.NewExecutor(cfg.Self, cfg.Seed)
	c.scheduleCampaign(now)
	c.pump(now)
	c.stateChanged(now)
	return c, nil
}

// State is the replicated state as applied here. It must not be changed, and is
// only valid until the next Step.
func (c *Core) State() *cluster.State { return c.state }

// Lease is this node's lease as last counted.
func (c *Core) Lease() arbiter.Lease { return c.lease }

// Step takes one event and returns what must be done about it. The slices of
// the result are valid until the next Step.
func (c *Core) Step(now cluster.Instant, ev Event) Effects {
	if c.departed {
		return Effects{}
	}
	c.noticeGap(now)
	quiet := false
	switch e := ev.(type) {
	case Tick:
	case BeatReceived:
		quiet = c.expected(now, e)
		c.beatReceived(now, e.From, e.Network, e.Beat)
	case AckReceived:
		c.ackReceived(now, e.From, e.Ack)
		quiet = true
	case MessageReceived:
		c.received(now, e.From, e.Message)
	case Persisted:
		c.persisted(now, e)
	case Propose:
		c.props.add(&e.Command, now, true)
	case Acted:
		c.exec.Done(now, e.Result)
	case Observed:
		c.exec.Observe(now, e.Event)
	case Adopted:
		c.exec.Adopt(now, e.Running)
	case Reset:
		if e.Session == c.session {
			break // it is known
		}
		c.session, c.resetting, c.hopeless, c.admitAt = e.Session, false, 0, 0
		c.exec.Reset(now)
		c.stateChanged(now)
	case Doubt:
		c.served = false
		c.exec.Lease(now, false)
	case Shutdown:
		c.leaving, c.moveFirst, c.keepsAll = true, e.Move, e.Keep
	case StorageDone:
		c.storageDone(now, e)
	case MachineAnswered:
		c.machineAnswered(now, e)
	case Manage:
		c.unmanage, c.manageAt = e.Unmanaged, 0
	}
	if !quiet || !c.onlyLease(now) {
		c.work(now)
		c.due = c.Next(now)
	}
	out := c.out
	c.out = Effects{Acks: out.Acks[:0:0]}
	return out
}

// expected reports whether a heartbeat brings no news that anything but the lease
// and later deadlines depend on.
func (c *Core) expected(now cluster.Instant, e BeatReceived) bool {
	p := c.peers[e.From]
	return p != nil && now.Mono-p.heard < c.state.Detection/2 && e.Beat.Leaving == p.beat.Leaving
}

// onlyLease is the short way for heartbeats and acknowledgements, which are nine
// in ten events: nothing else can have become due by them. It reports whether
// that was all; this node's own heartbeat ends the wait of what is not in Next.
func (c *Core) onlyLease(now cluster.Instant) bool {
	if now.Mono >= c.due || c.raft.asked || c.lead != nil && !c.lead.evictor.Idle() {
		return false
	}
	served := c.served
	c.countLease(now)
	c.due = min(c.due, c.electAt())
	return c.served == served && c.out.ResetGuardian == nil
}

// work does whatever is due.
func (c *Core) work(now cluster.Instant) {
	c.elect(now)
	c.pump(now)
	c.doLead(now)
	c.countLease(now)
	c.doBeat(now)
	c.execute(now)
	c.leave(now)
	c.propose(now)
	c.pump(now)
	c.stepStorage(now)
}

// noticeGap looks for a pause of this very process. What was not listened to
// proves nothing about others.
func (c *Core) noticeGap(now cluster.Instant) {
	gap := now.Mono - c.last
	c.last = now.Mono
	if gap <= c.state.Detection/4 {
		return
	}
	c.voter.Doubt(now)
	c.leaderSeen = now.Mono
	c.forgot = false
	c.scheduleCampaign(now)
	if c.lead != nil {
		c.lead.evictor = arbiter.NewEvictor(c.self, c.broken)
	}
}

// Next is when Step wants to be called though nothing happened (Mono).
func (c *Core) Next(now cluster.Instant) time.Duration {
	if c.departed {
		return cluster.Never
	}
	next := c.nextBeat
	if c.isLeader() {
		next = min(next, c.nextTick)
	} else {
		next = min(next, c.electAt())
	}
	if c.lead != nil {
		next = min(next, c.lead.next(now, c))
	}
	if c.leaving {
		next = min(next, c.leaveAt)
	}
	return min(next, c.exec.Next(), c.props.next(), c.disk.retryAt())
}

// stateChanged follows every change of the replicated state.
func (c *Core) stateChanged(now cluster.Instant) {
	c.out.Changed = true
	c.linkStorage()
	if c.voter.Applied(now, c.state) {
		c.disk.localDirty = true
	}
	me := c.state.Node(c.self)
	var g cluster.Generation
	if me != nil && c.session != "" && me.Session == c.session && !c.resetting &&
		(me.Presence == cluster.Present || me.Presence == cluster.Unmanaged) {
		g = me.Generation
	}
	if g != c.holder.Generation() {
		c.holder.Begin(g)
		c.lease = arbiter.Lease{}
		c.nextBeat = now.Mono // ask for the lease at once
		if g != 0 {
			c.out.Admitted = g
		}
	}
	if me != nil && c.session != "" && me.Session == c.session && me.Presence == cluster.Evicted && !c.resetting {
		why := cluster.Because(ReasonWasEvicted, me.Name)
		c.reset(&why)
	}
	if me == nil && c.state.Applied > 0 && c.state.NextID > c.self && !c.departed {
		why := cluster.Because(ReasonRemoved, c.self)
		c.out.Departed = &why
	}
	c.exec.SetState(now, c.state, g)
}

// Codes of what a core says by itself.
const (
	// ReasonWasEvicted: node {0} was evicted while it was away; everything on
	// it is stopped before it comes back.
	ReasonWasEvicted = "PD2005"
	// ReasonHopeless: a majority promised not to acknowledge node {0} any more.
	ReasonHopeless = "PD2006"
	// ReasonRemoved: this node ({0}) is not part of the cluster any more.
	ReasonRemoved = "PD1011"
	// ReasonNoLeader: no leader was found.
	ReasonNoLeader = "PD1012"
	// ReasonLeft: node {0} stopped cleanly.
	ReasonLeft = "PD1013"
)

// reset asks the guardian for a clean node.
func (c *Core) reset(why *cluster.Reason) {
	c.resetting = true
	c.out.ResetGuardian = why
	c.holder.Begin(0)
	c.lease = arbiter.Lease{}
}

// View is what a core knows by itself, for people.
type View struct {
	Leader cluster.NodeID
	Term   uint64
	Heard  []HeardAt
}

// HeardAt is when a node was heard last (Mono); 0: never.
type HeardAt struct {
	Node cluster.NodeID
	At   time.Duration
}

// View describes the node as it is.
func (c *Core) View(cluster.Instant) View {
	v := View{Leader: c.raft.leader, Term: c.raft.term}
	for i := range c.state.Nodes {
		id := c.state.Nodes[i].ID
		if id == c.self {
			continue
		}
		h := HeardAt{Node: id}
		if p := c.peers[id]; p != nil {
			h.At = p.heard
		}
		v.Heard = append(v.Heard, h)
	}
	return v
}
