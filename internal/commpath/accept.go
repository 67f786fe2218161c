package commpath

import (
	"context"
	"crypto/tls"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/platform/quiet"
)

// Bounds on what somebody without a certificate can take from us.
const (
	handshakeTime   = 5 * time.Second
	mostHandshakes  = 128
	mostFromOneHost = 16
	// mostOfPeers is for the addresses of peers, so that strangers can't keep
	// them out.
	mostOfPeers = 1024
	// mostJoins bounds how many joiners are served at once.
	mostJoins = 32
)

// keepTCP keeps the listener open and accepts. l and err are how the first try
// ended.
func (s *slot) keepTCP(l net.Listener, err error) {
	tell := s.teller("TCP")
	for {
		tell(err)
		if err == nil {
			_ = s.acceptAll(l) // why it ended doesn't matter: it is opened again
			s.setListener(nil)
			l.Close()
		}
		if !s.wait() {
			return
		}
		l, err = s.openTCP()
	}
}

func (s *slot) openTCP() (net.Listener, error) {
	l, err := net.ListenTCP(tcpNetwork(s.addr), net.TCPAddrFromAddrPort(s.addr))
	if err != nil {
		return nil, err
	}
	s.setListener(l)
	if s.stopping() {
		l.Close()
	}
	return l, nil
}

func (s *slot) setListener(l net.Listener) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.tcp = l
}

func (s *slot) acceptAll(l net.Listener) error {
	for {
		c, err := l.Accept()
		if err != nil {
			if n, ok := errors.AsType[net.Error](err); ok && n.Timeout() && !s.stopping() {
				continue
			}
			return err
		}
		s.hub.admit(c)
	}
}

// admit begins a handshake, unless too many are under way.
func (h *Hub) admit(raw net.Conn) {
	from := remoteOf(raw)
	raw = quiet.Conn(raw)
	if h.wrapConn != nil {
		raw = h.wrapConn(raw)
	}
	h.mu.Lock()
	defer h.mu.Unlock()
	full := len(h.shaking) >= mostHandshakes || h.fromHost(from.Addr()) >= mostFromOneHost
	if full && len(h.shaking) < mostOfPeers {
		full = !h.isPeer(from.Addr())
	}
	if h.closed || full {
		h.turnedAway.Add(1)
		raw.Close()
		return
	}
	h.shaking[raw] = from.Addr()
	h.done.Go(func() { h.shake(raw, from) })
}

func (h *Hub) fromHost(a netip.Addr) int {
	n := 0
	for _, other := range h.shaking {
		if other == a {
			n++
		}
	}
	return n
}

// isPeer reports whether a peer of any cluster here has the address.
func (h *Hub) isPeer(a netip.Addr) bool {
	for _, ep := range *h.endpoints.Load() {
		for _, p := range *ep.peers.Load() {
			if p.hasAddress(a) {
				return true
			}
		}
	}
	return false
}

func remoteOf(c net.Conn) netip.AddrPort {
	if a, ok := c.RemoteAddr().(*net.TCPAddr); ok {
		p := a.AddrPort()
		return netip.AddrPortFrom(p.Addr().Unmap(), p.Port())
	}
	return netip.AddrPort{}
}

// shake finds out who calls and for what, and hands the connection over.
func (h *Hub) shake(raw net.Conn, from netip.AddrPort) {
	ctx, cancel := context.WithTimeout(context.Background(), handshakeTime)
	defer cancel()
	var ep *Endpoint
	var proto string
	c := tls.Server(raw, &tls.Config{
		MinVersion: tls.VersionTLS13,
		GetConfigForClient: func(hi *tls.ClientHelloInfo) (cfg *tls.Config, err error) {
			ep, proto, cfg, err = h.configFor(hi)
			return cfg, err
		},
	})
	err := c.HandshakeContext(ctx)
	h.mu.Lock()
	delete(h.shaking, raw)
	h.mu.Unlock()
	if err != nil {
		raw.Close()
		h.log.Debug("connection refused", "from", from, "reason", err)
		return
	}
	ep.serveConn(c, proto, from)
}

var (
	errNoCluster = errors.New("no such cluster here")
	errNoProto   = errors.New("no protocol in common")
)

// configFor chooses the cluster by the server name and the purpose by ALPN.
func (h *Hub) configFor(hi *tls.ClientHelloInfo) (*Endpoint, string, *tls.Config, error) {
	var ep *Endpoint
	for hash, e := range *h.endpoints.Load() {
		if hi.ServerName == serverName(hash) {
			ep = e
		}
	}
	if ep == nil || ep.cfg.TLS == nil {
		return nil, "", nil, errNoCluster
	}
	for _, proto := range []string{protoMessages, protoCall, protoJoin} {
		if !slices.Contains(hi.SupportedProtos, proto) {
			continue
		}
		cfg := ep.cfg.TLS.PeerConfig()
		if proto == protoJoin {
			cfg = ep.cfg.TLS.JoinConfig()
		}
		cfg.NextProtos = []string{proto}
		return ep, proto, cfg, nil
	}
	return nil, "", nil, errNoProto
}

// serveConn serves an accepted connection until it ends.
func (ep *Endpoint) serveConn(raw *tls.Conn, proto string, from netip.AddrPort) {
	t := ep.times()
	c := newConn(raw, t.answer)
	defer c.close()
	if !ep.enter(c) {
		return
	}
	defer ep.leave(c)
	var err error
	switch proto {
	case protoJoin:
		err = ep.serveJoin(c, from)
	case protoCall:
		err = ep.servePeer(c, ep.serveCall)
	default:
		err = ep.servePeer(c, ep.serveMessages)
	}
	if err != nil && !ep.isClosed() {
		ep.hub.log.Debug("connection ended", "cluster", ep.clusterID, "proto", proto, "from", from, "reason", err)
	}
}

// servePeer makes sure that a peer calls, and serves it.
func (ep *Endpoint) servePeer(c *conn, serve func(*conn, *peer) error) error {
	t := ep.times()
	who, err := ep.cfg.TLS.NodeOf(c.tls.ConnectionState())
	if err != nil {
		return err
	}
	if err := c.greet(ep.hello(), t.setup); err != nil {
		if v, ok := errors.AsType[*VersionError](err); ok {
			v.Peer = who
			ep.refuseVersion(v)
		}
		return err
	}
	p := (*ep.peers.Load())[who]
	if p == nil {
		c.goodbye(fmt.Sprintf("node %v isn't in the configuration of cluster %s", who, ep.clusterID))
		return fmt.Errorf("node %v: %w", who, ErrUnknownPeer)
	}
	if !ep.claim(c, who) {
		return ErrUnknownPeer
	}
	// The caller waits for this: only now it is welcome.
	if err := c.write(frameAlive, nil, true); err != nil {
		return err
	}
	return serve(c, p)
}

// serveMessages reads messages from a peer's link.
func (ep *Endpoint) serveMessages(c *conn, p *peer) error {
	for {
		// The peer pings five times in a silence.
		patience := max(3*time.Duration(ep.silence.Load()), time.Second)
		t, payload, err := c.read(patience, MaxMessage)
		if err != nil {
			return err
		}
		switch t {
		case frameMessage:
			if !ep.handleMessage(p, payload) {
				return ErrClosed
			}
		case framePing:
			if err := c.write(frameAlive, nil, true); err != nil {
				return err
			}
		default:
			c.goodbye(fmt.Sprintf("frame of type %d among messages", t))
			return fmt.Errorf("%w: type %d among messages", errFrame, t)
		}
	}
}

func (ep *Endpoint) handleMessage(p *peer, payload []byte) bool {
	ep.life.RLock()
	defer ep.life.RUnlock()
	if ep.closed || (*ep.peers.Load())[p.id] != p {
		return false
	}
	ep.cfg.Handler.HandleMessage(p.id, payload)
	return true
}
