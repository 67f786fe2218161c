package nbd

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/platform/quiet"
	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/front"
)

// Config is what a server needs.
type Config struct {
	Exports front.Exports
	// Pool is the memory for data, shared with others. Its largest piece is the
	// largest request that is done as a whole; clients are told so.
	Pool *block.Pool
	Log  *slog.Logger
	// Depth is how many requests of a connection are under way at the same time.
	// 0: 128.
	Depth int
	// Connections bounds those that are open. 0: 64. More wait to be accepted.
	Connections int
	// HandshakeTimeout bounds a handshake as a whole. 0: 10 s.
	HandshakeTimeout time.Duration
	// StallTimeout is how long a client may leave a reply unread or a request
	// half sent. 0: 30 s.
	StallTimeout time.Duration
}

// Server serves connections.
type Server struct {
	c Config

	mu     sync.Mutex
	open   map[net.Conn]struct{}
	listen map[net.Listener]struct{}
	closed bool
	group  sync.WaitGroup
	room   chan struct{}
}

// NewServer makes a server; Close ends it.
func NewServer(c Config) *Server {
	if c.Depth == 0 {
		c.Depth = 128
	}
	if c.Connections == 0 {
		c.Connections = 64
	}
	if c.HandshakeTimeout == 0 {
		c.HandshakeTimeout = 10 * time.Second
	}
	if c.StallTimeout == 0 {
		c.StallTimeout = 30 * time.Second
	}
	if c.Log == nil {
		c.Log = slog.Default()
	}
	return &Server{c: c, open: make(map[net.Conn]struct{}), listen: make(map[net.Listener]struct{}), room: make(chan struct{}, c.Connections)}
}

// ErrClosed: the server was closed.
var ErrClosed = errors.New("the NBD server is closed")

// Serve accepts connections until the listener or the server is closed, and
// closes the listener.
func (s *Server) Serve(l net.Listener) error {
	if !s.keep(func() { s.listen[l] = struct{}{} }) {
		_ = l.Close()
		return ErrClosed
	}
	defer s.group.Done()
	defer s.forget(func() { delete(s.listen, l) })
	defer func() { _ = l.Close() }()
	for {
		s.room <- struct{}{}
		c, err := l.Accept()
		if err != nil {
			<-s.room
			s.mu.Lock()
			closed := s.closed
			s.mu.Unlock()
			if closed {
				return ErrClosed
			}
			return fmt.Errorf("accept NBD clients at %v: %w", l.Addr(), err)
		}
		if !s.keep(func() { s.open[c] = struct{}{} }) {
			_ = c.Close()
			<-s.room
			return ErrClosed
		}
		go func() {
			defer func() { <-s.room }()
			defer s.group.Done()
			s.client(c)
		}()
	}
}

// client serves one connection from its handshake on.
func (s *Server) client(c net.Conn) {
	defer s.forget(func() { delete(s.open, c) })
	defer func() { _ = c.Close() }()
	q := quiet.Conn(c)
	_ = c.SetDeadline(time.Now().Add(s.c.HandshakeTimeout))
	v, structured, err := handshake(q, s.c.Exports, s.c.Pool.Largest())
	if err != nil || v == nil {
		s.log(c, err)
		return
	}
	_ = c.SetDeadline(time.Time{})
	who := front.Initiator{Protocol: "nbd", Name: peer(c)}
	if err := s.transmit(q, v, who, structured); err != nil {
		s.log(c, err)
	}
}

// Attach serves a connection whose other end has already been told what is
// there, as the kernel is, until it ends. It closes c.
func (s *Server) Attach(ctx context.Context, c net.Conn, v front.Volume, who front.Initiator) error {
	if !s.keep(func() { s.open[c] = struct{}{} }) {
		_ = c.Close()
		return ErrClosed
	}
	defer s.group.Done()
	defer s.forget(func() { delete(s.open, c) })
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	return s.transmit(quiet.Conn(c), v, who, false)
}

func (s *Server) log(c net.Conn, err error) {
	if err != nil && !errors.Is(err, net.ErrClosed) {
		s.c.Log.Warn("an NBD connection ended", "client", peer(c), "error", err)
	}
}

// keep notes something that is open, unless the server is closed.
func (s *Server) keep(note func()) bool {
	s.mu.Lock()
	defer s.mu.Unlock()
	if s.closed {
		return false
	}
	note()
	s.group.Add(1)
	return true
}

func (s *Server) forget(what func()) {
	s.mu.Lock()
	defer s.mu.Unlock()
	what()
}

// Close cuts all connections, waits until what they had under way has ended, and
// returns when nothing of the server runs any more.
func (s *Server) Close() {
	s.mu.Lock()
	s.closed = true
	for l := range s.listen {
		_ = l.Close()
	}
	for c := range s.open {
		_ = c.Close()
	}
	s.mu.Unlock()
	s.group.Wait()
}
