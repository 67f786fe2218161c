package block

import (
	"fmt"
	"math/bits"
	"sync"
	"unsafe"
)

// Unit is the smallest piece of a [Pool] in bytes and the alignment of every
// piece: a page, which direct I/O accepts on any device.
const Unit = 4096

// Pool is memory for data, taken from the system once: outside of Go's heap, so
// that it costs the collector nothing, and aligned to pages. It is a buddy
// allocator: pieces are powers of two of [Unit], and free neighbours join again.
//
// It bounds what is under way: who finds it empty waits, first come first
// served.
type Pool struct {
	memory []byte
	free   func() error

	mu      sync.Mutex
	most    int // order of the largest piece
	heads   []int32
	units   []unit
	left    int // bytes that are free
	waiters []*waiter
	spare   []*waiter
}

// unit describes Unit bytes. Those that begin a piece count.
type unit struct {
	next, prev int32
	order      int8
	isFree     bool
}

type waiter struct {
	order int
	got   chan int32
}

const none = -1

// NewPool takes size bytes from the system, in pieces of at most largest bytes.
// Both are rounded up: largest to a power of two, size to a multiple of it.
func NewPool(size, largest int) (*Pool, error) {
	if size <= 0 || largest <= 0 || largest > 1<<30 || size > 1<<40 {
		return nil, fmt.Errorf("make a pool of %d bytes in pieces of %d: out of range", size, largest)
	}
	most := orderOf(largest)
	piece := Unit << most
	size = (size + piece - 1) / piece * piece
	memory, free, err := takeMemory(size)
	if err != nil {
		return nil, fmt.Errorf("take %d bytes of memory for I/O: %w", size, err)
	}
	p := &Pool{memory: memory, free: free, most: most, heads: make([]int32, most+1), units: make([]unit, size/Unit), left: size}
	for i := range p.heads {
		p.heads[i] = none
	}
	for at := size/Unit - 1<<most; at >= 0; at -= 1 << most {
		p.push(int32(at), most)
	}
	return p, nil
}

// orderOf is the order of the smallest piece that has n bytes.
func orderOf(n int) int {
	if n <= Unit {
		return 0
	}
	return bits.Len(uint((n - 1) / Unit))
}

// Largest is how many bytes a piece can have.
func (p *Pool) Largest() int { return Unit << p.most }

// Free is how many bytes nobody has.
func (p *Pool) Free() int {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.left
}

// Size is how many bytes the pool has in all.
func (p *Pool) Size() int { return len(p.memory) }

// TryGet returns n bytes, or nil if there are none now. n is 1 to Largest.
func (p *Pool) TryGet(n int) []byte {
	p.mu.Lock()
	defer p.mu.Unlock()
	if len(p.waiters) > 0 {
		return nil // it is their turn
	}
	if at := p.take(orderOf(n)); at != none {
		return p.piece(at, n)
	}
	return nil
}

// Get returns n bytes, 1 to Largest, with any content. It waits until others put
// theirs back; who holds one piece and waits for another may wait for ever.
func (p *Pool) Get(n int) []byte {
	if n < 1 || n > p.Largest() {
		panic(fmt.Sprintf("a piece of %d bytes from a pool with pieces of %d at most", n, p.Largest()))
	}
	p.mu.Lock()
	order := orderOf(n)
	if len(p.waiters) == 0 {
		if at := p.take(order); at != none {
			p.mu.Unlock()
			return p.piece(at, n)
		}
	}
	w := p.newWaiter(order)
	p.waiters = append(p.waiters, w)
	p.mu.Unlock()
	at := <-w.got
	p.mu.Lock()
	p.spare = append(p.spare, w)
	p.mu.Unlock()
	return p.piece(at, n)
}

func (p *Pool) newWaiter(order int) *waiter {
	if n := len(p.spare); n > 0 {
		w := p.spare[n-1]
		p.spare = p.spare[:n-1]
		w.order = order
		return w
	}
	return &waiter{order: order, got: make(chan int32, 1)}
}

// Put gives back what Get or TryGet returned, whole or shortened at its end.
func (p *Pool) Put(b []byte) {
	at := int32((address(b) - address(p.memory)) / Unit)
	p.mu.Lock()
	defer p.mu.Unlock()
	u := &p.units[at]
	if u.isFree || u.order < 0 {
		panic("a piece was put back twice")
	}
	p.join(at, int(u.order))
	for len(p.waiters) > 0 {
		w := p.waiters[0]
		at := p.take(w.order)
		if at == none {
			return
		}
		copy(p.waiters, p.waiters[1:])
		p.waiters = p.waiters[:len(p.waiters)-1]
		w.got <- at
	}
}

// Close gives the memory back to the system. Nobody may hold a piece.
func (p *Pool) Close() error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.left != len(p.memory) {
		return fmt.Errorf("close a pool: %d of %d bytes are in use", len(p.memory)-p.left, len(p.memory))
	}
	p.left = -1 // a second Close says so
	return p.free()
}

func (p *Pool) piece(at int32, n int) []byte {
	from := int(at) * Unit
	return p.memory[from : from+n : from+Unit<<p.units[at].order]
}

// take cuts a piece out of the smallest free one that is large enough.
func (p *Pool) take(order int) int32 {
	from := order
	for from <= p.most && p.heads[from] == none {
		from++
	}
	if from > p.most {
		return none
	}
	at := p.heads[from]
	p.remove(at, from)
	for from > order {
		from--
		p.push(at+1<<from, from)
	}
	p.units[at].order = int8(order)
	p.left -= Unit << order
	return at
}

// join frees a piece and joins it with its neighbour as long as that is free.
func (p *Pool) join(at int32, order int) {
	p.left += Unit << order
	p.units[at].order = -1
	for order < p.most {
		other := at ^ 1<<order
		if u := p.units[other]; !u.isFree || int(u.order) != order {
			break
		}
		p.remove(other, order)
		p.units[other].order = -1
		at = min(at, other)
		order++
	}
	p.push(at, order)
}

func (p *Pool) push(at int32, order int) {
	head := p.heads[order]
	p.units[at] = unit{next: head, prev: none, order: int8(order), isFree: true}
	if head != none {
		p.units[head].prev = at
	}
	p.heads[order] = at
}

func (p *Pool) remove(at int32, order int) {
	u := &p.units[at]
	if u.prev == none {
		p.heads[order] = u.next
	} else {
		p.units[u.prev].next = u.next
	}
	if u.next != none {
		p.units[u.next].prev = u.prev
	}
	u.isFree = false
}

func address(b []byte) uintptr { return uintptr(unsafe.Pointer(unsafe.SliceData(b))) }
