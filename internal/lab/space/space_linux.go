package space

import (
	"errors"
	"fmt"
	"os"
	"runtime"

	"golang.org/x/sys/unix"
)

// Space is a thread that lives in namespaces of its own. Sockets made and
// processes started on it belong to them. The namespaces have no names: they
// end when the thread, its children and its sockets do, however this process
// ends.
type Space struct {
	calls chan func()
	quit  chan struct{}
	ended chan struct{}
	// net is the network namespace, for netlink.
	net *os.File
}

var errClosed = errors.New("the namespace is closed")

// New makes a thread with a new network namespace and, by flags, others.
// setup runs on it first.
func New(flags int, setup func() error) (*Space, error) {
	s := &Space{calls: make(chan func()), quit: make(chan struct{}), ended: make(chan struct{})}
	ready := make(chan error, 1)
	go s.live(flags, setup, ready)
	if err := <-ready; err != nil {
		return nil, err
	}
	return s, nil
}

func (s *Space) live(flags int, setup func() error, ready chan<- error) {
	runtime.LockOSThread()
	if unix.Gettid() == os.Getpid() {
		// The main thread can't end, and its namespaces would be shown as
		// those of the process for ever: hold it until another one took over.
		moved := make(chan struct{})
		go func() {
			runtime.LockOSThread()
			close(moved)
			s.run(flags, setup, ready)
		}()
		<-moved
		runtime.UnlockOSThread()
		return
	}
	// Never unlocked: the thread must not serve others, and ends with this
	// goroutine.
	s.run(flags, setup, ready)
}

func (s *Space) run(flags int, setup func() error, ready chan<- error) {
	defer close(s.ended)
	err := func() error {
		if err := unix.Unshare(unix.CLONE_NEWNET | flags); err != nil {
			return fmt.Errorf("make namespaces: %w", err)
		}
		var err error
		if s.net, err = os.Open("/proc/thread-self/ns/net"); err != nil {
			return fmt.Errorf("open network namespace: %w", err)
		}
		if setup != nil {
			return setup()
		}
		return nil
	}()
	ready <- err
	if err != nil {
		if s.net != nil {
			s.net.Close()
		}
		return
	}
	defer s.net.Close()
	for {
		select {
		case call := <-s.calls:
			call()
		case <-s.quit:
			return
		}
	}
}

// Do runs f inside. f must not block: everything of this namespace waits.
func (s *Space) Do(f func() error) error {
	result := make(chan error, 1)
	call := func() { result <- f() }
	select {
	case s.calls <- call:
		return <-result
	case <-s.ended:
		return errClosed
	}
}

// Close ends the thread. Children that asked for it by Pdeathsig are killed.
// It must be called once; a Do that comes later fails.
func (s *Space) Close() {
	close(s.quit)
	<-s.ended
}

// Net is the network namespace, for netlink and for devices that are to be moved
// there. It is closed with the space.
func (s *Space) Net() *os.File { return s.net }
