package volume

import "github.com/perdure-ha/perdure/internal/cluster"

// ProtocolVersion is the wire's. Both ends must have the same.
const ProtocolVersion = 1

// Message is what copies say to each other. Fields that a type doesn't use are
// zero. Epoch is the source's in messages of the source, and what the target
// knows in those of the target.
type Message struct {
	Type  MessageType
	Epoch cluster.VolumeEpoch
	// Seq names what is to be acknowledged, counted by link from 1.
	Seq uint64

	// Hello and Welcome.
	Protocol              int
	Volume                string // id
	From, To              cluster.Copy
	Session               uint64 // random, of the process
	Size                  int64
	BlockSize, ExtentSize int
	Slots                 int

	// Welcome.
	Consistent, Suspect bool
	Boot                string // of the machine

	// Refuse and Bye: why; Ack: 0 or the disk's failure.
	Code Code

	// Plan and Config: the in-sync set, and since when each copy outside it is
	// out (0: it is in, or there is none).
	Set     uint64
	Members cluster.CopySet
	Since   [cluster.MaxCopies + 1]uint64
	// Plan and Hot: slots of the activity log; in a Plan all that are taken.
	Hot []Slot
	// Plan: number of blocks that are missing; above 0 for a copy outside the
	// set the target is not consistent until Equal.
	Blocks int64
	// Plan: keep an undo log.
	Undo bool

	// Write, Trim, Zero, Copy.
	Offset, Length int64
	FUA            bool
	// Batch orders writes to an async copy: one begins only when all of lower
	// batches are on disk. 0: no order but of overlaps.
	Batch uint64

	// Marks: runs that Copy may lack, complete since the set version SinceSet
	// (0: not complete).
	Copy     cluster.Copy
	SinceSet uint64
	Runs     []Run

	// Equal: these copies have the same content as the sender, but for what is
	// under way.
	Equal cluster.CopySet
}

// MessageType is the type of a message. Numbers are on the wire.
type MessageType uint8

const (
	Hello   MessageType = 1
	Welcome MessageType = 2
	Refuse  MessageType = 3
	Plan    MessageType = 4
	Configs MessageType = 5
	// Hot changes the activity log.
	Hot MessageType = 6
	// Writes, Trims, Zeroes and Flushes carry the client's requests.
	Writes  MessageType = 8
	Trims   MessageType = 9
	Zeroes  MessageType = 10
	Flushes MessageType = 11
	// CopyBlocks carries blocks of a resync.
	CopyBlocks MessageType = 13
	// Equals ends a resync.
	Equals MessageType = 12
	// MarksOf carries marks, from the target after Welcome, from the source
	// before Equal.
	MarksOf MessageType = 14
	Ack     MessageType = 15
	Ping    MessageType = 18
	Pong    MessageType = 19
	Bye     MessageType = 20
)

// Code says why a handshake was refused or a request failed. Numbers are on the
// wire.
type Code uint8

const (
	Good Code = 0
	// StaleEpoch: the target knows a later epoch.
	StaleEpoch Code = 1
	// OtherVolume: the device holds another volume, or another copy of it.
	OtherVolume Code = 2
	// OtherForm: sizes differ.
	OtherForm Code = 3
	// OtherProtocol: the other release speaks another version.
	OtherProtocol Code = 4
	// Busy: it is itself about to become the source, or not ready yet.
	Busy Code = 5
	// DiskFailed: its disk failed.
	DiskFailed Code = 6
	// NotResolved: it holds writes that a forced start threw away.
	NotResolved Code = 7
)
