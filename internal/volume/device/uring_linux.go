package device

import (
	"fmt"
	"math/bits"
	"runtime"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"
)

// The kernel's interface. Source: include/uapi/linux/io_uring.h, io_uring_setup(2).
const (
	opNop   = 0
	opFsync = 3
	opRead  = 22
	opWrite = 23

	fsyncDatasync   = 1
	registerEventfd = 4
	registerProbe   = 8
	offSQEs         = 0x10000000
	probeSupported  = 1
	probeOps        = 64
)

type sqOffsets struct {
	head, tail, mask, entries, flags, dropped, array, _ uint32
	_                                                   uint64
}

type cqOffsets struct {
	head, tail, mask, entries, overflow, cqes, flags, _ uint32
	_                                                   uint64
}

type ringParams struct {
	sqEntries, cqEntries, flags, cpu, idle, features, wq uint32
	_                                                    [3]uint32
	sq                                                   sqOffsets
	cq                                                   cqOffsets
}

type sqe struct {
	op, flags uint8
	priority  uint16
	fd        int32
	offset    uint64
	address   uint64
	length    uint32
	opFlags   uint32
	user      uint64
	_         [24]byte
}

type cqe struct {
	user   uint64
	result int32
	flags  uint32
}

type probe struct {
	last, count uint8
	_           uint16
	_           [3]uint32
	ops         [probeOps]struct {
		op, _ uint8
		flags uint16
		_     uint32
	}
}

// uring is a pair of queues shared with the kernel. One goroutine at a time puts,
// one reaps.
type uring struct {
	fd       int
	event    int // readable when there are completions
	rings    []byte
	entries  []byte
	sqTail   *uint32
	sqMask   uint32
	sqArray  []uint32
	sqes     []sqe
	cqHead   *uint32
	cqTail   *uint32
	cqMask   uint32
	cqes     []cqe
	unsent   uint32
	nextTail uint32
}

// newURing makes queues for n operations.
func newURing(n int) (*uring, error) {
	var p ringParams
	n = 1 << bits.Len(uint(n-1))
	fd, _, errno := unix.Syscall(unix.SYS_IO_URING_SETUP, uintptr(n), uintptr(unsafe.Pointer(&p)), 0)
	if errno != 0 {
		return nil, fmt.Errorf("io_uring_setup: %w", errno)
	}
	u := &uring{fd: int(fd), event: -1}
	unix.CloseOnExec(u.fd)
	if err := u.mapRings(&p); err != nil {
		u.close()
		return nil, err
	}
	if err := u.check(); err != nil {
		u.close()
		return nil, err
	}
	return u, nil
}

func (u *uring) mapRings(p *ringParams) error {
	size := max(int(p.sq.array)+int(p.sqEntries)*4, int(p.cq.cqes)+int(p.cqEntries)*int(unsafe.Sizeof(cqe{})))
	const singleMmap = 1 // IORING_FEAT_SINGLE_MMAP, Linux 5.4
	if p.features&singleMmap == 0 {
		return fmt.Errorf("io_uring of this kernel is too old")
	}
	var err error
	prot, flags := unix.PROT_READ|unix.PROT_WRITE, unix.MAP_SHARED|unix.MAP_POPULATE
	if u.rings, err = unix.Mmap(u.fd, 0, size, prot, flags); err != nil {
		return fmt.Errorf("map io_uring: %w", err)
	}
	if u.entries, err = unix.Mmap(u.fd, offSQEs, int(p.sqEntries)*int(unsafe.Sizeof(sqe{})), prot, flags); err != nil {
		return fmt.Errorf("map io_uring: %w", err)
	}
	at := func(offset uint32) *uint32 { return (*uint32)(unsafe.Pointer(&u.rings[offset])) }
	u.sqTail, u.sqMask = at(p.sq.tail), *at(p.sq.mask)
	u.cqHead, u.cqTail, u.cqMask = at(p.cq.head), at(p.cq.tail), *at(p.cq.mask)
	u.sqArray = unsafe.Slice(at(p.sq.array), p.sqEntries)
	u.sqes = unsafe.Slice((*sqe)(unsafe.Pointer(&u.entries[0])), p.sqEntries)
	u.cqes = unsafe.Slice((*cqe)(unsafe.Pointer(&u.rings[p.cq.cqes])), p.cqEntries)
	u.nextTail = *u.sqTail
	return nil
}

// check asks for the operations that are needed, and for a descriptor that says
// when there are completions.
func (u *uring) check() error {
	var p probe
	if err := u.register(registerProbe, unsafe.Pointer(&p), probeOps); err != nil {
		return fmt.Errorf("io_uring_register: %w", err)
	}
	for _, op := range []int{opNop, opFsync, opRead, opWrite} {
		if p.ops[op].flags&probeSupported == 0 {
			return fmt.Errorf("io_uring of this kernel doesn't know operation %d", op)
		}
	}
	var err error
	if u.event, err = unix.Eventfd(0, unix.EFD_NONBLOCK|unix.EFD_CLOEXEC); err != nil {
		return fmt.Errorf("eventfd: %w", err)
	}
	fd := int32(u.event)
	if err := u.register(registerEventfd, unsafe.Pointer(&fd), 1); err != nil {
		return fmt.Errorf("io_uring_register: %w", err)
	}
	return nil
}

func (u *uring) register(what uintptr, arg unsafe.Pointer, n uintptr) error {
	if _, _, errno := unix.Syscall6(unix.SYS_IO_URING_REGISTER, uintptr(u.fd), what, uintptr(arg), n, 0, 0); errno != 0 {
		return errno
	}
	return nil
}

// put queues an entry. No more than the ring has are queued or under way.
func (u *uring) put(e sqe) {
	i := u.nextTail & u.sqMask
	u.sqes[i] = e
	u.sqArray[i] = i
	u.nextTail++
	u.unsent++
}

// patience is how long the kernel may take no entries, for want of memory.
const patience = 30 * time.Second

// send hands what was queued to the kernel. The call is announced to Go's
// scheduler: under memory pressure it may wait.
func (u *uring) send() {
	if u.unsent == 0 {
		return
	}
	atomic.StoreUint32(u.sqTail, u.nextTail)
	var since time.Time
	for u.unsent > 0 {
		n, _, errno := unix.Syscall6(unix.SYS_IO_URING_ENTER, uintptr(u.fd), uintptr(u.unsent), 0, 0, 0, 0)
		switch errno {
		case 0:
			u.unsent -= uint32(n)
		case unix.EINTR:
		case unix.EAGAIN, unix.EBUSY:
			if since.IsZero() {
				since = time.Now()
			}
			if time.Since(since) > patience {
				panic(fmt.Sprintf("io_uring has taken no requests for %v: %v", patience, errno))
			}
			time.Sleep(time.Millisecond)
		default:
			panic(fmt.Sprintf("io_uring_enter: %v", errno))
		}
	}
	runtime.KeepAlive(u)
}

// reap calls f for each completion that there is.
func (u *uring) reap(f func(user uint64, result int32)) {
	head, tail := *u.cqHead, atomic.LoadUint32(u.cqTail)
	for ; head != tail; head++ {
		c := u.cqes[head&u.cqMask]
		f(c.user, c.result)
	}
	atomic.StoreUint32(u.cqHead, head)
}

func (u *uring) close() {
	for _, m := range [][]byte{u.entries, u.rings} {
		if m != nil {
			_ = unix.Munmap(m)
		}
	}
	if u.event >= 0 {
		_ = unix.Close(u.event)
	}
	_ = unix.Close(u.fd)
}
