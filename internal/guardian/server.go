package guardian

import (
	"context"
	"crypto/rand"
	"encoding/hex"
	"errors"
	"log/slog"
	"sync"
	"sync/atomic"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/fence"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/clock"
	"github.com/perdure-ha/perdure/internal/platform/timer"
)

// server is the guardian without its process: one goroutine that owns the
// machine, the gate and the watchdog.
type server struct {
	m     *guard.Machine
	gate  fence.Gate
	dog   fence.Watchdog // nil: none
	procs processes
	log   *slog.Logger
	info  State // what doesn't change
	saved *saved

	requests chan request
	results  chan guard.Event
	quit     chan struct{} // closed when the loop ends
	acts     acts

	conn     *conn  // the daemon's, or nil
	newest   uint64 // serial of the last daemon's connection
	serials  atomic.Uint64
	resets   []request
	pending  []guard.Event
	gateBad  bool
	dogArmed bool
	start    func() // starts the daemon
	volumes  *volumes
	halt     func(off bool) error
	exit     *guard.Exit
}

// request is an event from outside the loop, with the connection and packet that
// it came in if it is a daemon's.
type request struct {
	ev   guard.Event
	conn *conn
	id   uint64
	// volumes: whether the daemon wants a volume-server.
	volumes *bool
	// closed: the connection has ended.
	closed bool
}

// requestsMax bounds what waits for the loop. A daemon that sends more waits.
const requestsMax = 64

// checkEvery is how often the gate is compared with what it should be. Renewals
// notice sooner when a whole table is gone.
const checkEvery = 2 * time.Second

func newSession() string {
	var b [16]byte
	_, _ = rand.Read(b[:]) // never fails, see crypto/rand
	return hex.EncodeToString(b[:])
}

func newServer(c guard.Config, gate fence.Gate, dog fence.Watchdog, procs processes, log *slog.Logger) *server {
	if dog != nil {
		c.Watchdog = dog.Timeout()
	}
	return &server{
		m: guard.New(clock.Now(), c), gate: gate, dog: dog, procs: procs, log: log,
		info:     State{Gate: gate.Describe().Name},
		requests: make(chan request, requestsMax),
		results:  make(chan guard.Event),
		quit:     make(chan struct{}),
		acts:     acts{running: make(map[string]*act)},
		start:    func() {},
		halt:     func(bool) error { return errSharedMachine },
	}
}

// loop runs until the machine says that the guardian may end.
func (s *server) loop() guard.Exit {
	defer s.close()
	wake := timer.New()
	defer wake.Close()
	check := time.NewTicker(checkEvery)
	defer check.Stop()
	s.step(guard.Tick{})
	for s.exit == nil {
		wake.Set(s.m.Next())
		select {
		case r := <-s.requests:
			s.take(r)
		case ev := <-s.results:
			s.step(ev)
		case <-wake.C():
			s.step(guard.Tick{})
		case <-check.C:
			s.gateDone(s.gate.Check())
			s.step(guard.Tick{})
		}
	}
	return *s.exit
}

func (s *server) close() {
	close(s.quit)
	s.acts.wait()
	if s.conn != nil {
		s.conn.close()
	}
}

// take handles one request of the daemon, or of the process around the loop.
func (s *server) take(r request) {
	switch {
	case r.closed:
		if s.conn == r.conn {
			s.conn = nil
		}
	case r.conn != nil && r.conn.serial < s.newest: // a daemon that was replaced
	case r.conn == nil:
		s.step(r.ev)
	default:
		s.conn, s.newest = r.conn, r.conn.serial
		s.serve(r)
	}
}

// serve answers one request of the daemon.
func (s *server) serve(r request) {
	if g, ok := r.ev.(guard.Guard); ok {
		if err := s.procs.prepare(g.Hierarchy, g.Cgroups); err != nil {
			s.reply(r, cluster.Because(message.GuardianWeaker, "cgroups", err), nil)
			return
		}
	}
	refused := s.step(r.ev)
	if r.volumes != nil && refused.Code == "" && s.volumes != nil {
		if err := s.volumes.want(*r.volumes); err != nil {
			refused = cluster.Because(message.DaemonStartFailed, err)
		}
	}
	switch {
	case r.id == 0 && refused.Code != "":
		s.notify(guard.Notice{Kind: guard.NoticeTrouble, Reason: refused})
	case r.id == 0:
	default:
		if _, ok := r.ev.(guard.Reset); ok && refused.Code == "" {
			if s.m.Resetting() {
				s.resets = append(s.resets, r) // answered when it is done
				return
			}
		}
		state := s.state()
		s.reply(r, refused, &state)
	}
}

// step hands an event to the machine and does what it says. What the effects
// bring about at once is handed in after it. It returns why the event was
// refused.
func (s *server) step(ev guard.Event) (refused cluster.Reason) {
	refused = s.once(ev)
	// A gate that fails again and again is tried again by the machine's own
	// timer; here only a few times.
	for range 3 {
		if len(s.pending) == 0 {
			break
		}
		next := s.pending
		s.pending = nil
		for _, ev := range next {
			s.once(ev)
		}
	}
	if s.volumes != nil {
		s.volumes.lease(s.serveUntil())
	}
	if _, often := ev.(guard.Renew); !often {
		s.saved.keep(s.m.State(), s.log)
	}
	return refused
}

func (s *server) once(ev guard.Event) (refused cluster.Reason) {
	var opened time.Duration
	for _, e := range s.m.Step(clock.Now(), ev) {
		switch e := e.(type) {
		case guard.Refuse:
			refused = e.Reason
		case guard.ProtectGate:
			if err := s.protect(e); err != nil && refused.Code == "" {
				refused = reason(err)
			}
		case guard.OpenGate:
			if !e.Forever {
				opened = e.Until
			}
			s.do(e)
		default:
			s.do(e)
		}
	}
	if g, ok := ev.(guard.Guard); ok && refused.Code != "" && s.m.Guards(g.Hierarchy, g.Epoch) {
		// The address isn't behind the gate, so the hierarchy may not start.
		s.once(guard.Unguard{Hierarchy: g.Hierarchy})
	}
	// This process may have stood still between the clock and the kernel.
	if opened != 0 && clock.Now().Boot >= opened {
		s.pending = append(s.pending, guard.Tick{})
	}
	return refused
}

func (s *server) protect(e guard.ProtectGate) error {
	for _, a := range e.Addresses {
		if err := s.gate.Protect(a.Addr, a.Device); err != nil {
			s.gateDone(err)
			return err
		}
	}
	return nil
}

func (s *server) state() State {
	st := s.info
	st.State = s.m.State()
	st.WatchdogArmed = s.dogArmed
	if s.dog != nil {
		st.Watchdog = s.dog.Timeout()
	}
	for _, w := range s.gate.Describe().Weaker {
		st.Weaker = append(st.Weaker, reason(w))
	}
	return st
}

func (s *server) reply(r request, refused cluster.Reason, st *State) {
	if r.conn != nil {
		r.conn.send(packet{kind: kindReply, ID: r.id, Reason: refused, State: st}, s.log)
	}
}

func (s *server) notify(n guard.Notice) {
	if s.conn != nil {
		s.conn.send(packet{kind: kindNotice, Notice: &n}, s.log)
	}
}

// submit hands an event in from outside the loop; false: the loop has ended.
func (s *server) submit(r request) bool {
	select {
	case s.requests <- r:
		return true
	case <-s.quit:
		return false
	}
}

// reason turns an error into what can be stored and sent.
func reason(err error) cluster.Reason {
	if err == nil {
		return cluster.Reason{}
	}
	if e, ok := message.From(err); ok {
		return cluster.Because(e.Code(), e.Args()...)
	}
	return cluster.Because(message.GateFailed, "answer", err)
}

// conn is one daemon's connection.
type conn struct {
	link   link
	serial uint64
	once   sync.Once
	done   chan struct{} // the reader has ended
}

// attach reads a daemon's requests until its end.
func (s *server) attach(l link) *conn {
	c := &conn{link: l, serial: s.serials.Add(1), done: make(chan struct{})}
	go func() {
		defer close(c.done)
		defer s.submit(request{conn: c, closed: true})
		for {
			b, err := l.Receive()
			if err != nil {
				return
			}
			p, err := decode(b)
			if err != nil {
				s.log.Warn("the daemon sent what can't be read", "error", err)
				c.send(packet{kind: kindReply, ID: p.ID, Reason: reason(err)}, s.log)
				continue
			}
			r := request{ev: p.event(), conn: c, id: p.ID}
			if p.kind == kindVolumes {
				r.volumes = &p.On
			}
			if !s.submit(r) {
				return
			}
		}
	}()
	return c
}

// send writes to the daemon. One that doesn't read is cut off: it says hello
// again and learns the state.
func (c *conn) send(p packet, log *slog.Logger) {
	b, err := p.encode()
	if err == nil {
		err = c.link.Send(b)
	}
	if err != nil && !errors.Is(err, context.Canceled) {
		log.Warn("the daemon can't be told", "error", err)
		c.close()
	}
}

func (c *conn) close() { c.once.Do(func() { _ = c.link.Close() }) }
