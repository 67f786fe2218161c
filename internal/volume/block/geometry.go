package block

import "fmt"

// Geometry is what a device is like.
type Geometry struct {
	// Size in bytes, a multiple of Logical.
	Size int64
	// Logical is the smallest unit of I/O in bytes, 512 or 4096; Physical is the
	// unit that the device writes at once without reading first.
	Logical, Physical int
	// MemoryAlign is what addresses of Data must be multiples of.
	MemoryAlign int
	// ReadOnly: operations that change fail with [ErrReadOnly].
	ReadOnly bool
	// Rotational: seeks cost.
	Rotational bool
	// Discard: it may free space. DiscardZeroes: what was discarded reads as
	// zeroes, always.
	Discard, DiscardZeroes bool
	// FastZero: a Zero is faster than writing zeroes.
	FastZero bool
}

// Check says what is wrong with a request for a device of this geometry, or nil.
func (g Geometry) Check(r *Request) error {
	switch r.Op {
	case Flush:
		return nil
	case Read, Write, Discard, Zero:
	default:
		return fmt.Errorf("%v: %w", r.Op, ErrNotSupported)
	}
	if g.ReadOnly && r.Op.Changes() {
		return ErrReadOnly
	}
	size, unit := r.Size(), int64(g.Logical)
	if r.Offset < 0 || size < 0 || size > g.Size || r.Offset > g.Size-size {
		return ErrRange
	}
	if r.Offset%unit != 0 || size%unit != 0 {
		return ErrAlign
	}
	if len(r.Data) > 0 && g.MemoryAlign > 1 && address(r.Data)%uintptr(g.MemoryAlign) != 0 {
		return ErrAlign
	}
	return nil
}
