package cluster

import (
	"bytes"
	"encoding/json"
	"errors"
	"fmt"
	"time"
)

// CommandVersion is the format of commands. A node that meets a newer one stops
// instead of guessing, because guessing would let its state differ.
const CommandVersion = 1

// Command asks for one change of the state. Exactly one of the pointers is set.
type Command struct {
	V int `json:"v"`
	// ID lets the proposer recognise its own command when it is applied;
	// random, 0 if nobody waits.
	ID        uint64     `json:"id,omitempty"`
	WallMilli int64      `json:"wall_ms,omitempty"`
	By        string     `json:"by,omitempty"`
	Reason    Reason     `json:"reason,omitzero"`
	Causes    []uint64   `json:"causes,omitempty"`
	Evidence  []Evidence `json:"evidence,omitempty"`

	AddToken        *AddToken        `json:"add_token,omitempty"`
	AddNode         *AddNode         `json:"add_node,omitempty"`
	Rejoin          *Rejoin          `json:"rejoin,omitempty"`
	AddStorage      *AddStorage      `json:"add_storage,omitempty"`
	StoreTried      *StoreTried      `json:"store_tried,omitempty"`
	Member          *Member          `json:"member,omitempty"`
	SetCluster      *SetCluster      `json:"set_cluster,omitempty"`
	SetNode         *SetNode         `json:"set_node,omitempty"`
	Admit           *Admit           `json:"admit,omitempty"`
	Evict           *Evict           `json:"evict,omitempty"`
	Leave           *Leave           `json:"leave,omitempty"`
	SetUnmanaged    *SetUnmanaged    `json:"set_unmanaged,omitempty"`
	Fenced          *Fenced          `json:"fenced,omitempty"`
	SetDetection    *SetDetection    `json:"set_detection,omitempty"`
	SettleDetection *SettleDetection `json:"settle_detection,omitempty"`
	Assign          *Assign          `json:"assign,omitempty"`
	Report          *Report          `json:"report,omitempty"`
	Retry           *Retry           `json:"retry,omitempty"`
	StartMove       *StartMove       `json:"start_move,omitempty"`
	CancelMove      *CancelMove      `json:"cancel_move,omitempty"`
	SetWant         *SetWant         `json:"set_want,omitempty"`
	Confirm         *Confirm         `json:"confirm,omitempty"`
	Forget          *Forget          `json:"forget,omitempty"`
	Extend          *Extend          `json:"extend,omitempty"`
	Extended        *Extended        `json:"extended,omitempty"`
	Unextend        *Unextend        `json:"unextend,omitempty"`
	SetDependency   *SetDependency   `json:"set_dependency,omitempty"`
	ClearFailures   *ClearFailures   `json:"clear_failures,omitempty"`
	CreateHierarchy *CreateHierarchy `json:"create_hierarchy,omitempty"`
	DeleteHierarchy *DeleteHierarchy `json:"delete_hierarchy,omitempty"`
	SetHierarchy    *SetHierarchy    `json:"set_hierarchy,omitempty"`
	CreateResource  *CreateResource  `json:"create_resource,omitempty"`
	DeleteResource  *DeleteResource  `json:"delete_resource,omitempty"`
	SetResource     *SetResource     `json:"set_resource,omitempty"`
	Note            *Note            `json:"note,omitempty"`
	SetHook         *SetHook         `json:"set_hook,omitempty"`
	DeleteHook      *DeleteHook      `json:"delete_hook,omitempty"`
	SetHealth       *SetHealth       `json:"set_health,omitempty"`
	SetLimits       *SetLimits       `json:"set_limits,omitempty"`
	SetUser         *SetUser         `json:"set_user,omitempty"`
	DeleteUser      *DeleteUser      `json:"delete_user,omitempty"`
	AddKey          *AddKey          `json:"add_key,omitempty"`
	DeleteKey       *DeleteKey       `json:"delete_key,omitempty"`

	CreateVolume   *CreateVolume   `json:"create_volume,omitempty"`
	DeleteVolume   *DeleteVolume   `json:"delete_volume,omitempty"`
	ExtendVolume   *ExtendVolume   `json:"extend_volume,omitempty"`
	UnextendVolume *UnextendVolume `json:"unextend_volume,omitempty"`
	AcquireVolume  *AcquireVolume  `json:"acquire_volume,omitempty"`
	ReleaseVolume  *ReleaseVolume  `json:"release_volume,omitempty"`
	AddInSync      *AddInSync      `json:"add_in_sync,omitempty"`
	RemoveInSync   *RemoveInSync   `json:"remove_in_sync,omitempty"`
	SuspectCopy    *SuspectCopy    `json:"suspect_copy,omitempty"`
	ForceVolume    *ForceVolume    `json:"force_volume,omitempty"`
	ResolveVolume  *ResolveVolume  `json:"resolve_volume,omitempty"`
	SetCopy        *SetCopy        `json:"set_copy,omitempty"`
	DoubtVolumes   *DoubtVolumes   `json:"doubt_volumes,omitempty"`
	SawCopy        *SawCopy        `json:"saw_copy,omitempty"`
}

// Encode is the command as the log carries it.
func (c *Command) Encode() []byte {
	c.V = CommandVersion
	b, err := json.Marshal(c)
	if err != nil {
		panic(fmt.Sprintf("encode a command: %v", err))
	}
	return b
}

// DecodeCommand reads what [Command.Encode] wrote. It refuses newer versions.
func DecodeCommand(b []byte) (*Command, error) {
	c := new(Command)
	d := json.NewDecoder(bytes.NewReader(b))
	d.DisallowUnknownFields() // what is not understood can't be carried out
	err := d.Decode(c)
	if err == nil && d.More() {
		err = errors.New("more than one")
	}
	if err != nil {
		return nil, fmt.Errorf("decode a command: %w: upgrade this node if another one runs newer software", err)
	}
	if c.V < 1 || c.V > CommandVersion {
		return nil, fmt.Errorf("decode a command: version %d, this software reads 1 to %d: upgrade this node", c.V, CommandVersion)
	}
	return c, nil
}

// AddToken makes a token known. Expired and used ones are dropped on the way.
type AddToken struct {
	Token Token `json:"token"`
	// NowUnix is the proposer's wall time in seconds.
	NowUnix int64 `json:"now_unix"`
}

// AddNode uses a token and gives the node its id ([Result.Node]). The node has
// no vote until a Member command gives it one.
type AddNode struct {
	Name         string `json:"name"`
	Role         Role   `json:"role"`
	Paths        []Path `json:"paths"`
	HeartbeatKey []byte `json:"heartbeat_key"`
	TokenHash    string `json:"token_hash"`
	NowUnix      int64  `json:"now_unix"`
	Software     string `json:"software,omitempty"`
	Protocol     int    `json:"protocol,omitempty"`
}

// Rejoin gives a node whose local state was lost a new id ([Result.Node]); the
// old one never votes or serves again. By proposing it the node states that
// nothing of its earlier boots runs on it. The proposer has seen the node's
// certificate.
type Rejoin struct {
	Old          NodeID `json:"old"`
	HeartbeatKey []byte `json:"heartbeat_key"`
	Software     string `json:"software,omitempty"`
	Protocol     int    `json:"protocol,omitempty"`
}

// AddStorage makes a storage witness ([Result.Node]). It has no vote until the
// nodes that are present have tried its store together ([StoreTried]).
type AddStorage struct {
	Name     string    `json:"name"`
	ID       string    `json:"id"`
	Kind     StoreKind `json:"kind"`
	Location string    `json:"location"`
}

// StoreTried is what a node found when it tried a store.
type StoreTried struct {
	Storage NodeID     `json:"storage"`
	Trial   StoreTrial `json:"trial"`
}

// MemberAs is the place of a node in the raft configuration.
type MemberAs string

const (
	AsVoter   MemberAs = "voter"
	AsLearner MemberAs = "learner"
	// AsNothing removes the node from the cluster for good.
	AsNothing MemberAs = "removed"
)

// Member changes the raft configuration. It travels as the context of a raft
// configuration change and is applied with it.
type Member struct {
	Node NodeID   `json:"node"`
	As   MemberAs `json:"as"`
}

// SetCluster changes what is set and leaves the rest.
type SetCluster struct {
	Maintenance *bool       `json:"maintenance,omitempty"`
	QuorumLoss  *QuorumLoss `json:"quorum_loss,omitempty"`
}

// SetNode changes what is set and leaves the rest.
type SetNode struct {
	Node            NodeID  `json:"node"`
	Paths           []Path  `json:"paths,omitzero"`
	Software        *string `json:"software,omitempty"`
	Protocol        *int    `json:"protocol,omitempty"`
	WatchdogSeconds *int    `json:"watchdog_seconds,omitempty"`
	Maintenance     *bool   `json:"maintenance,omitempty"`
	API             *string `json:"api,omitempty"`
	Drain           *bool   `json:"drain,omitempty"`
	Host            *string `json:"host,omitempty"`

	Shutdown  *Shutdown      `json:"shutdown,omitempty"`
	OnFailure *FailureChange `json:"on_failure,omitempty"`
}

// Admit gives a boot of a node its generation. By proposing it the node states
// that everything of its earlier boots is stopped on it, so it owns nothing any
// more. It is void unless Previous is the node's present generation. Admitting
// the same session again changes nothing.
type Admit struct {
	Node     NodeID     `json:"node"`
	Session  string     `json:"session"`
	Previous Generation `json:"previous"`
}

// Evict takes everything from a node whose lease is over: a majority of the
// voters of configuration Conf promised never to acknowledge the generation
// again. It is void if generation or configuration changed.
type Evict struct {
	Node       NodeID     `json:"node"`
	Generation Generation `json:"generation"`
	Conf       uint64     `json:"conf"`
	Promises   []NodeID   `json:"promises"`
}

// Leave says that the node stopped everything and goes. Nothing fails over
// from it.
type Leave struct {
	Node       NodeID     `json:"node"`
	Generation Generation `json:"generation"`
}

// SetUnmanaged brackets a planned stop of the daemon with services running on.
// Its end is void unless HandOvers is the node's, so that one that is late can't
// undo a hand-over that was asked for after it.
type SetUnmanaged struct {
	Node       NodeID     `json:"node"`
	Generation Generation `json:"generation"`
	On         bool       `json:"on"`
	HandOvers  uint64     `json:"hand_overs,omitempty"`
}

// Fenced says that the generation of the node can't touch shared data any more.
// Of an unmanaged node, whose silence says nothing, it is the only word that
// ends its services. How says by what: "power", "storage", "watchdog", "person".
type Fenced struct {
	Node       NodeID     `json:"node"`
	Generation Generation `json:"generation"`
	How        string     `json:"how"`
}

// SetDetection changes the detection time.
type SetDetection struct {
	Detection time.Duration `json:"detection"`
}

// SettleDetection ends the time during which leases under an earlier, longer
// detection time may be outstanding. The leader proposes it twice: first at
// once (when it is committed, no majority can acknowledge under the old
// configuration any more), then after Ceiling + margin. Void if Conf changed.
type SettleDetection struct {
	Conf uint64 `json:"conf"`
	Step int    `json:"step"` // 1 or 2
}

// Assign gives a hierarchy to a node. Void unless it has no owner, the node is
// present under the generation, and Previous is the hierarchy's epoch.
type Assign struct {
	Hierarchy  string     `json:"hierarchy"`
	Node       NodeID     `json:"node"`
	Generation Generation `json:"generation"`
	Previous   Epoch      `json:"previous"`
}

// Report is what the owner says of a hierarchy. Void unless it owns it under
// Generation and Epoch. Status OutOfService or Failed means that everything is
// stopped, and gives up ownership; Failed also marks the node.
type Report struct {
	Hierarchy  string           `json:"hierarchy"`
	Node       NodeID           `json:"node"`
	Generation Generation       `json:"generation"`
	Epoch      Epoch            `json:"epoch"`
	Status     Status           `json:"status"`
	Resource   string           `json:"resource,omitempty"` // the one that the reason is about
	Resources  []ResourceStatus `json:"resources,omitempty"`
	// Quiet: no entry in the timeline.
	Quiet bool `json:"quiet,omitempty"`
	// Keeps, with OutOfService: the node was shut down and has it again when it
	// is back; it is no other's meanwhile.
	Keeps bool `json:"keeps,omitempty"`
}

// ResourceStatus is the news of one resource.
type ResourceStatus struct {
	Name   string `json:"name"`
	Status Status `json:"status"`
	Reason Reason `json:"reason,omitzero"`
}

// Retry clears the failure marks of a hierarchy that failed on every node,
// after the back-off, and counts the round.
type Retry struct {
	Hierarchy string `json:"hierarchy"`
	Previous  Epoch  `json:"previous"`
	// Settled: it has been in service long enough: the count starts anew.
	Settled bool `json:"settled,omitempty"`
}

// StartMove asks for a switchover.
type StartMove struct {
	Hierarchy string `json:"hierarchy"`
	To        NodeID `json:"to"`
}

// CancelMove ends a switchover that isn't over: the planner chooses freely.
type CancelMove struct {
	Hierarchy string `json:"hierarchy"`
}

// SetWant brings a hierarchy in or out of service.
type SetWant struct {
	Hierarchy string `json:"hierarchy"`
	Want      Want   `json:"want"`
}

// ClearFailures removes failure marks: of one node, or all (0).
type ClearFailures struct {
	Hierarchy string `json:"hierarchy"`
	Node      NodeID `json:"node,omitempty"`
}

// CreateHierarchy makes a hierarchy, out of service, with its resources.
type CreateHierarchy struct {
	Name      string     `json:"name"`
	Nodes     []NodeID   `json:"nodes"`
	Class     Class      `json:"class"`
	Policy    Policy     `json:"policy"`
	Want      Want       `json:"want"`
	Resources []Resource `json:"resources,omitempty"`
}

// DeleteHierarchy removes a hierarchy that is out of service.
type DeleteHierarchy struct {
	Name string `json:"name"`
}

// SetHierarchy changes what is set and leaves the rest. Policy replaces all of
// it, Change what it names, so that two who change different things at once
// both have their way.
type SetHierarchy struct {
	Name   string        `json:"name"`
	Nodes  []NodeID      `json:"nodes,omitzero"`
	Policy *Policy       `json:"policy,omitempty"`
	Change *PolicyChange `json:"change,omitempty"`
	Class  *Class        `json:"class,omitempty"`
	// Seen is as in [SetResource].
	Seen uint64 `json:"seen,omitempty"`
}

// PolicyChange changes what is set of a [Policy] and leaves the rest.
type PolicyChange struct {
	NotifyOnly      *bool   `json:"notify_only,omitempty"`
	Switchback      *bool   `json:"switchback,omitempty"`
	ConfirmFailover *bool   `json:"confirm_failover,omitempty"`
	ConfirmSeconds  *int    `json:"confirm_seconds,omitempty"`
	ConfirmDefault  *string `json:"confirm_default,omitempty"`
	Maintenance     *bool   `json:"maintenance,omitempty"`

	FailoverBlocked *bool     `json:"failover_blocked,omitempty"`
	Targets         *[]NodeID `json:"targets,omitempty"`
	MovesPerHour    *int      `json:"moves_per_hour,omitempty"`
}

// CreateResource adds a resource. Parents are resources that will depend on it.
type CreateResource struct {
	Hierarchy string   `json:"hierarchy"`
	Resource  Resource `json:"resource"`
	Parents   []string `json:"parents,omitempty"`
}

// DeleteResource removes a resource on which nothing depends. The owner stops
// it.
type DeleteResource struct {
	Hierarchy string `json:"hierarchy"`
	Name      string `json:"name"`
}

// SetResource replaces settings, dependencies or both.
type SetResource struct {
	Hierarchy string            `json:"hierarchy"`
	Name      string            `json:"name"`
	Settings  map[string]string `json:"settings,omitzero"`
	Claims    []string          `json:"claims,omitempty"`
	Common    *Common           `json:"common,omitempty"`
	DependsOn *[]string         `json:"depends_on,omitempty"`
	// Maintenance suspends monitoring and recovery of this resource alone.
	Maintenance *bool          `json:"maintenance,omitempty"`
	OnFailure   *FailureChange `json:"on_failure,omitempty"`
	// Seen, if not 0, is the hierarchy's Changed that the proposer had read: it is
	// refused if something else was changed since.
	Seen uint64 `json:"seen,omitempty"`
}

// Note puts an observation into the timeline.
type Note struct {
	Kind      Kind   `json:"kind"`
	Hierarchy string `json:"hierarchy,omitempty"`
	Resource  string `json:"resource,omitempty"`
	Node      NodeID `json:"node,omitempty"`
}
