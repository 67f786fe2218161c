package block

import "fmt"

// Op is what a request does.
type Op uint8

// The zero Op is none, so that a forgotten one is refused.
const (
	// Read fills Data from Offset.
	Read Op = 1 + iota
	// Write puts Data at Offset. It is durable only after a later Flush, or with
	// [FUA].
	Write
	// Flush makes durable every write that was done before it was submitted.
	Flush
	// Discard says that the content of a range isn't needed any more. Afterwards
	// it reads as zeroes or as before; [Geometry.DiscardZeroes] says whether it
	// is always zeroes.
	Discard
	// Zero makes a range read as zeroes.
	Zero
)

func (o Op) String() string {
	switch o {
	case Read:
		return "read"
	case Write:
		return "write"
	case Flush:
		return "flush"
	case Discard:
		return "discard"
	case Zero:
		return "zero"
	}
	return fmt.Sprintf("op %d", uint8(o))
}

// Changes reports whether the operation may change content.
func (o Op) Changes() bool { return o == Write || o == Discard || o == Zero }

// Flags modify an operation.
type Flags uint8

const (
	// FUA: what changed is durable when the request is done.
	FUA Flags = 1 << iota
	// KeepAllocated: a Zero leaves the range allocated, so that later writes
	// to it don't run out of space.
	KeepAllocated
	// Fast: a Zero fails with [ErrNotSupported] rather than writing zeroes.
	Fast
)

// Request is one operation. It is made once and used again and again: nothing
// is allocated for an operation.
type Request struct {
	Op    Op
	Flags Flags
	// Offset and Length are in bytes and multiples of the device's logical block
	// size. Length counts for Discard and Zero; for Read and Write it is
	// len(Data).
	Offset, Length int64
	// Data is memory of a [Pool], or otherwise aligned as the device wants it.
	Data []byte
	// Err is how it ended, set before Done. It is, or wraps, one of this
	// package's errors.
	Err error
	// Done is called once when the operation has ended, from any goroutine and
	// maybe before Submit returns. It must not block. The request may be used
	// again from then on.
	Done func(*Request)
	// Owner is the submitter's own, so that one function serves as Done of many
	// requests.
	Owner any
}

// Size is how many bytes the request is about.
func (r *Request) Size() int64 {
	switch r.Op {
	case Read, Write:
		return int64(len(r.Data))
	case Flush:
		return 0
	}
	return r.Length
}

// End sets how the request ended and calls Done.
func (r *Request) End(err error) {
	r.Err = err
	r.Done(r)
}

// Submitter takes requests. Each ends exactly once by its Done.
type Submitter interface {
	// Submit starts a batch. The slice is the caller's again when it returns;
	// the requests are not. Order between requests that are under way at the
	// same time is not kept.
	Submit(batch []*Request)
}

// Do submits one request and waits for its end. It allocates: it is for what
// happens seldom, such as metadata at an opening.
func Do(s Submitter, r *Request) error {
	done := make(chan struct{})
	r.Done = func(*Request) { close(done) }
	s.Submit([]*Request{r})
	<-done
	return r.Err
}
