package volume

import "github.com/perdure-ha/perdure/internal/cluster"

// Token names an operation whose end comes back as [Done]. 0: nobody waits.
type Token uint64

// Effects are what must be done. Persists are carried out in order, one after
// another; messages of a link leave in order; everything else may happen at
// once. What must wait for a persist is not asked for before its Done.
type Effects struct {
	Persist []Persist
	Disk    []DiskOp
	Send    []Send
	Propose []cluster.Command
	Reply   []Reply
	// Dial asks for a link to the copy; the answer is LinkUp or LinkDown.
	Dial []cluster.Copy
	// HangUp ends links. No LinkDown comes back for them.
	HangUp []uint64
}

// Persist is one change of the metadata on disk. One of the fields is set.
type Persist struct {
	Token Token
	Super *Super
	// Slots are changes of the activity log, written as one transaction.
	Slots []Slot
	// Page is the marks for one copy in one extent, as they are now.
	Page *Page
	// ClearMarks empties the marks for a copy.
	ClearMarks cluster.Copy
	// Fence is a persist of nothing: its Done says that all before it are
	// durable.
	Fence bool
	// DropUndo ends the undo log.
	DropUndo bool
}

// Slot is one place of the activity log: the extent in it, −1 for none.
type Slot struct {
	Slot   int
	Extent int64
}

// Page is the marks for a copy in one extent; Bits nil: none.
type Page struct {
	Copy   cluster.Copy
	Extent int64
	Bits   []uint64
}

// DiskKind is what is done to the backing device.
type DiskKind uint8

const (
	DiskRead DiskKind = iota + 1
	DiskWrite
	DiskTrim
	DiskZero
	DiskFlush
	// DiskUndoSave makes the present content of the blocks durable in the undo
	// log.
	DiskUndoSave
	// DiskUndoRestore writes everything in the undo log back and flushes.
	DiskUndoRestore
)

// DiskOp is one operation on the backing device.
type DiskOp struct {
	Token          Token
	Kind           DiskKind
	Offset, Length int64
	FUA            bool
	// Request whose data it reads or writes; 0: none.
	Request uint64
	// Link and Seq name the message whose data a target writes; 0: none.
	Link uint64
	Seq  uint64
	// Copy names the buffer of a block that is being copied; 0: none.
	Copy Token
}

// Send is one message to go out. Its data, if it has any, are those of Request
// or of the buffer Copy.
type Send struct {
	Link    uint64
	Message Message
	Request uint64
	Copy    Token
}

// Reply ends a client's request.
type Reply struct {
	Request uint64
	Error   Errno
}

// Errno is how a request ended.
type Errno uint8

const (
	OK Errno = iota
	// IOError: the disk failed and no copy could help.
	IOError
	// Shutdown: this copy is not the source any more. Whether a write was done
	// is unknown.
	Shutdown
	// Invalid: outside the volume.
	Invalid
)

// Super is the superblock's changing part.
type Super struct {
	// Epoch is the highest that was seen.
	Epoch cluster.VolumeEpoch
	// Source: it is this copy's own.
	Source bool
	// Set and Members are the in-sync set as last known.
	Set     uint64
	Members cluster.CopySet
	// Consistent: the data are a state that the volume once had.
	Consistent bool
	// Suspect: power was lost with writes unflushed.
	Suspect bool
	// Boot is the machine's boot that last opened it.
	Boot string
	// Undo: the undo log is being written.
	Undo bool
	// Since is, for each copy by its number, the set version since which marks
	// are kept for it; 0: not complete since any.
	Since [cluster.MaxCopies + 1]uint64
}
