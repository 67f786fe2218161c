package device

import (
	"fmt"
	"os"
	"sync"
	"syscall"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/platform/quiet"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

// ring does I/O by io_uring. A goroutine reaps: it sleeps in Go's poller until
// the kernel says by an eventfd that there is something, so that no thread blocks
// for a request.
//
// Discard and Zero are left to workers: io_uring hands fallocate to threads of
// its own anyway.
type ring struct {
	h     *handle
	u     *uring
	event *os.File
	poll  syscall.RawConn
	few   *workers
	done  chan struct{}
	// inline: a request alone is done by whoever submits it.
	inline bool

	mu      sync.Mutex
	slots   []slot
	free    []int32
	waiting fifo
	busy    int
	closing bool
	idle    *sync.Cond

	// The reaper's own.
	ended []*block.Request
	count [8]byte
}

// slot is one operation under way.
type slot struct {
	r *block.Request
	// moved is how much of Data is done: the kernel may do a part.
	moved int
}

// quit is the user data of the entry that ends the reaper.
const quit = 1 << 32

// fewWorkers do what the ring doesn't.
const fewWorkers = 4

func newRing(h *handle, depth int, inline bool) (*ring, error) {
	u, err := newURing(depth + 1)
	if err != nil {
		return nil, err
	}
	g := &ring{h: h, u: u, inline: inline, done: make(chan struct{}), slots: make([]slot, depth), ended: make([]*block.Request, 0, 2*depth)}
	g.idle = sync.NewCond(&g.mu)
	for i := depth - 1; i >= 0; i-- {
		g.free = append(g.free, int32(i))
	}
	fd, err := unix.FcntlInt(uintptr(u.event), unix.F_DUPFD_CLOEXEC, 0)
	if err != nil {
		u.close()
		return nil, fmt.Errorf("duplicate an eventfd: %w", err)
	}
	g.event = os.NewFile(uintptr(fd), "io_uring")
	if g.poll, err = g.event.SyscallConn(); err != nil {
		_ = g.event.Close()
		u.close()
		return nil, fmt.Errorf("wait for an eventfd: %w", err)
	}
	g.few = newWorkers(h, fewWorkers)
	go g.reap()
	return g, nil
}

// inlineMost is the largest request that is done inline in bytes: for more the copy
// to the device takes longer than waking somebody.
const inlineMost = 64 << 10

// alone does a request in place if nothing else is under way.
func (g *ring) alone(r *block.Request) bool {
	if r.Op != block.Read && r.Op != block.Write || r.Flags != 0 || len(r.Data) > inlineMost {
		return false
	}
	g.mu.Lock()
	if g.closing || g.busy > 0 || !g.waiting.empty() {
		g.mu.Unlock()
		return false
	}
	g.busy++
	g.mu.Unlock()
	r.Err = g.h.perform(r)
	g.mu.Lock()
	g.busy--
	if g.busy == 0 {
		g.idle.Broadcast()
	}
	g.mu.Unlock()
	r.Done(r)
	return true
}

func (g *ring) submit(batch []*block.Request) {
	if g.inline && len(batch) == 1 && g.alone(batch[0]) {
		return
	}
	g.mu.Lock()
	if g.closing {
		g.mu.Unlock()
		refuse(batch)
		return
	}
	few := false
	for _, r := range batch {
		switch {
		case r.Op == block.Discard || r.Op == block.Zero:
			few = true
		case len(r.Data) == 0 && r.Op != block.Flush:
			g.few.submit([]*block.Request{r}) // nothing to move
		case len(g.free) == 0:
			g.waiting.push(r)
		default:
			g.begin(r)
		}
	}
	g.u.send()
	g.mu.Unlock()
	if few {
		for i, r := range batch {
			if r.Op == block.Discard || r.Op == block.Zero {
				g.few.submit(batch[i : i+1])
			}
		}
	}
}

// begin gives a request a slot and queues its entry.
func (g *ring) begin(r *block.Request) {
	i := g.free[len(g.free)-1]
	g.free = g.free[:len(g.free)-1]
	g.slots[i] = slot{r: r}
	g.busy++
	g.put(i)
}

func (g *ring) put(i int32) {
	s := &g.slots[i]
	e := sqe{fd: int32(g.h.fd), user: uint64(i)}
	switch s.r.Op {
	case block.Flush:
		e.op, e.opFlags = opFsync, fsyncDatasync
	case block.Read:
		e.op = opRead
	case block.Write:
		e.op = opWrite
		if s.r.Flags&block.FUA != 0 {
			e.opFlags = unix.RWF_DSYNC
		}
	}
	if s.r.Op != block.Flush {
		// The memory stays where it is: Go moves none, and the slot holds it.
		rest := s.r.Data[s.moved:]
		e.offset, e.length = uint64(s.r.Offset)+uint64(s.moved), uint32(len(rest))
		e.address = uint64(uintptr(unsafe.Pointer(unsafe.SliceData(rest))))
	}
	g.u.put(e)
}

// reap is the goroutine that takes completions.
func (g *ring) reap() {
	defer close(g.done)
	over := false
	take := func(user uint64, result int32) {
		if user == quit {
			over = true
			return
		}
		g.take(int32(user), result)
	}
	ready := func(fd uintptr) bool {
		_, err := quiet.Read(fd, g.count[:])
		return err != unix.EAGAIN
	}
	for !over {
		if err := g.poll.Read(ready); err != nil {
			panic(fmt.Sprintf("wait for io_uring: %v", err))
		}
		g.mu.Lock()
		g.u.reap(take)
		for len(g.free) > 0 && !g.waiting.empty() {
			g.begin(g.waiting.pop())
		}
		g.u.send()
		if g.busy == 0 && g.waiting.empty() {
			g.idle.Broadcast()
		}
		g.mu.Unlock()
		for i, r := range g.ended {
			g.ended[i] = nil
			r.Done(r)
		}
		g.ended = g.ended[:0]
	}
}

// take handles a completion: the request has ended, or goes on.
func (g *ring) take(i int32, result int32) {
	s := &g.slots[i]
	var err error
	switch {
	case result == -int32(unix.EAGAIN) || result == -int32(unix.EINTR):
		g.put(i)
		return
	case result < 0:
		err = unix.Errno(-result)
	case s.r.Op == block.Flush:
	case result == 0:
		err = errShort
	default:
		if s.moved += int(result); s.moved < len(s.r.Data) {
			g.put(i)
			return
		}
	}
	s.r.Err = nil
	if err != nil {
		s.r.Err = g.h.failed(s.r, err)
	}
	g.ended = append(g.ended, s.r)
	g.slots[i] = slot{}
	g.free = append(g.free, i)
	g.busy--
}

func (g *ring) close() {
	g.mu.Lock()
	g.closing = true
	for g.busy > 0 || !g.waiting.empty() {
		g.idle.Wait()
	}
	g.u.put(sqe{op: opNop, user: quit})
	g.u.send()
	g.mu.Unlock()
	<-g.done
	g.few.close()
	_ = g.event.Close()
	g.u.close()
}
