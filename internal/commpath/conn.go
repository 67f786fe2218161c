package commpath

import (
	"bufio"
	"context"
	"crypto/tls"
	"encoding/hex"
	"errors"
	"fmt"
	"net"
	"strings"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/platform/quiet"
)

// What a TLS connection is for (ALPN). These never change: a difference of
// releases shows in the hello, in words.
const (
	protoMessages = "perdure-msg/1"
	protoCall     = "perdure-rpc/1"
	protoJoin     = "perdure-join/1"
)

// serverName tells the clusters at one port apart.
func serverName(hash [8]byte) string { return hex.EncodeToString(hash[:]) + ".perdure.internal" }

// conn is a TLS connection that carries frames. One goroutine reads; writes are
// serialised.
type conn struct {
	tls  *tls.Conn
	peer hello
	// version of the protocol that both speak.
	version int
	// patience is how long one write may take without progress.
	patience time.Duration

	wmu sync.Mutex
	w   *bufio.Writer
	// written counts bytes.
	written int64
}

func newConn(c *tls.Conn, patience time.Duration) *conn {
	k := &conn{tls: c, patience: patience}
	k.w = bufio.NewWriterSize(progress{k}, 64<<10)
	return k
}

// progress gives each piece of a large write its own deadline: a slow line is
// not a dead one.
type progress struct{ c *conn }

func (p progress) Write(b []byte) (int, error) {
	const piece = 64 << 10
	done := 0
	for done < len(b) {
		if err := p.c.tls.SetWriteDeadline(time.Now().Add(p.c.patience)); err != nil {
			return done, err
		}
		n, err := p.c.tls.Write(b[done:min(len(b), done+piece)])
		done += n
		p.c.written += int64(n)
		if err != nil {
			return done, err
		}
	}
	return done, nil
}

// write puts a frame into the buffer, and flushes it if told to.
func (c *conn) write(t frameType, payload []byte, flush bool) error {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	var h [frameHeader]byte
	putFrameHeader(h[:], t, payload)
	if _, err := c.w.Write(h[:]); err != nil {
		return err
	}
	if _, err := c.w.Write(payload); err != nil {
		return err
	}
	if flush {
		return c.w.Flush()
	}
	return nil
}

// bytes is how many were written so far.
func (c *conn) bytes() int64 {
	c.wmu.Lock()
	defer c.wmu.Unlock()
	return c.written
}

// read reads a frame; the other side must show a sign of life within patience.
func (c *conn) read(patience time.Duration, limit int) (frameType, []byte, error) {
	if err := c.tls.SetReadDeadline(time.Now().Add(patience)); err != nil {
		return 0, nil, err
	}
	t, payload, err := readFrame(&living{c, patience}, limit)
	if err != nil {
		return 0, nil, err
	}
	if t == frameGoodbye {
		return 0, nil, fmt.Errorf("%w: %s", errGoodbye, words(payload))
	}
	return t, payload, nil
}

// living moves the read deadline on while bytes come.
type living struct {
	c        *conn
	patience time.Duration
}

func (l *living) Read(b []byte) (int, error) {
	n, err := l.c.tls.Read(b)
	if n > 0 {
		l.c.tls.SetReadDeadline(time.Now().Add(l.patience)) // fails only when closed; the next read says so
	}
	return n, err
}

var errGoodbye = errors.New("the other side ended the connection")

// words is text from elsewhere, for a log.
func words(b []byte) string {
	return strings.ToValidUTF8(strings.Map(func(r rune) rune {
		if r < ' ' || r == 0x7f {
			return '?'
		}
		return r
	}, string(b[:min(len(b), 512)])), "?")
}

// goodbye says why and closes.
func (c *conn) goodbye(why string) {
	c.patience = min(c.patience, 200*time.Millisecond)
	c.write(frameGoodbye, []byte(why), true) // it is closed either way
	c.close()
}

// close ends the connection at once. It may be called twice, and from any
// goroutine.
func (c *conn) close() {
	// The close of package tls would wait for room to say so.
	c.tls.NetConn().Close()
}

// greet exchanges hellos. Both sides speak first, so that each learns what the
// other is even when they have no protocol in common.
func (c *conn) greet(ours hello, patience time.Duration) error {
	if err := c.write(frameHello, ours.encode(), true); err != nil {
		return fmt.Errorf("say hello: %w", err)
	}
	t, payload, err := c.read(patience, maxHello)
	if err != nil {
		return fmt.Errorf("hear hello: %w", err)
	}
	if t != frameHello {
		return fmt.Errorf("frame of type %d instead of a hello", t)
	}
	theirs, err := decodeHello(payload)
	if err != nil {
		return err
	}
	c.peer = theirs
	if c.version, err = agree(ours, theirs); err != nil {
		return err
	}
	if theirs.Cluster != ours.Cluster {
		return fmt.Errorf("hello of cluster %q", words([]byte(theirs.Cluster)))
	}
	return nil
}

// hello is what this endpoint says of itself.
func (ep *Endpoint) hello() hello {
	return hello{
		Min: ep.protocols[0], Max: ep.protocols[1], Build: ep.cfg.Build,
		Cluster: ep.clusterID, Node: ep.cfg.Self,
	}
}

// times are how long things may take, derived from how long silence may last.
type times struct {
	silence time.Duration
	dial    time.Duration // until the TCP connection stands
	setup   time.Duration // until hellos were exchanged
	ping    time.Duration // between pings
	answer  time.Duration // until a ping is answered, and until a write makes progress
	backoff time.Duration // longest pause between two tries
}

func timesFor(silence time.Duration) times {
	return times{
		silence: silence,
		dial:    max(silence/4, 100*time.Millisecond),
		setup:   max(silence/2, 500*time.Millisecond),
		ping:    silence / 5,
		answer:  max(silence/2, 100*time.Millisecond),
		backoff: silence / 5,
	}
}

func (ep *Endpoint) times() times { return timesFor(time.Duration(ep.silence.Load())) }

// dial connects to a peer over a path and exchanges hellos.
func (ep *Endpoint) dial(ctx context.Context, to cluster.NodeID, r route, proto string) (*conn, error) {
	if ep.cfg.TLS == nil {
		return nil, errors.New("this endpoint has no certificates")
	}
	t := ep.times()
	ctx, cancel := context.WithTimeout(ctx, t.setup)
	defer cancel()
	// From the path's own address, so that the networks stay apart.
	local := net.TCPAddrFromAddrPort(r.local)
	local.Port = 0
	d := net.Dialer{LocalAddr: local, Timeout: t.dial, KeepAlive: -1}
	raw, err := d.DialContext(ctx, tcpNetwork(r.remote), r.remote.String())
	if err != nil {
		return nil, err
	}
	raw = quiet.Conn(raw)
	if ep.hub.wrapConn != nil {
		raw = ep.hub.wrapConn(raw)
	}
	cfg := ep.cfg.TLS.PeerConfig()
	cfg.NextProtos = []string{proto}
	cfg.ServerName = serverName(ep.hash)
	c := newConn(tls.Client(raw, cfg), t.answer)
	if err := ep.prove(ctx, c, to, proto, t); err != nil {
		c.close()
		return nil, err
	}
	return c, nil
}

// prove makes sure that the right node is at the other end.
func (ep *Endpoint) prove(ctx context.Context, c *conn, to cluster.NodeID, proto string, t times) error {
	if err := c.tls.HandshakeContext(ctx); err != nil {
		return fmt.Errorf("TLS: %w", err)
	}
	cs := c.tls.ConnectionState()
	who, err := ep.cfg.TLS.NodeOf(cs)
	switch {
	case err != nil:
		return err
	case who != to:
		return fmt.Errorf("node %v answers there", who)
	case cs.NegotiatedProtocol != proto:
		return fmt.Errorf("the other side doesn't speak %s", proto)
	}
	if err := c.greet(ep.hello(), t.setup); err != nil {
		return err
	}
	if c.peer.Node != to {
		return fmt.Errorf("node %v says to be node %v", to, c.peer.Node)
	}
	welcome, _, err := c.read(t.setup, maxHello)
	if err != nil {
		return err
	}
	if welcome != frameAlive {
		return fmt.Errorf("%w: type %d instead of a welcome", errFrame, welcome)
	}
	return nil
}
