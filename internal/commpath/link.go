package commpath

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// link sends messages to one peer: one connection, on the best path, made again
// whenever it breaks. The peer sends its own by a link of its own, so nobody has
// to decide which of two connections stays.
type link struct {
	ep *Endpoint
	p  *peer
	q  *queue
	// nudge has an element when the paths changed.
	nudge chan struct{}
	// beat has an element when it may be time for a ping.
	beat chan struct{}
	// cancel ends run, done is closed when it ended.
	cancel context.CancelFunc
	done   chan struct{}

	mu    sync.Mutex
	stats ConnStats
	since time.Duration
	// told is the kind of failure that was reported last, so that each is once.
	told string
}

// ConnStats describes the TCP connection by which messages go to a peer.
type ConnStats struct {
	Peer      cluster.NodeID
	Connected bool
	// Network is the path in use; Since for how long it has been connected, or
	// hasn't.
	Network string
	Since   time.Duration
	// Protocol and Build are what the peer said in its hello.
	Protocol int
	Build    string
	// Connects counts connections made, Failure says why there is none.
	Connects uint64
	Failure  string
	// Waiting messages and bytes; Sent ones were given to the system, Refused
	// ones found the queue full, Stale ones waited for too long, Lost ones were
	// cut off by a broken connection.
	Waiting                    int
	WaitingBytes               int
	Sent, Refused, Stale, Lost uint64
}

func newLink(ep *Endpoint, p *peer) *link {
	l := &link{ep: ep, p: p, q: newQueue(), nudge: make(chan struct{}, 1), beat: make(chan struct{}, 1), done: make(chan struct{})}
	l.stats.Peer = p.id
	l.since = ep.hub.clock().Mono
	ctx, cancel := context.WithCancel(context.Background())
	l.cancel = cancel
	go func() {
		defer close(l.done)
		l.run(ctx)
	}()
	return l
}

func (l *link) stop() {
	l.cancel()
	<-l.done
}

func (l *link) stir() {
	select {
	case l.nudge <- struct{}{}:
	default:
	}
}

// pulse makes it look whether a ping is due. Pings have no timer of their own,
// which would wake the process between heartbeats.
func (l *link) pulse() {
	select {
	case l.beat <- struct{}{}:
	default:
	}
}

// staleAfter is how long a message may wait, in silences: who waits for it has
// asked again by then.
const staleAfter = 2

func (l *link) oldest() time.Duration {
	return l.ep.hub.clock().Mono - staleAfter*time.Duration(l.ep.silence.Load())
}

func (l *link) send(payload []byte) error {
	now := l.ep.hub.clock().Mono
	return l.q.push(payload, now, l.oldest())
}

// run connects, serves the connection until it breaks, and begins again.
func (l *link) run(ctx context.Context) {
	pause := time.Duration(0)
	var next *conn // a connection made while the one before still served
	var on string
	for ctx.Err() == nil {
		c, network := next, on
		next = nil
		if c == nil {
			var err error
			if c, network, err = l.connect(ctx); err != nil {
				l.failed(err)
				pause = l.pauseAfter(pause, err)
				l.rest(ctx, pause)
				continue
			}
		}
		began := time.Now()
		l.connected(c, network)
		var err error
		next, on, err = l.serve(ctx, c, network)
		c.close()
		if next == nil {
			l.disconnected(ctx, network, err)
		}
		if time.Since(began) > l.ep.times().silence {
			pause = 0
		}
		if next == nil && ctx.Err() == nil && !errors.Is(err, errMove) {
			pause = l.pauseAfter(pause, err)
			l.rest(ctx, pause)
		}
	}
	if next != nil {
		next.close()
	}
}

// pauseAfter grows the pause between two tries: from a tenth of the longest.
func (l *link) pauseAfter(pause time.Duration, err error) time.Duration {
	most := l.ep.times().backoff
	if _, version := errors.AsType[*VersionError](err); version {
		return max(most, time.Second) // until somebody upgrades
	}
	return min(max(2*pause, most/10), most)
}

// rest pauses, unless the paths change.
func (l *link) rest(ctx context.Context, pause time.Duration) {
	t := time.NewTimer(pause)
	defer t.Stop()
	select {
	case <-ctx.Done():
	case <-t.C:
	case <-l.nudge:
		// A path came or went, but not more often than the least pause.
		select {
		case <-ctx.Done():
		case <-time.After(min(pause, l.ep.times().backoff/10)):
		}
	}
}

// connect tries the paths, the best first.
func (l *link) connect(ctx context.Context) (*conn, string, error) {
	var failures []error
	for _, r := range l.p.routes(l.ep.hub.clock().Mono) {
		c, err := l.ep.dial(ctx, l.p.id, r, protoMessages)
		if err == nil {
			return c, r.network, nil
		}
		if ctx.Err() != nil {
			return nil, "", ctx.Err()
		}
		failures = append(failures, fmt.Errorf("%s: %w", r.network, err))
		l.p.penalise(r.network, l.ep.hub.clock().Mono+4*l.ep.times().silence)
	}
	if failures == nil {
		return nil, "", errPathGone
	}
	return nil, "", errors.Join(failures...)
}

// errMove says that a connection was given up for a better path.
var errMove = errors.New("another path is better")

// serve sends what waits. It returns when the connection broke or its path is
// dead, or with the connection that takes its place.
func (l *link) serve(ctx context.Context, c *conn, network string) (*conn, string, error) {
	listener := startListener(c, l.ep.times().silence)
	defer func() {
		c.close()
		<-listener.done
	}()
	t := l.ep.times()
	p := pings{last: time.Now()}
	// What waits may have been announced to the connection before.
	if err := l.drain(c); err != nil {
		return nil, "", err
	}
	for {
		select {
		case <-ctx.Done():
			c.goodbye("stopped")
			return nil, "", ctx.Err()
		case <-listener.done:
			return nil, "", listener.err
		case <-l.q.ready:
			if err := l.drain(c); err != nil {
				return nil, "", err
			}
			continue
		case <-l.beat:
			if now := l.ep.times(); now != t {
				t, c.patience = now, now.answer
			}
			if !p.due(t) {
				continue
			}
			if err := p.tick(c, listener, t); err != nil {
				l.p.penalise(network, l.ep.hub.clock().Mono+4*t.silence)
				return nil, "", err
			}
		case <-l.nudge:
		}
		best, move, atOnce := better(l.p.routes(l.ep.hub.clock().Mono), network, 5*t.silence)
		if !move {
			continue
		}
		if atOnce {
			return nil, "", errMove
		}
		if next, err := l.ep.dial(ctx, l.p.id, best, protoMessages); err == nil {
			return next, best.network, errMove
		}
		l.p.penalise(best.network, l.ep.hub.clock().Mono+10*t.silence)
	}
}

// drain writes all that waits.
func (l *link) drain(c *conn) error {
	for {
		payload, ok := l.q.pop(l.oldest())
		if !ok {
			return nil
		}
		if err := c.write(frameMessage, payload, l.q.empty()); err != nil {
			l.count(func(s *ConnStats) { s.Lost++ })
			return fmt.Errorf("write: %w", err)
		}
		l.count(func(s *ConnStats) { s.Sent++ })
	}
}

func (l *link) count(f func(*ConnStats)) {
	l.mu.Lock()
	defer l.mu.Unlock()
	f(&l.stats)
}

func (l *link) connected(c *conn, network string) {
	l.mu.Lock()
	s := &l.stats
	change := !s.Connected || s.Network != network
	s.Connected, s.Network, s.Failure = true, network, ""
	s.Protocol, s.Build = c.version, c.peer.Build
	s.Connects++
	l.since, l.told = l.ep.hub.clock().Mono, ""
	l.mu.Unlock()
	if change {
		l.ep.tell(ConnectionChanged{Peer: l.p.id, Network: network, Connected: true})
	}
}

func (l *link) disconnected(ctx context.Context, network string, err error) {
	l.mu.Lock()
	l.stats.Connected, l.stats.Failure = false, fmt.Sprint(err)
	l.since = l.ep.hub.clock().Mono
	l.mu.Unlock()
	if ctx.Err() == nil && !errors.Is(err, errMove) {
		l.ep.tell(ConnectionChanged{Peer: l.p.id, Network: network, Err: err})
	}
}

// failed reports why there is no connection, each reason once.
func (l *link) failed(err error) {
	v, version := errors.AsType[*VersionError](err)
	kind := "unreachable"
	if version {
		kind = v.Error()
	}
	l.mu.Lock()
	news := l.told != kind
	l.told, l.stats.Failure = kind, err.Error()
	l.mu.Unlock()
	switch {
	case news && version:
		l.ep.tell(VersionMismatch{v})
	case news:
		l.ep.tell(ConnectionChanged{Peer: l.p.id, Err: err})
	}
}

func (l *link) read() ConnStats {
	l.mu.Lock()
	s := l.stats
	s.Since = l.ep.hub.clock().Mono - l.since
	l.mu.Unlock()
	l.q.mu.Lock()
	defer l.q.mu.Unlock()
	s.Waiting, s.WaitingBytes = l.q.n, l.q.bytes
	s.Refused, s.Stale = l.q.refused, l.q.stale
	return s
}

// listener hears the answers to pings on a connection that we made.
type listener struct {
	alive chan struct{} // an answer came
	done  chan struct{}
	err   error // once done is closed
}

func startListener(c *conn, silence time.Duration) *listener {
	x := &listener{alive: make(chan struct{}, 1), done: make(chan struct{})}
	go func() {
		defer close(x.done)
		for {
			// The pings' own deadline is shorter; this bounds the goroutine.
			t, _, err := c.read(10*silence+time.Minute, maxHello)
			if err == nil && t != frameAlive {
				err = fmt.Errorf("frame of type %d instead of an answer", t)
			}
			if err != nil {
				x.err = err
				c.close()
				return
			}
			select {
			case x.alive <- struct{}{}:
			default:
			}
		}
	}()
	return x
}

// pings sends a ping and waits for its answer before the next.
type pings struct {
	last    time.Time // when it was last looked at
	asked   time.Time // zero: none is under way
	written int64     // at that time
}

// slowest is the slowest line, in bytes a second, that isn't taken for dead
// while data is ahead of a ping.
const slowest = 4 << 20

// due reports whether it is time for a ping, at the heartbeat that is nearest.
func (p *pings) due(t times) bool {
	if time.Since(p.last) < t.ping-watchInterval(t.silence)/2 {
		return false
	}
	p.last = time.Now()
	return true
}

func (p *pings) tick(c *conn, x *listener, t times) error {
	select {
	case <-x.alive:
		p.asked = time.Time{}
		p.written = c.bytes()
	default:
	}
	if p.asked.IsZero() {
		p.asked = time.Now()
		return c.write(framePing, nil, true)
	}
	ahead := time.Duration(c.bytes()-p.written) * time.Second / slowest
	if quiet := time.Since(p.asked); quiet > t.answer+ahead {
		return fmt.Errorf("no answer for %v", quiet.Round(time.Millisecond))
	}
	return nil
}
