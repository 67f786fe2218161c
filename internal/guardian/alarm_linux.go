package guardian

import (
	"os"
	"time"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

// alarm wakes the loop by BOOTTIME, which goes on while the machine is
// suspended: Go's own timers would sleep on after a resume, and the kernel's
// time-outs of the gate stand still as well.
type alarm struct {
	c    chan struct{}
	file *os.File
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
	go func() {
		defer close(a.end)
		var b [8]byte
		for {
			if _, err := a.file.Read(b[:]); err != nil {
				return
			}
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
	_ = a.control(func(fd int) error { return unix.TimerfdSettime(fd, unix.TFD_TIMER_ABSTIME, &spec, nil) })
}

func (a *alarm) control(f func(fd int) error) error {
	raw, err := a.file.SyscallConn()
	if err != nil {
		return err
	}
	var inner error
	if err := raw.Control(func(fd uintptr) { inner = f(int(fd)) }); err != nil {
		return err
	}
	return inner
}

func (a *alarm) close() {
	_ = a.file.Close()
	<-a.end
}
