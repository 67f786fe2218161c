package volume

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// Event is something that happened to a copy.
type Event interface{ event() }

// Kind of a request.
type Kind uint8

const (
	Read Kind = iota + 1
	Write
	Trim
	Zero
	Flush
)

func (k Kind) String() string {
	return [...]string{"", "read", "write", "trim", "zero", "flush"}[k]
}

// Request is what a client of the volume asks. The edge keeps its data until
// the reply.
type Request struct {
	// ID is unique within the process, above 0.
	ID   uint64
	Kind Kind
	// Offset and Length in bytes, within the volume. Flush has neither.
	Offset, Length int64
	// FUA: on stable storage before the reply.
	FUA bool
}

type (
	// Tick says that time passed: [Machine.Next] asked for it.
	Tick struct{}
	// View is the volume as the cluster's document has it, by the local node.
	// Older views than one that was seen are ignored. Volume nil: it was
	// deleted, or has no copy here any more.
	View struct {
		Applied uint64
		Volume  *cluster.Volume
	}
	// Lease is until when the node may serve, by its clock of BOOTTIME.
	Lease struct{ Until time.Duration }
	// Acquire orders the source role, under the node's generation.
	Acquire struct {
		Generation cluster.Generation
		AcceptLoss bool
	}
	// Release orders to give it up in peace.
	Release struct{}
	// Abandon orders to give it up at once: nothing is acknowledged any more.
	Abandon struct{}
	// RollBack orders a copy at rest to go back to the point that its undo log
	// keeps. It comes before the forced start.
	RollBack struct{}
	// Submit is a request of a client.
	Submit struct{ Request Request }
	// Done is the end of a disk operation or of a persist.
	Done struct {
		Token  Token
		Failed bool
	}
	// LinkUp is a link to a copy that was dialled, or that came in. Link is
	// unique within the process.
	LinkUp struct {
		Peer cluster.Copy
		Link uint64
		// Incoming: the peer dialled.
		Incoming bool
	}
	// LinkDown is its end, also the end of an attempt to dial (Link 0).
	LinkDown struct {
		Peer cluster.Copy
		Link uint64
	}
	// Received is a message that came over a link, in the order of sending.
	Received struct {
		Link    uint64
		Message Message
	}
)

func (Tick) event()     {}
func (View) event()     {}
func (Lease) event()    {}
func (Acquire) event()  {}
func (Release) event()  {}
func (Abandon) event()  {}
func (RollBack) event() {}
func (Submit) event()   {}
func (Done) event()     {}
func (LinkUp) event()   {}
func (LinkDown) event() {}
func (Received) event() {}
