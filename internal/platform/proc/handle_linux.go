package proc

import (
	"errors"
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"
)

// Handle holds on to one process, also when its number has come to mean
// another one.
type Handle struct {
	id   ID
	file *os.File // a pidfd in the runtime's poller
	done chan struct{}
	gone chan struct{} // the watching goroutine has ended
}

// Open takes hold of a process. It returns [ErrGone] if it has ended.
func Open(id ID) (*Handle, error) {
	fd, err := unix.PidfdOpen(id.PID, unix.PIDFD_NONBLOCK)
	if errors.Is(err, unix.ESRCH) {
		return nil, fmt.Errorf("open process %d: %w", id.PID, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", id.PID, err)
	}
	h := &Handle{id: id, file: os.NewFile(uintptr(fd), "pidfd"), done: make(chan struct{}), gone: make(chan struct{})}
	// The pidfd is of whoever had the number a moment ago. If the right one has
	// it still, it was the right one.
	if !id.Alive() {
		h.file.Close()
		return nil, fmt.Errorf("open process %d: %w", id.PID, ErrGone)
	}
	go h.watch()
	return h, nil
}

// watch waits in the runtime's poller; no thread is blocked meanwhile.
func (h *Handle) watch() {
	defer close(h.gone)
	raw, err := h.file.SyscallConn()
	if err != nil {
		return
	}
	ended := false
	raw.Read(func(fd uintptr) bool {
		p := []unix.PollFd{{Fd: int32(fd), Events: unix.POLLIN}}
		n, _ := unix.Poll(p, 0)
		ended = n == 1 && p[0].Revents&unix.POLLIN != 0
		return ended
	})
	if ended {
		close(h.done)
	}
}

// ID is the process that the handle holds.
func (h *Handle) ID() ID { return h.id }

// Done is closed when the process has ended. It stays open when the handle is
// closed before.
func (h *Handle) Done() <-chan struct{} { return h.done }

// Signal sends a signal to this process and never to a later one of the same
// number.
func (h *Handle) Signal(sig syscall.Signal) error {
	select {
	case <-h.done:
		return fmt.Errorf("signal process %d: %w", h.id.PID, ErrGone)
	default:
	}
	raw, err := h.file.SyscallConn()
	if err != nil {
		return fmt.Errorf("signal process %d: %w", h.id.PID, err)
	}
	var sent error
	if err := raw.Control(func(fd uintptr) { sent = unix.PidfdSendSignal(int(fd), unix.Signal(sig), nil, 0) }); err != nil {
		return fmt.Errorf("signal process %d: %w", h.id.PID, err)
	}
	if errors.Is(sent, unix.ESRCH) {
		return fmt.Errorf("signal process %d: %w", h.id.PID, ErrGone)
	}
	if sent != nil {
		return fmt.Errorf("signal process %d with %v: %w", h.id.PID, sig, sent)
	}
	return nil
}

// Close lets go of the process and returns when the watching has ended. The
// process runs on.
func (h *Handle) Close() error {
	err := h.file.Close()
	<-h.gone
	return err
}
