package guardian

import (
	"fmt"
	"log/slog"
	"math"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/platform/clock"
)

// volumes keeps the volume-server running while the daemon wants one, and tells it
// until when it may serve. It is beside the loop: nothing here may hold that up.
type volumes struct {
	c       Config
	spawner *spawner
	log     *slog.Logger

	mu       sync.Mutex
	wanted   bool
	stopping bool
	child    child
	again    *time.Timer // the next start
	crashes  int
	until    time.Duration
	changed  chan struct{} // until was changed; the present child's
	group    sync.WaitGroup
}

// volumesGroup is the cgroup of the volume-server.
const volumesGroup = "volumes"

// The pauses between restarts are as the daemon's.
const (
	volumesSteady = 10 * time.Second
	volumesFirst  = 100 * time.Millisecond
	volumesLast   = 5 * time.Second
)

func newVolumes(c Config, s *spawner) *volumes { return &volumes{c: c, spawner: s, log: c.Log} }

// want starts the volume-server, or ends it in order.
func (v *volumes) want(on bool) error {
	v.mu.Lock()
	defer v.mu.Unlock()
	if on && len(v.c.VolumeServer) == 0 {
		return fmt.Errorf("this guardian knows no volume-server")
	}
	v.wanted = on
	switch {
	case on && v.child == nil && v.again == nil:
		v.start()
	case !on && v.child != nil:
		return v.child.terminate()
	}
	return nil
}

// start is called with the lock.
func (v *volumes) start() {
	v.again = nil
	if !v.wanted || v.stopping {
		return
	}
	began := time.Now()
	c, l, err := v.spawner.spawn(v.c, v.c.VolumeServer, volumesGroup)
	if err != nil {
		v.log.Error("the volume-server can't be started", "error", err)
		v.later(0)
		return
	}
	v.child = c
	changed := make(chan struct{}, 1)
	changed <- struct{}{}
	v.changed = changed
	ended := make(chan struct{})
	v.group.Go(func() { v.feed(l, changed, ended) })
	v.group.Go(func() {
		how := <-c.status()
		close(ended)
		_ = l.Close()
		v.mu.Lock()
		defer v.mu.Unlock()
		v.child, v.changed = nil, nil
		if v.stopping || !v.wanted {
			return
		}
		ran := time.Since(began)
		v.log.Warn("the volume-server ended and is started again", "status", how, "ran", ran)
		v.later(ran)
	})
}

// later starts the next one: at once after a steady run, else after a pause that
// doubles. It is called with the lock.
func (v *volumes) later(ran time.Duration) {
	if ran >= volumesSteady {
		v.crashes = 0
	}
	pause := time.Duration(0)
	if v.crashes > 0 {
		pause = min(volumesFirst<<min(v.crashes-1, 10), volumesLast)
	}
	v.crashes++
	v.again = time.AfterFunc(pause, func() {
		v.mu.Lock()
		defer v.mu.Unlock()
		if v.again != nil {
			v.start()
		}
	})
}

// lease says until which BOOTTIME volumes may be used; 0: not at all.
func (v *volumes) lease(until time.Duration) {
	v.mu.Lock()
	defer v.mu.Unlock()
	if v.until == until {
		return
	}
	v.until = until
	if v.changed != nil {
		select {
		case v.changed <- struct{}{}:
		default: // it will read the newest
		}
	}
}

// feed tells one volume-server the newest deadline. One that doesn't read serves
// until the last deadline that it knows.
func (v *volumes) feed(l link, changed, ended <-chan struct{}) {
	for {
		select {
		case <-changed:
		case <-ended:
			return
		}
		v.mu.Lock()
		until := v.until
		v.mu.Unlock()
		b, err := packet{kind: kindLease, Until: until}.encode()
		if err == nil {
			err = l.Send(b)
		}
		if err != nil {
			v.log.Warn("the volume-server can't be told of the lease", "error", err)
		}
	}
}

// close ends the volume-server in order and waits for it, at most for the time
// that a daemon has.
func (v *volumes) close() {
	v.mu.Lock()
	v.stopping = true
	if v.again != nil {
		v.again.Stop()
		v.again = nil
	}
	c := v.child
	if c != nil {
		_ = c.terminate()
	}
	v.mu.Unlock()
	if c != nil {
		limit := time.AfterFunc(v.c.StopTimeout, func() { _ = c.kill() })
		defer limit.Stop()
	}
	v.group.Wait()
}

// serveUntil is the deadline for volumes, from the machine's state.
func (s *server) serveUntil() time.Duration {
	switch until, open := s.m.Serving(clock.Now()); {
	case !open:
		return 0
	case until == 0:
		return math.MaxInt64
	default:
		return until
	}
}

// Lease is a volume-server's side of its connection to the guardian.
type Lease struct{ link link }

// Next waits for the next deadline by BOOTTIME: 0 means that volumes may not be
// used, [math.MaxInt64] that nothing ends it. An error: the guardian is gone, or
// Close was called.
func (l *Lease) Next() (time.Duration, error) {
	for {
		b, err := l.link.Receive()
		if err != nil {
			return 0, err
		}
		p, err := decode(b)
		if err != nil {
			return 0, err
		}
		if p.kind == kindLease {
			return p.Until, nil
		}
	}
}

// Close ends the connection.
func (l *Lease) Close() error { return l.link.Close() }
