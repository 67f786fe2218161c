package core

import (
	"time"

	"go.etcd.io/raft/v3/raftpb"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/decide"
)

// Event is something that happened. One of the types below.
type Event interface{ event() }

// Tick says that time has passed. It is due at [Core.Next].
type Tick struct{}

// BeatReceived is a heartbeat that came on some comm path. It must have been
// authenticated.
type BeatReceived struct {
	From cluster.NodeID
	// Network is the comm path on which it came.
	Network string
	Beat    *Heartbeat
}

// AckReceived is the answer to one of this node's heartbeats.
type AckReceived struct {
	From cluster.NodeID
	Ack  arbiter.Ack
}

// MessageReceived is a message from a peer, or one to be passed on.
type MessageReceived struct {
	From    cluster.NodeID
	Message *Message
}

// Persisted says how a Persist effect ended.
type Persisted struct {
	ID uint64
	// Err is nil if everything of the effect is durable. After an error
	// nothing of it counts, and the core asks again after a while.
	Err error
}

// Propose is a command from outside (API, another part of the daemon). The
// outcome comes as a Reply with the command's ID, which must not be 0.
type Propose struct {
	Command cluster.Command
}

// Acted is the result of an action of the executor.
type Acted struct{ Result decide.Result }

// Observed is something that a kit noticed by itself.
type Observed struct{ Event decide.KitEvent }

// Adopted tells what a restarted daemon found running.
type Adopted struct{ Running []decide.Running }

// Reset says that the guardian has stopped everything on this node and begun a
// new session.
type Reset struct{ Session string }

// Doubt says that this node's services may have been silent or stopped behind
// the core's back: everything is checked and announced again.
type Doubt struct{}

// Shutdown asks for a clean stop. Move says whether the hierarchies should be
// moved to other nodes first; otherwise they are stopped here and not started
// elsewhere by surprise. With Keep they start here again when the node is back;
// with neither they stay out of service.
type Shutdown struct{ Move, Keep bool }

// Manage ends or begins the unmanaged state of this node. It must not end before
// the guardian holds the deadlines of a living lease again.
type Manage struct{ Unmanaged bool }

// MachineAnswered says that something at the address of a node of
// [Effects.Suspects] answered: How is "ping" or "port 7400". A kernel does that
// while all programs stand still.
type MachineAnswered struct {
	Node    cluster.NodeID
	Network string
	How     string
}

func (MachineAnswered) event() {}

func (Tick) event()            {}
func (BeatReceived) event()    {}
func (AckReceived) event()     {}
func (MessageReceived) event() {}
func (Persisted) event()       {}
func (Propose) event()         {}
func (Acted) event()           {}
func (Observed) event()        {}
func (Adopted) event()         {}
func (Reset) event()           {}
func (Doubt) event()           {}
func (Shutdown) event()        {}
func (Manage) event()          {}

// Heartbeat is sent to peers on every comm path.
type Heartbeat struct {
	// Lease is the sender's request to be acknowledged; Generation 0: none.
	Lease arbiter.Beat
	// Life is random for each process, so that Sent can be compared.
	Life uint64
	// Term and Leader are what the sender believes; LeaderAge is how many
	// milliseconds ago it had word of the leader, first or second hand.
	Term      uint64
	Leader    cluster.NodeID
	LeaderAge uint32
	Applied   uint64
	// LogTerm and LogIndex are the furthest end that the sender's durable log had
	// in its process's life. They never
	// go back, unless its disk did.
	LogTerm, LogIndex uint64
	// Leaving: the sender is stopping cleanly and takes nothing over.
	Leaving bool
	// Heard lists how long ago the sender heard others.
	Heard []Heard
	// Protocol is the newest version that the sender speaks.
	Protocol uint32
}

// Heard is one node's word on another.
type Heard struct {
	Node cluster.NodeID
	Age  uint32 // ms
}

// Message goes to one peer over a reliable comm path, or is lost.
type Message struct {
	// From is the origin and To the final target; a relay passes it on once.
	From, To cluster.NodeID
	Relayed  bool
	// Via is the peer to which it must be handed; it doesn't travel.
	Via cluster.NodeID
	// One of these is set.
	Raft    *raftpb.Message
	Propose []byte // an encoded command, for the leader
	Refused *Refused
	Ask     *arbiter.Ask
	Answer  *arbiter.Answer
	Probe   *Probe
	Proof   *Proof
	Ack     *arbiter.Ack // of a proof
}

// Probe asks a silent node whether its lease lives. Asked is the sender's
// BOOTTIME.
type Probe struct{ Asked time.Duration }

// Refused tells the proposer that its command was not even proposed.
type Refused struct {
	ID     uint64         `json:"id"`
	Reason cluster.Reason `json:"reason"`
}

// Effects are what must be done now. Persist goes first; what depends on it is
// withheld by the core until the Persisted event. The rest may be done at once,
// in any order.
type Effects struct {
	Persist *Persist
	// Beat is to be sent to each of BeatTo on every comm path.
	Beat   *Heartbeat
	BeatTo []cluster.NodeID
	// Acks go back on the comm path that they name.
	Acks     []AckOut
	Messages []*Message
	// Suspects are silent nodes whose machines should be asked, over every
	// network, whether they answer at all ([MachineAnswered]).
	Suspects []cluster.NodeID
	// Storage are steps of passive voters; see [StorageOp].
	Storage []*StorageOp
	// Lease is set when the lease has grown: the guardian must know.
	Lease   *arbiter.Lease
	Actions []decide.Action
	Replies []Reply
	// Admitted is set when a generation of this node was admitted.
	Admitted cluster.Generation
	// ResetGuardian: everything on this node must be killed and a new session
	// begun (answered by Reset). The text says why.
	ResetGuardian *cluster.Reason
	// Changed reports whether the replicated state changed.
	Changed bool
	// Departed is set when a clean stop is committed or the node was removed:
	// the daemon may end.
	Departed *cluster.Reason
	// Fatal is set when this node can't go on with its local state. It stops,
	// and says what to do.
	Fatal error
	// Alarms are for the log; each is said once.
	Alarms []cluster.Reason
}

// AckOut is an acknowledgement to be sent.
type AckOut struct {
	To cluster.NodeID
	// Network is the comm path to send it on; empty: all of them.
	Network string
	Ack     arbiter.Ack
}

// Persist is one atomic, durable write.
type Persist struct {
	ID        uint64
	HardState *raftpb.HardState
	Entries   []*raftpb.Entry
	Snapshot  *raftpb.Snapshot
	// Local, if not nil, replaces the local record (promises).
	Local []byte
}

// Reply is the outcome of a Propose.
type Reply struct {
	ID     uint64
	Result cluster.Result
	Index  uint64
	// Err is set when nobody knows whether it was carried out.
	Unknown bool
}
