package nbd

import (
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/volume/block"
	"github.com/perdure-ha/perdure/internal/volume/front"
)

// receiveSize is how much is read from the socket at once: many small requests
// in one call, so that they become one batch.
const receiveSize = 128 << 10

// conn is one connection after its handshake.
type conn struct {
	c          net.Conn
	v          front.Volume
	session    front.Session
	pool       *block.Pool
	structured bool
	stall      time.Duration
	budget     int // bytes of the pool that it may hold

	// The reader's own.
	in       []byte
	from, to int
	armed    bool // a read deadline is set
	goodbye  bool // the client has disconnected in order
	batch    []*block.Request
	part     block.Request // of requests that are larger than a piece of the pool
	parts    chan struct{}

	mu    sync.Mutex
	room  sync.Cond // a slot or memory came back
	more  sync.Cond // something is to be sent, or it is over
	slots int
	free  []*slot
	held  int // bytes of the pool
	ready []*slot
	over  bool
}

// slot is one request under way.
type slot struct {
	t      *conn
	r      block.Request
	cookie uint64
	read   bool
	errno  uint32
	held   int
	// piece of a large read: the reader waits until it was sent.
	piece            bool
	beginning, final bool
}

// errProtocol: what the client sent isn't NBD, and nothing after it can be
// understood.
var errProtocol = errors.New("NBD client")

// transmit serves requests until the client disconnects or is cut off. It returns
// after everything that was under way has ended.
func (s *Server) transmit(c net.Conn, v front.Volume, who front.Initiator, structured bool) error {
	session, err := v.Open(who)
	if err != nil {
		return fmt.Errorf("open volume %s for %s: %w", v.Name(), who.Name, err)
	}
	defer session.Close()
	t := newConn(c, v, session, s.c, structured)
	sent := make(chan struct{})
	go func() {
		defer close(sent)
		t.send()
	}()
	err = t.receive()
	t.flush()
	if err != nil || !t.goodbye {
		session.Abort()
	}
	t.mu.Lock()
	for len(t.free) < t.slots {
		t.room.Wait()
	}
	t.over = true
	t.more.Signal()
	t.mu.Unlock()
	<-sent
	return err
}

func newConn(c net.Conn, v front.Volume, session front.Session, cfg Config, structured bool) *conn {
	t := &conn{
		c: c, v: v, session: session, pool: cfg.Pool, structured: structured, stall: cfg.StallTimeout,
		budget: max(cfg.Pool.Size()/4, cfg.Pool.Largest()),
		in:     make([]byte, receiveSize), batch: make([]*block.Request, 0, cfg.Depth), parts: make(chan struct{}, 1),
		slots: cfg.Depth, ready: make([]*slot, 0, cfg.Depth),
	}
	t.room.L, t.more.L = &t.mu, &t.mu
	t.part.Done = func(*block.Request) { t.parts <- struct{}{} }
	all := make([]slot, cfg.Depth)
	for i := range all {
		all[i].t = t
		all[i].r.Owner, all[i].r.Done = &all[i], ended
		t.free = append(t.free, &all[i])
	}
	return t
}

// ended is the Done of all requests.
func ended(r *block.Request) {
	s := r.Owner.(*slot)
	s.errno = errno(r.Err)
	if r.Op == block.Discard && errors.Is(r.Err, block.ErrNotSupported) {
		s.errno = 0 // it is a hint
	}
	s.t.finish(s)
}

// finish hands a slot to the sender.
func (t *conn) finish(s *slot) {
	t.mu.Lock()
	t.ready = append(t.ready, s)
	if len(t.ready) == 1 {
		t.more.Signal()
	}
	t.mu.Unlock()
}

// receive reads requests. nil: the client said goodbye or closed between two
// requests.
func (t *conn) receive() error {
	for {
		head, err := t.take(requestSize)
		if err != nil {
			if err == io.EOF {
				return nil
			}
			return err
		}
		h := decodeHeader(head)
		if h.magic != magicRequest {
			return fmt.Errorf("%w: a request begins with %#x", errProtocol, h.magic)
		}
		if h.kind == cmdDisc {
			t.goodbye = true
			return nil
		}
		if err := t.request(h); err != nil {
			return err
		}
	}
}

// request starts one request.
func (t *conn) request(h header) error {
	if h.payload() > mostPayload {
		return fmt.Errorf("%w: a write of %d bytes", errProtocol, h.payload())
	}
	s := t.slot()
	s.cookie, s.read, s.piece = h.cookie, h.kind == cmdRead, false
	s.beginning, s.final = true, true
	if s.errno = h.request(t.v.Geometry(), t.structured, &s.r); s.errno != 0 {
		if err := t.skip(h.payload()); err != nil {
			t.release(s)
			return err
		}
		t.finish(s)
		return nil
	}
	moves := s.r.Op == block.Read || s.r.Op == block.Write
	if moves && s.r.Length > int64(t.pool.Largest()) {
		return t.large(s)
	}
	if moves {
		s.r.Data = t.memory(int(s.r.Length))
		s.held = len(s.r.Data)
	}
	if s.r.Op == block.Write {
		if err := t.fill(s.r.Data); err != nil {
			t.release(s)
			return err
		}
	}
	t.batch = append(t.batch, &s.r)
	return nil
}

// flush submits what has been read.
func (t *conn) flush() {
	if len(t.batch) > 0 {
		t.session.Submit(t.batch)
		t.batch = t.batch[:0]
	}
}

// slot waits for a free one.
func (t *conn) slot() *slot {
	t.mu.Lock()
	defer t.mu.Unlock()
	for len(t.free) == 0 {
		t.mu.Unlock()
		t.flush() // or it might wait for what nobody has started
		t.mu.Lock()
		if len(t.free) == 0 {
			t.room.Wait()
		}
	}
	s := t.free[len(t.free)-1]
	t.free = t.free[:len(t.free)-1]
	return s
}

// memory waits for n bytes, and for the connection's share of them.
func (t *conn) memory(n int) []byte {
	t.mu.Lock()
	for t.held > 0 && t.held+n > t.budget {
		t.mu.Unlock()
		t.flush()
		t.mu.Lock()
		if t.held > 0 && t.held+n > t.budget {
			t.room.Wait()
		}
	}
	t.held += n
	t.mu.Unlock()
	if b := t.pool.TryGet(n); b != nil {
		return b
	}
	t.flush()
	return t.pool.Get(n)
}

// release gives back a slot that was not submitted.
func (t *conn) release(s *slot) {
	t.giveBack(s)
	t.mu.Lock()
	t.freed(s)
	t.room.Broadcast()
	t.mu.Unlock()
}

// giveBack returns a slot's memory to the pool.
func (t *conn) giveBack(s *slot) {
	if s.r.Data != nil {
		t.pool.Put(s.r.Data)
		s.r.Data = nil
	}
}

// freed is called with the lock.
func (t *conn) freed(s *slot) {
	t.held -= s.held
	s.held = 0
	t.free = append(t.free, s)
}

// take returns the next n bytes, n small; they are valid until the next call.
// While there are none, what was read before is submitted.
func (t *conn) take(n int) ([]byte, error) {
	if t.to-t.from < n {
		t.flush()
	}
	for t.to-t.from < n {
		if len(t.in)-t.from < n || t.from == t.to {
			t.to = copy(t.in, t.in[t.from:t.to])
			t.from = 0
		}
		if err := t.patience(t.to > t.from); err != nil {
			return nil, err
		}
		got, err := t.c.Read(t.in[t.to:])
		t.to += got
		if t.to-t.from < n && err != nil {
			if err == io.EOF && t.to > t.from {
				err = io.ErrUnexpectedEOF
			}
			return nil, err
		}
	}
	b := t.in[t.from : t.from+n]
	t.from += n
	return b, nil
}

// patience sets a deadline for the rest of what has begun, and none for a client
// that has nothing to ask.
func (t *conn) patience(begun bool) error {
	if !begun && !t.armed {
		return nil
	}
	t.armed = begun
	if begun {
		return t.c.SetReadDeadline(time.Now().Add(t.stall))
	}
	return t.c.SetReadDeadline(time.Time{})
}

// fill reads a payload: what has arrived already, and the rest without a copy.
func (t *conn) fill(b []byte) error {
	n := copy(b, t.in[t.from:t.to])
	t.from += n
	for n < len(b) {
		t.flush()
		if err := t.patience(true); err != nil {
			return err
		}
		got, err := t.c.Read(b[n:])
		n += got
		if err != nil && n < len(b) {
			return fmt.Errorf("%w: a request was cut off: %w", errProtocol, err)
		}
	}
	return nil
}

// skip reads a payload that nobody wants.
func (t *conn) skip(n int64) error {
	for n > 0 {
		b, err := t.take(int(min(n, 4096)))
		if err != nil {
			return err
		}
		n -= int64(len(b))
	}
	return nil
}

// large does a request that is larger than a piece of the pool: piece by piece,
// while the connection waits. Clients that ask for the largest request don't
// send any.
func (t *conn) large(s *slot) error {
	t.flush()
	piece := t.pool.Largest()
	whole, sent := s.r, false
	for at := int64(0); at < whole.Length && s.errno == 0; at += int64(piece) {
		n := int(min(int64(piece), whole.Length-at))
		b := t.memory(n)
		s.held = n
		var err error
		if whole.Op == block.Write {
			err = t.fill(b)
		}
		if err == nil {
			t.part.Op, t.part.Flags, t.part.Offset, t.part.Length, t.part.Data = whole.Op, whole.Flags, whole.Offset+at, int64(n), b
			t.session.Submit([]*block.Request{&t.part})
			<-t.parts
			s.errno = errno(t.part.Err)
		}
		if err == nil && whole.Op == block.Read && s.errno == 0 {
			s.r.Data, s.r.Offset, s.piece = b, whole.Offset+at, true
			s.beginning, s.final = at == 0, at+int64(n) == whole.Length
			t.finish(s)
			<-t.parts
			s.piece, sent = false, true
		} else {
			t.pool.Put(b)
		}
		t.mu.Lock()
		t.held -= s.held
		s.held = 0
		t.mu.Unlock()
		if err != nil {
			t.release(s)
			return err
		}
		if whole.Op == block.Write && s.errno != 0 {
			if err := t.skip(whole.Length - at - int64(n)); err != nil {
				t.release(s)
				return err
			}
		}
	}
	s.r.Data, s.r.Offset = nil, whole.Offset
	if whole.Op == block.Read && s.errno == 0 {
		t.release(s) // all was sent
		return nil
	}
	if whole.Op == block.Read && !t.structured && sent {
		t.release(s)
		return fmt.Errorf("%w: a read failed after a part of it was sent", errProtocol)
	}
	t.finish(s)
	return nil
}
