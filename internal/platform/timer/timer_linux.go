package timer

import (
	"os"
	"sync/atomic"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/platform/clock"
	"github.com/perdure-ha/perdure/internal/platform/quiet"
)

// Timer wakes by BOOTTIME, which goes on while the machine is suspended.
type Timer struct {
	c    chan struct{}
	at   atomic.Int64 // what is set (Mono), and has not fired
	file *os.File
	raw  syscall.RawConn
	end  chan struct{}
}

// New returns a timer that isn't set.
func New() *Timer {
	t := &Timer{c: make(chan struct{}, 1), end: make(chan struct{})}
	t.at.Store(int64(cluster.Never))
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		// Every kernel since 3.15 has it. Without it no deadline can be kept.
		panic("create a timer by BOOTTIME: " + err.Error())
	}
	t.file = os.NewFile(uintptr(fd), "timerfd")
	if t.raw, err = t.file.SyscallConn(); err != nil {
		panic("use a timer by BOOTTIME: " + err.Error()) // fails only when it is closed
	}
	go t.read()
	return t
}

func (t *Timer) read() {
	defer close(t.end)
	var b [8]byte
	fired := func(fd uintptr) bool {
		_, err := quiet.Read(fd, b[:])
		return err != unix.EAGAIN
	}
	for t.raw.Read(fired) == nil {
		// If it was set anew in between, this only has it set once more.
		t.at.Store(int64(cluster.Never))
		select {
		case t.c <- struct{}{}:
		default:
		}
	}
}

// C has an element when the timer fired. It may be one that was set before.
func (t *Timer) C() <-chan struct{} { return t.c }

// Set wakes at a MONOTONIC time if the machine isn't suspended, else sooner;
// [cluster.Never]: not at all. It replaces what was set before.
func (t *Timer) Set(mono time.Duration) {
	if t.at.Swap(int64(mono)) == int64(mono) {
		return
	}
	spec := unix.ItimerSpec{} // zero: never
	if mono != cluster.Never {
		now := clock.Now()
		spec.Value = unix.NsecToTimespec(int64(now.Boot + max(mono-now.Mono, 0) + time.Microsecond))
	}
	_ = t.raw.Control(func(fd uintptr) {
		// Quiet like package quiet. The call fails only for arguments that are
		// wrong.
		_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, unix.TFD_TIMER_ABSTIME, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	})
}

// Close ends the timer. When it returns nothing of it runs any more.
func (t *Timer) Close() {
	_ = t.file.Close()
	<-t.end
}
