package device

import (
	"errors"
	"fmt"
	"os"
	"sync/atomic"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

// handle is the open file.
type handle struct {
	fd       int
	path     string
	block    bool // a block device
	dev      uint64
	readOnly bool
	direct   bool
	align    int // of memory

	// What fallocate can't do here is not tried again.
	noPunch, noZero atomic.Bool
}

// lockPatience is how long another's lock is waited for: udev takes one while it
// looks at a device that has just been closed.
const lockPatience = time.Second

func openHandle(path string, o Options) (*handle, block.Geometry, error) {
	fail := func(why any) (*handle, block.Geometry, error) {
		e := message.New(message.VolumeDeviceUnusable, path, why)
		if err, ok := why.(error); ok {
			return nil, block.Geometry{}, e.Wrap(err)
		}
		return nil, block.Geometry{}, e
	}
	var st unix.Stat_t
	if err := unix.Stat(path, &st); err != nil {
		return fail(err)
	}
	h := &handle{path: path, readOnly: o.ReadOnly}
	flags := unix.O_RDWR | unix.O_CLOEXEC | unix.O_DIRECT | unix.O_NOCTTY
	if o.ReadOnly {
		flags = flags&^unix.O_RDWR | unix.O_RDONLY
	}
	switch st.Mode & unix.S_IFMT {
	case unix.S_IFBLK:
		// Without O_CREAT: exclusive among all that claim the device, in the
		// kernel too (open(2)).
		h.block, h.dev = true, st.Rdev
		flags |= unix.O_EXCL
	case unix.S_IFREG:
		h.dev = st.Dev
	default:
		return fail("it is neither a disk, a partition nor a file")
	}
	if user := userOf(path, &st); user != "" {
		return nil, block.Geometry{}, message.New(message.VolumeDeviceInUse, path, user)
	}
	fd, err := openPatiently(path, flags)
	h.direct = err == nil
	if err == unix.EINVAL && o.Buffered {
		fd, err = unix.Open(path, flags&^unix.O_DIRECT, 0)
	}
	switch {
	case err == unix.EBUSY:
		return nil, block.Geometry{}, message.New(message.VolumeDeviceInUse, path, "something in the kernel or another process has claimed it").Wrap(err)
	case err == unix.EINVAL:
		return fail("its file system has no direct I/O; put it on another one")
	case err != nil:
		return fail(err)
	}
	h.fd = fd
	if err := h.lock(); err != nil {
		_ = unix.Close(fd)
		return nil, block.Geometry{}, message.New(message.VolumeDeviceInUse, path, "another process has locked it").Wrap(err)
	}
	g, err := h.measure()
	if err != nil {
		_ = unix.Close(fd)
		return fail(err)
	}
	return h, g, nil
}

// openPatiently waits for the claim of a process that has just died: it lasts until
// the disk has done what was under way.
func openPatiently(path string, flags int) (int, error) {
	for end := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		fd, err := unix.Open(path, flags, 0)
		if err != unix.EBUSY && err != unix.EINTR || time.Now().After(end) {
			return fd, err
		}
	}
}

func (h *handle) lock() error {
	for end := time.Now().Add(lockPatience); ; time.Sleep(20 * time.Millisecond) {
		err := unix.Flock(h.fd, unix.LOCK_EX|unix.LOCK_NB)
		if err != unix.EWOULDBLOCK || time.Now().After(end) {
			return err
		}
	}
}

func (h *handle) close() error { return unix.Close(h.fd) }

// measure asks for size and block sizes.
func (h *handle) measure() (block.Geometry, error) {
	if h.block {
		return h.measureDisk()
	}
	var st unix.Statx_t
	if err := unix.Statx(h.fd, "", unix.AT_EMPTY_PATH, unix.STATX_SIZE|unix.STATX_DIOALIGN, &st); err != nil {
		return block.Geometry{}, fmt.Errorf("statx: %w", err)
	}
	// Kernels before 6.1 don't say how direct I/O must be aligned. 4096 fits
	// all.
	g := block.Geometry{Logical: 4096, Physical: 4096, MemoryAlign: 4096, ReadOnly: h.readOnly, Discard: true, DiscardZeroes: true, FastZero: true}
	if st.Mask&unix.STATX_DIOALIGN != 0 && st.Dio_offset_align >= 512 && st.Dio_mem_align > 0 {
		g.Logical, g.MemoryAlign = int(st.Dio_offset_align), int(st.Dio_mem_align)
	}
	g.Size = int64(st.Size) / int64(g.Logical) * int64(g.Logical)
	h.align = g.MemoryAlign
	return g, nil
}

func (h *handle) measureDisk() (block.Geometry, error) {
	var size uint64
	if _, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(h.fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&size))); errno != 0 {
		return block.Geometry{}, fmt.Errorf("BLKGETSIZE64: %w", errno)
	}
	logical, err := unix.IoctlGetInt(h.fd, unix.BLKSSZGET)
	if err != nil {
		return block.Geometry{}, fmt.Errorf("BLKSSZGET: %w", err)
	}
	physical, err := unix.IoctlGetUint32(h.fd, unix.BLKPBSZGET)
	if err != nil {
		physical = uint32(logical)
	}
	g := block.Geometry{Size: int64(size) / int64(logical) * int64(logical), Logical: logical, Physical: int(physical),
		MemoryAlign: logical, ReadOnly: h.readOnly}
	g.Rotational = h.attribute("rotational") != 0
	g.Discard = h.attribute("discard_granularity") != 0 && h.attribute("discard_max_bytes") != 0
	// fallocate(PUNCH_HOLE) on a disk promises zeroes or fails (block/fops.c).
	g.FastZero = h.attribute("write_zeroes_max_bytes") != 0
	g.Discard = g.Discard && g.FastZero
	g.DiscardZeroes = g.Discard
	h.align = g.MemoryAlign
	return g, nil
}

// perform does one request and blocks meanwhile.
func (h *handle) perform(r *block.Request) error {
	var err error
	switch r.Op {
	case block.Read:
		err = h.all(r.Data, r.Offset, unix.Pread)
	case block.Write:
		write := unix.Pwrite
		if r.Flags&block.FUA != 0 {
			write = pwriteDurable
		}
		err = h.all(r.Data, r.Offset, write)
	case block.Flush:
		err = h.sync()
	case block.Discard:
		err = h.discard(r)
	case block.Zero:
		err = h.zero(r)
	}
	if err != nil {
		return h.failed(r, err)
	}
	return nil
}

func pwriteDurable(fd int, b []byte, offset int64) (int, error) {
	return unix.Pwritev2(fd, [][]byte{b}, offset, unix.RWF_DSYNC)
}

// errShort: the file ends where the device doesn't: somebody has cut it.
var errShort = errors.New("it has become shorter")

func (h *handle) all(b []byte, at int64, do func(int, []byte, int64) (int, error)) error {
	for len(b) > 0 {
		n, err := do(h.fd, b, at)
		switch {
		case err == unix.EINTR || err == unix.EAGAIN:
			continue
		case err != nil:
			return err
		case n == 0:
			return errShort
		}
		b, at = b[n:], at+int64(n)
	}
	return nil
}

func (h *handle) sync() error {
	for {
		if err := unix.Fdatasync(h.fd); err != unix.EINTR {
			return err
		}
	}
}

func (h *handle) fallocate(mode uint32, r *block.Request) error {
	for {
		if err := unix.Fallocate(h.fd, mode|unix.FALLOC_FL_KEEP_SIZE, r.Offset, r.Length); err != unix.EINTR {
			return err
		}
	}
}

func (h *handle) discard(r *block.Request) error {
	if h.noPunch.Load() {
		return unix.EOPNOTSUPP
	}
	err := h.fallocate(unix.FALLOC_FL_PUNCH_HOLE, r)
	if errors.Is(err, unix.EOPNOTSUPP) {
		h.noPunch.Store(true)
	}
	if err == nil && r.Flags&block.FUA != 0 {
		return h.sync()
	}
	return err
}

// zero tries the ways from the cheapest on.
func (h *handle) zero(r *block.Request) error {
	err := error(unix.EOPNOTSUPP)
	if r.Flags&block.KeepAllocated == 0 && !h.noPunch.Load() {
		if err = h.fallocate(unix.FALLOC_FL_PUNCH_HOLE, r); errors.Is(err, unix.EOPNOTSUPP) {
			h.noPunch.Store(true)
		}
	}
	// On a disk without the command for it ZERO_RANGE writes zeroes itself: not
	// fast.
	fast := r.Flags&block.Fast != 0
	if errors.Is(err, unix.EOPNOTSUPP) && !h.noZero.Load() && !(fast && h.block) {
		if err = h.fallocate(unix.FALLOC_FL_ZERO_RANGE, r); errors.Is(err, unix.EOPNOTSUPP) {
			h.noZero.Store(true)
		}
	}
	if errors.Is(err, unix.EOPNOTSUPP) && !fast {
		err = h.writeZeroes(r.Offset, r.Length)
	}
	if err == nil && r.Flags&block.FUA != 0 {
		return h.sync()
	}
	return err
}

// zeroes is what is written where nothing else makes zeroes: pages that were
// never written, so that they cost no memory.
var zeroes = func() []byte {
	b, err := unix.Mmap(-1, 0, 1<<20, unix.PROT_READ, unix.MAP_ANONYMOUS|unix.MAP_PRIVATE)
	if err != nil {
		panic(fmt.Sprintf("map 1 MiB of zeroes: %v", err))
	}
	return b
}()

func (h *handle) writeZeroes(at, n int64) error {
	for n > 0 {
		part := min(n, int64(len(zeroes)))
		if err := h.all(zeroes[:part], at, unix.Pwrite); err != nil {
			return err
		}
		at, n = at+part, n-part
	}
	return nil
}

// exists reports whether a block device is still there.
func (h *handle) exists() bool {
	var size uint64
	_, _, errno := unix.Syscall(unix.SYS_IOCTL, uintptr(h.fd), unix.BLKGETSIZE64, uintptr(unsafe.Pointer(&size)))
	if errno != 0 || size == 0 {
		return false
	}
	_, err := os.Stat(sysDir(h.dev))
	return err == nil
}
