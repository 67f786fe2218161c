package guardian

import (
	"os"
	"syscall"
	"time"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/platform/clock"
	"github.com/perdure-ha/perdure/internal/platform/quiet"
)

// alarm wakes the loop by BOOTTIME, which goes on while the machine is
// suspended: Go's own timers would sleep on after a resume, and the kernel's
// time-outs of the gate stand still as well.
type alarm struct {
	c    chan struct{}
	file *os.File
	raw  syscall.RawConn
	end  chan struct{}
}

func newAlarm() *alarm {
	a := &alarm{c: make(chan struct{}, 1), end: make(chan struct{})}
	fd, err := unix.TimerfdCreate(unix.CLOCK_BOOTTIME, unix.TFD_NONBLOCK|unix.TFD_CLOEXEC)
	if err != nil {
		// Every kernel since 3.15 has it. Without it no deadline can be kept.
		panic("create a timer by BOOTTIME: " + err.Error())
	}
	a.file = os.NewFile(uintptr(fd), "timerfd")
	if a.raw, err = a.file.SyscallConn(); err != nil {
		panic("use a timer by BOOTTIME: " + err.Error()) // fails only when it is closed
	}
	go func() {
		defer close(a.end)
		var b [8]byte
		for a.raw.Read(func(fd uintptr) bool {
			_, err := quiet.Read(fd, b[:])
			return err != unix.EAGAIN
		}) == nil {
			select {
			case a.c <- struct{}{}:
			default:
			}
		}
	}()
	return a
}

// set wakes at a MONOTONIC time if the machine isn't suspended, else sooner.
func (a *alarm) set(mono time.Duration) {
	spec := unix.ItimerSpec{} // zero: never
	if mono != cluster.Never {
		now := clock.Now()
		spec.Value = unix.NsecToTimespec(int64(now.Boot + max(mono-now.Mono, 0) + time.Microsecond))
	}
	_ = a.raw.Control(func(fd uintptr) {
		// Quiet like package quiet, several times for each renewal. The call fails
		// only for arguments that are wrong.
		_, _, _ = unix.RawSyscall6(unix.SYS_TIMERFD_SETTIME, fd, unix.TFD_TIMER_ABSTIME, uintptr(unsafe.Pointer(&spec)), 0, 0, 0)
	})
}

func (a *alarm) close() {
	_ = a.file.Close()
	<-a.end
}
