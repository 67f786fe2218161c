package commpath

import (
	"crypto/ecdh"
	"fmt"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// peer is another node as heartbeats know it.
type peer struct {
	id   cluster.NodeID
	self cluster.NodeID
	hash [8]byte // of the cluster

	mu   sync.Mutex
	pair pair
	// ours is our session, out the sealer of what we send in it. seq counts all
	// packets ever sent to this peer; it doesn't start again with a session.
	ours session
	out  *sealer
	seq  uint64

	// theirs is the peer's sessions, in the sealer of the one believed.
	theirs   sessions
	in       *sealer
	twinSeen bool
	retry    time.Duration // when a session that is over is looked at again

	// paths are all that were ever configured, active or not.
	paths []*path
	buf   [MaxPacket]byte // of the packet being sealed
}

func newPeer(self, id cluster.NodeID, clusterID string) *peer {
	return &peer{self: self, id: id, hash: clusterHash(clusterID), pair: pair{clusterID: clusterID}}
}

// setKey gives the peer's static key. Nothing of an earlier key stays, except
// the count of packets.
func (p *peer) setKey(own *ecdh.PrivateKey, public [32]byte, ours session) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	if p.out != nil && p.pair.keys[p.id] == public {
		return nil
	}
	remote, err := ecdh.X25519().NewPublicKey(public[:])
	if err != nil {
		return fmt.Errorf("heartbeat key of node %v: %w", p.id, err)
	}
	secret, err := own.ECDH(remote)
	if err != nil {
		return fmt.Errorf("heartbeat key of node %v: %w", p.id, err)
	}
	next := p.pair
	next.secret = secret
	next.keys = map[cluster.NodeID][32]byte{p.self: [32]byte(own.PublicKey().Bytes()), p.id: public}
	out, err := next.direction(p.self, p.id, ours)
	if err != nil {
		return err
	}
	p.pair, p.ours, p.out = next, ours, out
	p.theirs, p.in, p.twinSeen = sessions{}, nil, false
	for _, pa := range p.paths {
		pa.in = inbound{}
	}
	return nil
}

// renew begins a new session of our own.
func (p *peer) renew(ours session) error {
	p.mu.Lock()
	defer p.mu.Unlock()
	out, err := p.pair.direction(p.self, p.id, ours)
	if err != nil {
		return err
	}
	p.ours, p.out = ours, out
	return nil
}

// find returns the path of a network name, or nil.
func (p *peer) find(network string) *path {
	for _, pa := range p.paths {
		if pa.network == network {
			return pa
		}
	}
	return nil
}

func (p *peer) hasAddress(a netip.Addr) bool {
	p.mu.Lock()
	defer p.mu.Unlock()
	return slices.ContainsFunc(p.paths, func(pa *path) bool { return pa.slot != nil && pa.remote.Addr() == a })
}

func (p *peer) findTag(tag uint32) *path {
	for _, pa := range p.paths {
		if pa.tag == tag {
			return pa
		}
	}
	return nil
}

// send seals a heartbeat and gives it to the path's socket, under the peer's
// lock: a socket never blocks.
func (p *peer) send(pa *path, payload []byte, now time.Duration) error {
	if pa.slot == nil {
		return errPathGone
	}
	p.seq++
	h := header{
		cluster: p.hash, sender: p.self, receiver: p.id, session: p.ours,
		network: pa.tag, seq: p.seq, pathSeq: pa.out.next(now),
	}
	h.put(p.buf[:])
	c := p.body(pa, now)
	c.put(p.buf[headerSize:])
	n := headerSize + bodySize + copy(p.buf[headerSize+bodySize:], payload)
	err := pa.slot.send(p.out.seal(p.buf[:n], h.seq), pa.remote)
	if err != nil {
		pa.sendErrors++
		return err
	}
	pa.sent++
	return nil
}

func (p *peer) body(pa *path, now time.Duration) body {
	t := &p.theirs
	c := body{
		echoSession: t.current, echoSeq: t.seen,
		probeSession: t.candidate, probeSeq: t.candidateSeen,
	}
	if !t.current.isZero() && pa.in.session == t.current {
		c.echoPathSeq = pa.in.win.top
		c.hold = now - pa.in.newestAt
		c.received = uint32(pa.in.received)
		c.lost = uint32(pa.in.lost())
	}
	return c
}

// receive judges a packet for us from this peer. It returns the payload if the
// packet is to be delivered; the payload lies in the packet.
func (p *peer) receive(s *slot, h *header, packet []byte, now, patience time.Duration) ([]byte, arrival) {
	p.mu.Lock()
	defer p.mu.Unlock()
	pa := p.findTag(h.network)
	if pa == nil || pa.slot == nil || pa.slot != s {
		return nil, arrival{drop: dropPath}
	}
	if pa.in.session == h.session && !pa.in.win.fresh(h.pathSeq) {
		return nil, arrival{drop: dropReplay}
	}
	over := p.theirs.isRetired(h.session)
	if over {
		// Whether it is a recording or a twin needs cryptography; a flood of
		// recordings doesn't get it.
		if now < p.retry {
			return nil, arrival{drop: dropSession}
		}
		p.retry = now + 50*time.Millisecond
	}
	in := p.in
	if in == nil || p.theirs.current != h.session {
		var err error
		if in, err = p.pair.direction(p.id, p.self, h.session); err != nil {
			return nil, arrival{drop: dropAuth}
		}
	}
	plain, err := in.open(packet, h.seq)
	if err != nil {
		return nil, arrival{drop: dropAuth}
	}
	var c body
	c.parse(plain)
	answer, fresh := c.answers(p.ours)
	a := arrival{network: pa.network}
	switch p.theirs.judge(h.session, h.seq, fresh, answer, p.seq, now, patience) {
	case twin:
		a.twin = !p.twinSeen
		p.twinSeen = true
		a.drop = dropSession
		return nil, a
	case refused:
		return nil, arrival{drop: dropSession}
	case nominated:
		return nil, arrival{drop: dropUnconfirmed}
	case learned:
		p.hear(pa, h, now)
		return nil, arrival{drop: dropUnconfirmed}
	case adopted:
		p.in, p.twinSeen = in, false
		a.adopted = true
	}
	p.hear(pa, h, now)
	p.confirm(pa, &c, now)
	a.stir = pa.qual.state != StateUp
	return plain[bodySize:], a
}

// arrival says what became of a packet.
type arrival struct {
	drop    dropReason // 0: delivered
	network string
	adopted bool // the peer began a new session
	twin    bool // two processes use the peer's identity; said once
	stir    bool // the path's state may change for the better
}

// hear counts a packet of the session believed.
func (p *peer) hear(pa *path, h *header, now time.Duration) {
	pa.in.begin(h.session, h.pathSeq)
	pa.in.take(h.pathSeq, now)
	pa.received++
}

// confirm takes what a living peer says of our packets.
func (p *peer) confirm(pa *path, c *body, now time.Duration) {
	pa.qual.heard, pa.qual.heardAt = true, now
	if c.echoSession != p.ours || c.echoPathSeq == 0 {
		return // it speaks of an earlier session, or hears nothing on this path
	}
	if rtt, known := pa.out.echo(c.echoPathSeq, c.hold, now); known {
		pa.rtts.add(rtt)
	}
	pa.qual.tell(feedback{received: c.received, lost: c.lost})
}

// configure sets which paths are used now. shared pairs our sockets with the
// peer's addresses.
func (p *peer) configure(shared []sharedPath, now time.Duration) {
	p.mu.Lock()
	defer p.mu.Unlock()
	for _, pa := range p.paths {
		if !slices.ContainsFunc(shared, func(s sharedPath) bool { return s.network == pa.network }) {
			pa.slot = nil
			pa.qual, pa.out.waiting = quality{}, 0
		}
	}
	for _, s := range shared {
		pa := p.find(s.network)
		if pa == nil {
			pa = &path{network: s.network, tag: networkTag(s.network)}
			p.paths = append(p.paths, pa)
		}
		if pa.slot == nil {
			pa.qual = quality{begun: now, since: now}
		}
		pa.slot, pa.remote, pa.priority = s.slot, s.remote, s.priority
	}
}

// sharedPath is a network that both nodes have.
type sharedPath struct {
	network  string
	slot     *slot
	remote   netip.AddrPort
	priority int
}
