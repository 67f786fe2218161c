package guardian

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io"
	"sync"
	"time"
)

// link carries messages between guardian and daemon and keeps their bounds.
// Send is called by one goroutine at a time, Receive by another.
type link interface {
	// Send gives up after a short time: a peer that doesn't read must not hold
	// the sender.
	Send(b []byte) error
	// Receive returns a message that is valid until the next call.
	Receive() ([]byte, error)
	Close() error
}

// sendTimeout bounds a send. A peer that stood still that long learns the state
// again by a new connection.
const sendTimeout = 250 * time.Millisecond

// stream keeps bounds on a byte stream by a length in front (4 bytes, network
// order).
type stream struct {
	r io.Reader
	w io.Writer
	c []io.Closer
}

func (s *stream) Send(b []byte) error {
	_, err := s.w.Write(append(binary.BigEndian.AppendUint32(nil, uint32(len(b))), b...))
	return err
}

func (s *stream) Receive() ([]byte, error) {
	var head [4]byte
	if _, err := io.ReadFull(s.r, head[:]); err != nil {
		return nil, err
	}
	n := binary.BigEndian.Uint32(head[:])
	if n > maxMessage {
		return nil, fmt.Errorf("a message of %d bytes is longer than %d", n, maxMessage)
	}
	b := make([]byte, n)
	_, err := io.ReadFull(s.r, b)
	return b, err
}

func (s *stream) Close() error {
	var all error
	for _, c := range s.c {
		all = errors.Join(all, c.Close())
	}
	return all
}

// memory is one end of a link inside a process.
type memory struct {
	in   <-chan []byte
	out  chan<- []byte
	once *sync.Once
	gone chan struct{}
}

// newMemory returns both ends. Closing one closes the other.
func newMemory() (a, b link) {
	x, y := make(chan []byte, 64), make(chan []byte, 64)
	once, gone := &sync.Once{}, make(chan struct{})
	return &memory{x, y, once, gone}, &memory{y, x, once, gone}
}

func (m *memory) Send(b []byte) error {
	t := time.NewTimer(sendTimeout)
	defer t.Stop()
	select {
	case m.out <- b:
		return nil
	case <-m.gone:
		return io.ErrClosedPipe
	case <-t.C:
		return fmt.Errorf("send to the other end: it didn't read for %v", sendTimeout)
	}
}

func (m *memory) Receive() ([]byte, error) {
	select {
	case b := <-m.in:
		return b, nil
	case <-m.gone:
		return nil, io.EOF
	}
}

func (m *memory) Close() error {
	m.once.Do(func() { close(m.gone) })
	return nil
}
