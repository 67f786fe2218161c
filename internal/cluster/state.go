package cluster

import (
	"encoding/json"
	"fmt"
	"slices"
	"time"
)

// StateVersion is the format of the state document. A node refuses a document
// of a newer version; see docs/formats.md.
const StateVersion = 1

// MaxVoters bounds the votes: more would make every commit slower without
// surviving more failures that happen in practice. Further nodes are learners.
const MaxVoters = 7

// State is the replicated document: everything that the nodes agree on. It is
// changed by [State.Apply] alone, with the same result on every node.
type State struct {
	Version int    `json:"version"`
	Cluster string `json:"cluster"` // id, random, for life
	Name    string `json:"name"`
	// Lineage is raised by a forced quorum. Lineages never talk to each other.
	Lineage uint64 `json:"lineage"`
	// Applied is the raft index of the last applied command.
	Applied uint64 `json:"applied"`

	// Conf counts the changes of voters and of the detection time. Acks and
	// promises name it, because neither means anything under another one.
	Conf     uint64   `json:"conf"`
	Voters   []NodeID `json:"voters"`
	Learners []NodeID `json:"learners,omitempty"`

	Detection time.Duration `json:"detection"`
	// Ceiling is the longest lease that may be outstanding anywhere: above
	// Detection while a lowered detection time settles.
	Ceiling time.Duration `json:"ceiling"`
	// Settling counts the steps of settling that were committed: see
	// [SettleDetection].
	Settling int `json:"settling,omitempty"`

	// Maintenance reports whether nothing is started, moved, recovered or
	// monitored anywhere. Leases and votes go on.
	Maintenance bool `json:"maintenance,omitempty"`
	// QuorumLoss is what a node with services does to itself when its lease ends;
	// empty: [LossOutOfService].
	QuorumLoss QuorumLoss `json:"quorum_loss,omitempty"`

	NextID      NodeID      `json:"next_id"`
	Nodes       []Node      `json:"nodes"`
	Tokens      []Token     `json:"tokens,omitempty"`
	Hierarchies []Hierarchy `json:"hierarchies,omitempty"`
	Hooks       []Hook      `json:"hooks,omitempty"` // sorted by name
	// Limits are the thresholds of the nodes' health.
	Limits Limits `json:"limits,omitzero"`
	// Users and Keys say who else may ask, over the network.
	Users   []User   `json:"users,omitempty"`   // sorted by name
	Keys    []Key    `json:"keys,omitempty"`    // oldest first
	Volumes []Volume `json:"volumes,omitempty"` // sorted by name
	// Recent are the ids of the last commands that had one, so that a command
	// sent twice is carried out once.
	Recent []uint64 `json:"recent,omitempty"`
	// Outcomes of those that were refused or gave an id, in the same order.
	Outcomes []Outcome `json:"outcomes,omitempty"`
	// Timeline holds the latest entries, oldest first; bounded by
	// timelineMax.
	Timeline []Entry `json:"timeline,omitempty"`
}

// Role says what a node is for.
type Role string

const (
	// RoleNode hosts resources.
	RoleNode Role = "node"
	// RoleWitness votes and hosts nothing.
	RoleWitness Role = "witness"
	// RoleStorage is a storage witness: a passive voter, whose state is one
	// object in shared storage.
	RoleStorage Role = "storage witness"
)

// Presence says what the cluster has agreed on about a node's present boot.
type Presence string

const (
	// Joining: added, never admitted.
	Joining Presence = "joining"
	// Present: its generation is admitted and may hold a lease.
	Present Presence = "present"
	// Left: stopped cleanly; it owns nothing and nothing fails over from it.
	Left Presence = "left"
	// Unmanaged: its daemon was stopped on purpose and its services run on.
	// It is not evicted meanwhile.
	Unmanaged Presence = "unmanaged"
	// Evicted: a majority promised never to acknowledge its generation again.
	Evicted Presence = "evicted"
)

// Node is one machine of the cluster.
type Node struct {
	ID         NodeID     `json:"id"`
	Name       string     `json:"name"`
	Role       Role       `json:"role"`
	Presence   Presence   `json:"presence"`
	Generation Generation `json:"generation"`
	// Session is the guardian's random id of the admitted boot.
	Session string `json:"session,omitempty"`
	// Paths are its ends of the comm paths, in no order.
	Paths []Path `json:"paths,omitempty"`
	// HeartbeatKey is its public X25519 key.
	HeartbeatKey []byte `json:"heartbeat_key,omitempty"`
	Software     string `json:"software,omitempty"`
	// Protocol is the newest wire and command version that it understands.
	Protocol int `json:"protocol,omitempty"`
	// Lost reports that its local state was lost: it came back under another
	// id, and the leader takes this one out.
	Lost bool `json:"lost,omitempty"`
	// HandOvers counts how often the node was asked to become unmanaged.
	HandOvers uint64 `json:"hand_overs,omitempty"`
	// WatchdogSeconds is the watchdog's time-out as read back (0: none armed).
	WatchdogSeconds int `json:"watchdog_seconds,omitempty"`
	// Maintenance reports whether nothing is brought in service here, and what is
	// here stays and isn't monitored.
	Maintenance bool `json:"maintenance,omitempty"`
	// API is where it answers users and access tokens: "off", addresses
	// ip:port separated by commas, or empty: on its comm paths, at the default
	// port, once there are users or access tokens.
	API string `json:"api,omitempty"`
	// Drain reports whether what is here moves to other nodes, and nothing is
	// brought in service here.
	Drain bool `json:"drain,omitempty"`
	// Storage says where the object of a storage witness lies; nil for others.
	Storage *Storage `json:"storage,omitempty"`
	// Health is what is wrong with its machine, as it says itself.
	Health []HealthMark `json:"health,omitempty"`
	// OnFailure is what failures here lead to.
	OnFailure FailurePolicy `json:"on_failure,omitzero"`
	// Shutdown is what becomes of services when this node is shut down; empty:
	// [ShutdownMove].
	Shutdown Shutdown `json:"shutdown,omitempty"`
	// Host is the machine under a virtual one, as its hypervisor says or a
	// person; empty: not known.
	Host string `json:"host,omitempty"`
	// Falls are the timeline entries of the ends of this node that nobody asked
	// for, of the last hour, oldest first.
	Falls []uint64 `json:"falls,omitempty"`
	// Quarantine is the entry of the fall that was one too many: the node takes
	// something over only when nobody else can. 0: it isn't in quarantine.
	Quarantine uint64 `json:"quarantine,omitempty"`
}

// Path is a node's end of a comm path. The ends of two nodes with the same
// network name belong together.
type Path struct {
	Network  string `json:"network"`
	Address  string `json:"address"` // ip:port
	Priority int    `json:"priority"`
}

// Token admits one node, once.
type Token struct {
	// Hash is SHA-256 of the secret, hex.
	Hash string `json:"hash"`
	// ExpiresUnix is wall time in seconds.
	ExpiresUnix int64  `json:"expires_unix"`
	Role        Role   `json:"role"`
	UsedBy      NodeID `json:"used_by,omitempty"`
}

// Status of a resource or hierarchy, in the field's words.
type Status string

const (
	OutOfService Status = "out of service"
	Starting     Status = "starting"
	InService    Status = "in service"
	Degraded     Status = "in service but degraded"
	Stopping     Status = "stopping"
	Failed       Status = "failed"
	// Unknown: nobody who can be asked knows. It never means stopped.
	Unknown Status = "unknown"
)

// Serving reports whether clients may be answered in this status.
func (s Status) Serving() bool { return s == InService || s == Degraded }

// Reason is a message code with its arguments. People see it through package
// message, in their language.
type Reason struct {
	Code string   `json:"code,omitempty"`
	Args []string `json:"args,omitempty"`
}

// Because makes a reason.
func Because(code string, args ...any) Reason {
	r := Reason{Code: code}
	for _, a := range args {
		r.Args = append(r.Args, fmt.Sprint(a))
	}
	return r
}

// Class is how a hierarchy's data is guarded, which decides how long a takeover
// waits after the eviction. See docs/design/leases.md.
type Class string

const (
	// SelfGuarding: stateless, or on replicated volumes whose targets refuse a
	// stale epoch. No wait.
	SelfGuarding Class = "self-guarding"
	// SharedData: a disk or share that a stale node could still write. The
	// takeover waits for confirmed fencing.
	SharedData Class = "shared-data"
	// WatchdogOnly: shared data with no fencing device: waits for the watchdog
	// of the evicted node. Weaker.
	WatchdogOnly Class = "watchdog-only"
	// Unfenced: no wait although data is shared, because the user said so.
	Unfenced Class = "unfenced"
)

// Want is what the user asked of a hierarchy.
type Want string

const (
	WantInService    Want = "in service"
	WantOutOfService Want = "out of service"
)

// Hierarchy is a set of resources with dependencies that is in service on one
// node as a whole. Several roots may share a child.
type Hierarchy struct {
	Name  string   `json:"name"`
	Nodes []NodeID `json:"nodes"` // preferred first
	Want  Want     `json:"want"`
	Class Class    `json:"class"`
	// Policy is what is done when things fail.
	Policy    Policy     `json:"policy"`
	Resources []Resource `json:"resources,omitempty"` // sorted by name

	// Owner may have it in service; 0: nobody. It is not cleared by silence,
	// only by the owner's committed stop, its next Admit, or its eviction.
	Owner      NodeID     `json:"owner,omitempty"`
	Generation Generation `json:"generation,omitempty"` // the owner's
	Epoch      Epoch      `json:"epoch"`
	Status     Status     `json:"status"`
	Reason     Reason     `json:"reason,omitzero"`
	// Releasing are claims that were given up while an owner may still hold
	// them: nobody else may have them before it has let go of the hierarchy.
	Releasing []string `json:"releasing,omitempty"`
	// LastOwner is who had it before Owner became 0, and Released how.
	LastOwner NodeID  `json:"last_owner,omitempty"`
	Released  Release `json:"released,omitempty"`
	// FenceWait is the node (and generation) whose fencing a takeover must
	// wait for; 0: none.
	FenceWait    NodeID     `json:"fence_wait,omitempty"`
	FenceWaitGen Generation `json:"fence_wait_gen,omitempty"`
	// Move is a switchover that was asked for and isn't over.
	Move *Move `json:"move,omitempty"`
	// Failures are the nodes on which it could not be kept in service.
	Failures []Failure `json:"failures,omitempty"`
	// Rounds counts how often it failed on every node since it was last in
	// service for good; it sets the back-off.
	Rounds int `json:"rounds,omitempty"`
	// Since is the timeline entry that led to the present status.
	Since uint64 `json:"since,omitempty"`
	// Failover is set while it has no owner because its last one was lost, could
	// not keep it, or was shut down and keeps it for itself.
	Failover *Failover `json:"failover,omitempty"`
	// Moves are the timeline entries of the failovers of the last hour, oldest
	// first.
	Moves []uint64 `json:"moves,omitempty"`
	// Extending are nodes that are being looked at before it is extended to them.
	Extending []Extension `json:"extending,omitempty"`
	// Changed is the raft index of the last change of its settings, resources or
	// nodes.
	Changed uint64 `json:"changed,omitempty"`
}

// Release says how the last owner let go.
type Release string

const (
	// ReleasedStopped: the owner committed that everything is stopped.
	ReleasedStopped Release = "stopped"
	// ReleasedReboot: the owner came back as a new generation.
	ReleasedReboot Release = "reboot"
	// ReleasedEvicted: the owner was evicted.
	ReleasedEvicted Release = "evicted"
	// ReleasedFenced: the owner was unmanaged, and a person said that its
	// machine is off.
	ReleasedFenced Release = "fenced"
)

// Policy of a hierarchy. The zero value is the default.
type Policy struct {
	// NotifyOnly: failures are reported and nothing is done.
	NotifyOnly bool `json:"notify_only,omitempty"`
	// Switchback: return to the first node by itself when it is eligible.
	Switchback bool `json:"switchback,omitempty"`
	// ConfirmFailover: a person decides; after ConfirmSeconds the default
	// ConfirmDefault ("proceed" or "block") holds.
	ConfirmFailover bool   `json:"confirm_failover,omitempty"`
	ConfirmSeconds  int    `json:"confirm_seconds,omitempty"`
	ConfirmDefault  string `json:"confirm_default,omitempty"`
	// FailoverBlocked: it is tried again on its node and goes to no other by
	// itself.
	FailoverBlocked bool `json:"failover_blocked,omitempty"`
	// Targets are the nodes to which it may fail over; empty: all of its nodes.
	Targets []NodeID `json:"targets,omitempty"`
	// MovesPerHour bounds failovers within an hour; 0: [MovesPerHourDefault],
	// negative: no bound.
	MovesPerHour int `json:"moves_per_hour,omitempty"`
	// Maintenance: monitoring, starts, moves and recoveries are suspended.
	Maintenance bool `json:"maintenance,omitempty"`
}

// Resource is one thing that a kit brings in service.
type Resource struct {
	Name      string            `json:"name"`
	Kit       string            `json:"kit"`
	Settings  map[string]string `json:"settings,omitempty"`
	DependsOn []string          `json:"depends_on,omitempty"` // children, sorted
	// Claims are things that no other resource may claim, as the kit says:
	// "address 10.0.0.5".
	Claims []string `json:"claims,omitempty"`
	Status Status   `json:"status"`
	Reason Reason   `json:"reason,omitzero"`
	Common Common   `json:"common"`
	// Maintenance: it isn't monitored, and its failures lead to nothing. It is
	// still started and stopped with its hierarchy.
	Maintenance bool `json:"maintenance,omitempty"`
	// OnFailure is what its failures lead to.
	OnFailure FailurePolicy `json:"on_failure,omitzero"`
}

// Common are the settings that every resource has. Zero durations mean the
// kit's default.
type Common struct {
	CheckInterval  time.Duration `json:"check_interval,omitempty"`
	CheckTimeout   time.Duration `json:"check_timeout,omitempty"`
	DeepInterval   time.Duration `json:"deep_interval,omitempty"`
	DeepTimeout    time.Duration `json:"deep_timeout,omitempty"`
	StartTimeout   time.Duration `json:"start_timeout,omitempty"`
	StopTimeout    time.Duration `json:"stop_timeout,omitempty"`
	RecoveryWithin time.Duration `json:"recovery_within,omitempty"`
	// RecoveryMax is the number of local recoveries within RecoveryWithin
	// before a failover; negative: none.
	RecoveryMax int `json:"recovery_max,omitempty"`
	// Probe reports that the resource only looks at those it depends on: when
	// it fails they are what is restarted.
	Probe bool `json:"probe,omitempty"`
}

// Move is a switchover in progress.
type Move struct {
	To    NodeID `json:"to"`
	From  NodeID `json:"from,omitempty"`
	Entry uint64 `json:"entry"` // the timeline entry that asked for it
}

// Failure marks a node on which a hierarchy failed. While it stands the
// hierarchy isn't started there.
type Failure struct {
	Node     NodeID `json:"node"`
	Resource string `json:"resource,omitempty"`
	Reason   Reason `json:"reason"`
	Entry    uint64 `json:"entry"`
}

// Entry is one line of the timeline: something that was decided or observed,
// with what caused it.
type Entry struct {
	// ID is the raft index of the command, so it is unique and ordered. A
	// command makes at most one entry per hierarchy.
	ID        uint64 `json:"id"`
	WallMilli int64  `json:"wall_ms"` // the proposer's wall clock; for people
	Kind      Kind   `json:"kind"`
	Hierarchy string `json:"hierarchy,omitempty"`
	Resource  string `json:"resource,omitempty"`
	Volume    string `json:"volume,omitempty"`
	Node      NodeID `json:"node,omitempty"`
	Reason    Reason `json:"reason,omitzero"`
	// Causes are earlier entries that led to this one.
	Causes []uint64 `json:"causes,omitempty"`
	// Evidence is what the decision was based on: who said what, what was
	// ruled out, what each phase cost.
	Evidence []Evidence `json:"evidence,omitempty"`
	By       string     `json:"by,omitempty"` // the person or node that asked
}

// Evidence is one observation behind a decision.
type Evidence struct {
	Node   NodeID        `json:"node"` // who observed
	Reason Reason        `json:"reason"`
	Ago    time.Duration `json:"ago,omitempty"` // before the decision
}

// timelineMax bounds the timeline in the document: old entries are dropped.
const timelineMax = 512

// recentMax is how many command ids are remembered: more than can be under way.
const recentMax = 256

// Clone copies the state deeply.
func (s *State) Clone() *State {
	// JSON is the format of snapshots anyway, so that whatever a clone would
	// lose a snapshot would lose as well.
	c, err := DecodeState(s.Encode())
	if err != nil {
		panic(fmt.Sprintf("clone the cluster state: %v", err))
	}
	return c
}

// Encode is the state as a snapshot carries it.
func (s *State) Encode() []byte {
	b, err := json.Marshal(s)
	if err != nil {
		panic(fmt.Sprintf("encode the cluster state: %v", err))
	}
	return b
}

// DecodeState reads what [State.Encode] wrote. It refuses documents of a newer
// version.
func DecodeState(b []byte) (*State, error) {
	s := new(State)
	if err := json.Unmarshal(b, s); err != nil {
		return nil, fmt.Errorf("decode the cluster state: %w", err)
	}
	if s.Version < 1 || s.Version > StateVersion {
		return nil, fmt.Errorf("decode the cluster state: version %d, this software reads 1 to %d: upgrade this node", s.Version, StateVersion)
	}
	return s, nil
}

// Node finds a node by id; nil if there is none.
func (s *State) Node(id NodeID) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].ID == id {
			return &s.Nodes[i]
		}
	}
	return nil
}

// NodeByName finds a node by name; nil if there is none.
func (s *State) NodeByName(name string) *Node {
	for i := range s.Nodes {
		if s.Nodes[i].Name == name {
			return &s.Nodes[i]
		}
	}
	return nil
}

// NodeName is the name of a node, or its id if it is gone.
func (s *State) NodeName(id NodeID) string {
	if n := s.Node(id); n != nil {
		return n.Name
	}
	return id.String()
}

// Hierarchy finds a hierarchy; nil if there is none.
func (s *State) Hierarchy(name string) *Hierarchy {
	for i := range s.Hierarchies {
		if s.Hierarchies[i].Name == name {
			return &s.Hierarchies[i]
		}
	}
	return nil
}

// Resource finds a resource of the hierarchy; nil if there is none.
func (h *Hierarchy) Resource(name string) *Resource {
	for i := range h.Resources {
		if h.Resources[i].Name == name {
			return &h.Resources[i]
		}
	}
	return nil
}

// FailedOn reports whether a failure mark stands for the node.
func (h *Hierarchy) FailedOn(id NodeID) bool {
	return slices.ContainsFunc(h.Failures, func(f Failure) bool { return f.Node == id })
}

// IsVoter reports whether the node has a vote.
func (s *State) IsVoter(id NodeID) bool { return slices.Contains(s.Voters, id) }

// Majority is the number of votes that decide.
func (s *State) Majority() int { return len(s.Voters)/2 + 1 }

// Timing derives all times from the detection time.
func (s *State) Timing() Timing { return TimingFor(s.Detection) }

// Owns reports whether the node owns the hierarchy under the generation.
func (h *Hierarchy) Owns(id NodeID, g Generation) bool {
	return id != 0 && h.Owner == id && h.Generation == g
}

// StartOrder lists the resources so that children come before their parents,
// alphabetical among equals. Cycles were refused when they were made.
func (h *Hierarchy) StartOrder() []string {
	order, _ := h.order()
	return order
}

// order is a depth-first topological sort; ok is false on a cycle or a
// dependency on something that isn't there.
func (h *Hierarchy) order() (out []string, ok bool) {
	state := make(map[string]int, len(h.Resources)) // 1: being visited, 2: done
	ok = true
	var visit func(name string)
	visit = func(name string) {
		switch state[name] {
		case 1:
			ok = false
			return
		case 2:
			return
		}
		r := h.Resource(name)
		if r == nil {
			ok = false
			return
		}
		state[name] = 1
		for _, d := range r.DependsOn {
			visit(d)
		}
		state[name] = 2
		out = append(out, name)
	}
	for i := range h.Resources {
		visit(h.Resources[i].Name)
	}
	return out, ok
}
