package wire

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"io"
	"net"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/block"
)

// Protocol is the name in TLS (ALPN), so that a connection to a wrong port ends
// there.
const Protocol = "perdure-volume"

// preamble is what both ends send first, in any version: PreambleSize bytes.
//
//	0  8  "PERDUVLK"
//	8  1  the lowest version that is spoken
//	9  1  the highest
//	10 6  0
const (
	preambleMagic = "PERDUVLK"
	preambleSize  = 16
)

// Options say how a link works.
type Options struct {
	// Pool is where payloads are put. Its pieces have PayloadMost at least. When
	// it is empty nothing is received until somebody puts memory back, and the
	// other end waits.
	Pool *block.Pool
	// HandshakeTimeout bounds TLS and preamble. 0: 10 s.
	HandshakeTimeout time.Duration
	// Silence is how long nothing may come, and how long the other end may take
	// nothing, before the link ends. 0: 10 s.
	Silence time.Duration
	// Peer names the other end in messages.
	Peer string
	// lowest and highest are the versions that are spoken, for tests.
	lowest, highest byte
}

// Link is a connection to another node. One goroutine sends (Append, Flush), one
// receives (Receive); Close may be called by any.
type Link struct {
	c    net.Conn
	o    Options
	conn tls.ConnectionState

	out       []byte
	sendUntil time.Time

	in        []byte
	from, to  int
	readUntil time.Time
}

const (
	// outSize is how much goes out in one write if there is so much. Four
	// records of TLS.
	outSize = 64 << 10
	// copied is the largest payload that is copied beside its header.
	copied = 32 << 10
	inSize = 64 << 10
)

// Client makes a link over a connection that this end dialled. cfg verifies the
// other end. The connection is closed on error.
func Client(ctx context.Context, c net.Conn, cfg *tls.Config, o Options) (*Link, error) {
	return begin(ctx, c, tls.Client(c, protocol(cfg)), o)
}

// Server makes a link over a connection that was accepted.
func Server(ctx context.Context, c net.Conn, cfg *tls.Config, o Options) (*Link, error) {
	return begin(ctx, c, tls.Server(c, protocol(cfg)), o)
}

func protocol(cfg *tls.Config) *tls.Config {
	cfg = cfg.Clone()
	cfg.NextProtos = []string{Protocol}
	cfg.MinVersion = tls.VersionTLS13
	// Records of full size at once: this is no web page.
	cfg.DynamicRecordSizingDisabled = true
	return cfg
}

func begin(ctx context.Context, raw net.Conn, c *tls.Conn, o Options) (*Link, error) {
	if o.HandshakeTimeout == 0 {
		o.HandshakeTimeout = 10 * time.Second
	}
	if o.Silence == 0 {
		o.Silence = 10 * time.Second
	}
	if o.highest == 0 {
		o.lowest, o.highest = Version, Version
	}
	ctx, cancel := context.WithTimeout(ctx, o.HandshakeTimeout)
	defer cancel()
	l := &Link{c: c, o: o, out: make([]byte, 0, outSize), in: make([]byte, inSize)}
	stop := context.AfterFunc(ctx, func() { _ = raw.Close() })
	err := l.greet(ctx, c)
	if !stop() && err == nil {
		err = ctx.Err()
	}
	if err != nil {
		_ = raw.Close()
		return nil, err
	}
	return l, nil
}

func (l *Link) greet(ctx context.Context, c *tls.Conn) error {
	if err := c.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS with %s: %w", l.o.Peer, err)
	}
	l.conn = c.ConnectionState()
	if l.conn.NegotiatedProtocol != Protocol {
		return fmt.Errorf("TLS with %s: it doesn't speak %s", l.o.Peer, Protocol)
	}
	hello := make([]byte, preambleSize)
	copy(hello, preambleMagic)
	hello[8], hello[9] = l.o.lowest, l.o.highest
	if _, err := c.Write(hello); err != nil {
		return fmt.Errorf("greet %s: %w", l.o.Peer, err)
	}
	got := make([]byte, preambleSize)
	if _, err := io.ReadFull(c, got); err != nil {
		return fmt.Errorf("greeting of %s: %w", l.o.Peer, err)
	}
	if string(got[:8]) != preambleMagic {
		return fmt.Errorf("greeting of %s: %w", l.o.Peer, ErrMalformed)
	}
	if got[8] > l.o.highest || got[9] < l.o.lowest || got[8] > got[9] {
		return message.New(message.VolumePeerVersion, l.o.Peer, got[8], got[9], l.o.lowest, l.o.highest)
	}
	return nil
}

// State is what TLS knows of the other end, to learn its identity.
func (l *Link) State() tls.ConnectionState { return l.conn }

// Append queues a frame. It is sent with others at the next Flush, or when there
// are many; a payload may be used again when Append returns.
func (l *Link) Append(f *Frame) error {
	if err := f.check(); err != nil {
		return err
	}
	n := HeaderSize
	if len(f.Payload) <= copied {
		n += len(f.Payload)
	}
	if len(l.out)+n > cap(l.out) {
		if err := l.Flush(); err != nil {
			return err
		}
	}
	at := len(l.out)
	l.out = l.out[:at+HeaderSize]
	f.putHeader(l.out[at:])
	if len(f.Payload) <= copied {
		l.out = append(l.out, f.Payload...)
		return nil
	}
	if err := l.Flush(); err != nil {
		return err
	}
	return l.write(f.Payload)
}

// Flush sends what was queued.
func (l *Link) Flush() error {
	if len(l.out) == 0 {
		return nil
	}
	err := l.write(l.out)
	l.out = l.out[:0]
	return err
}

func (l *Link) write(b []byte) error {
	// Not at each write: a deadline is a timer.
	if now := time.Now(); l.sendUntil.Sub(now) < l.o.Silence*3/4 {
		l.sendUntil = now.Add(l.o.Silence)
		if err := l.c.SetWriteDeadline(l.sendUntil); err != nil {
			return l.failed("send to", err)
		}
	}
	if _, err := l.c.Write(b); err != nil {
		return l.failed("send to", err)
	}
	return nil
}

// Receive waits for the next frame. io.EOF: the other end closed between two
// frames. After any error the link is of no use.
func (l *Link) Receive(f *Frame) error {
	head, err := l.take(HeaderSize)
	if err != nil {
		return err
	}
	n, sum, err := DecodeHeader(head, f)
	if err != nil {
		return l.broken(err)
	}
	if n == 0 {
		if sum != 0 {
			return l.broken(fmt.Errorf("%w: %v without payload", ErrChecksum, f.Type))
		}
		return nil
	}
	b := l.o.Pool.Get(n)
	got := copy(b, l.in[l.from:l.to])
	l.from += got
	for got < n && err == nil {
		var k int
		if err = l.patience(); err == nil {
			k, err = l.c.Read(b[got:])
			got += k
		}
	}
	if got < n {
		l.o.Pool.Put(b)
		return l.failed("receive from", err)
	}
	f.Payload = b
	if err := verify(f, sum); err != nil {
		l.o.Pool.Put(b)
		f.Payload = nil
		return l.broken(err)
	}
	return nil
}

// Buffered reports whether a whole header has arrived already: more can be
// received without waiting for it.
func (l *Link) Buffered() bool { return l.to-l.from >= HeaderSize }

func (l *Link) take(n int) ([]byte, error) {
	for l.to-l.from < n {
		if l.from > 0 {
			l.to = copy(l.in, l.in[l.from:l.to])
			l.from = 0
		}
		if err := l.patience(); err != nil {
			return nil, l.failed("receive from", err)
		}
		got, err := l.c.Read(l.in[l.to:])
		l.to += got
		if l.to < n && err != nil {
			if err == io.EOF && l.to == 0 {
				return nil, io.EOF
			}
			return nil, l.failed("receive from", err)
		}
	}
	b := l.in[l.from : l.from+n]
	l.from += n
	return b, nil
}

func (l *Link) patience() error {
	now := time.Now()
	if l.readUntil.Sub(now) >= l.o.Silence*3/4 {
		return nil
	}
	l.readUntil = now.Add(l.o.Silence)
	return l.c.SetReadDeadline(l.readUntil)
}

func (l *Link) failed(what string, err error) error {
	if err == io.EOF {
		err = io.ErrUnexpectedEOF
	}
	return fmt.Errorf("%s %s: %w", what, l.o.Peer, err)
}

// broken says in words what the other end, or what is between, did.
func (l *Link) broken(err error) error {
	if errors.Is(err, ErrChecksum) {
		return message.New(message.VolumeWireChecksum, l.o.Peer, err).Wrap(err)
	}
	return l.failed("receive from", err)
}

// Close ends the link at once; what was queued and not flushed is lost.
func (l *Link) Close() error { return l.c.Close() }
