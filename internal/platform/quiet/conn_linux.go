package quiet

import (
	"io"
	"net"
	"os"
	"sync"
	"syscall"

	"golang.org/x/sys/unix"
)

// Conn makes the reads and writes of a connected socket quiet: TCP, or Unix of
// any type. Anything else is returned as it is. All other methods are c's own,
// deadlines and Close work as ever.
func Conn(c net.Conn) net.Conn {
	// Not every syscall.Conn: one that wraps another may do more than that.
	var s syscall.Conn
	switch c := c.(type) {
	case *net.TCPConn:
		s = c
	case *net.UnixConn:
		s = c
	default:
		return c
	}
	raw, err := s.SyscallConn()
	if err != nil {
		return c // it is closed, and says so when it is used
	}
	q := &conn{Conn: c, raw: raw}
	// Made once: a closure for each call would be allocated.
	q.in.try, q.out.try = q.in.receive, q.out.send
	return q
}

type conn struct {
	net.Conn
	raw     syscall.RawConn
	in, out half
}

// half is one direction, used by one goroutine at a time.
type half struct {
	mu  sync.Mutex
	b   []byte
	n   int
	err error
	try func(fd uintptr) bool
}

func (h *half) receive(fd uintptr) bool {
	h.n, h.err = Receive(fd, h.b)
	return h.err != unix.EAGAIN
}

// send goes on until all is taken.
func (h *half) send(fd uintptr) bool {
	for h.n < len(h.b) {
		var n int
		if n, h.err = Send(fd, h.b[h.n:]); h.err != nil {
			return h.err != unix.EAGAIN
		}
		h.n += n
	}
	return true
}

// do calls until package net or the call itself says how it ended.
func (h *half) do(b []byte, until func(func(uintptr) bool) error) (int, error) {
	h.b, h.n, h.err = b, 0, nil
	err := until(h.try)
	n := h.n
	if err == nil {
		err = h.err
	}
	h.b = nil
	return n, err
}

func (c *conn) Read(b []byte) (int, error) {
	if len(b) == 0 {
		return 0, nil
	}
	c.in.mu.Lock()
	n, err := c.in.do(b, c.raw.Read)
	c.in.mu.Unlock()
	switch {
	case err != nil:
		return 0, c.failed("read", "recvfrom", err)
	case n == 0:
		return 0, io.EOF
	}
	return n, nil
}

func (c *conn) Write(b []byte) (int, error) {
	if len(b) == 0 {
		return c.Conn.Write(b) // an empty datagram or nothing, as package net has it
	}
	c.out.mu.Lock()
	n, err := c.out.do(b, c.raw.Write)
	c.out.mu.Unlock()
	return n, c.failed("write", "sendto", err)
}

// failed gives an error of the system the form that package net gives it; its own
// have one.
func (c *conn) failed(op, call string, err error) error {
	if errno, ok := err.(unix.Errno); ok {
		return &net.OpError{Op: op, Net: c.LocalAddr().Network(), Source: c.LocalAddr(), Addr: c.RemoteAddr(),
			Err: os.NewSyscallError(call, errno)}
	}
	return err
}
