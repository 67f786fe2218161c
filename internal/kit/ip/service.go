package ip

import (
	"context"
	"net"
	"slices"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// conflictMemory is how long a conflict counts after it was last seen.
	conflictMemory = 30 * time.Second
	// defendEvery bounds our answers to somebody else's claim, so that two that
	// both believe don't fill the network. RFC 5227 has 10 s for hosts that
	// know nothing; we hold the lease and want the neighbours back sooner.
	defendEvery = time.Second
	// retryEvery is the wait before a broken subscription is made again.
	retryEvery = time.Second
)

// service watches over an address that is in service: one goroutine owns the
// announcements and reacts, two others feed it.
type service struct {
	r     *IP
	again chan struct{}
	stop  context.CancelFunc
	ended chan struct{} // the owning goroutine has ended
	wg    sync.WaitGroup

	mu         sync.Mutex
	at         link
	hush       context.CancelFunc // ends the listening on the present device
	announced  error              // why the last announcement failed
	conflict   net.HardwareAddr
	conflictAt time.Time
}

// serve begins the service on a device. The first announcement is on its way
// when it returns.
func (r *IP) serve(l link) {
	ctx, cancel := context.WithCancel(context.Background())
	s := &service{r: r, again: make(chan struct{}, 1), stop: cancel, ended: make(chan struct{}), at: l}
	r.mu.Lock()
	r.service = s
	r.mu.Unlock()
	s.announce()
	s.wg.Go(func() { s.run(ctx) })
}

// endService ends the present service, if there is one. When it returns
// nothing touches the address any more. The caller calls wait, which is over
// when the sockets are closed too.
func (r *IP) endService() (wait func()) {
	r.mu.Lock()
	s := r.service
	r.service = nil
	r.mu.Unlock()
	if s == nil {
		return func() {}
	}
	s.stop()
	<-s.ended
	return s.wg.Wait
}

func (s *service) device() link {
	s.mu.Lock()
	defer s.mu.Unlock()
	return s.at
}

// announceAgain begins the announcements anew.
func (s *service) announceAgain() {
	select {
	case s.again <- struct{}{}:
	default: // it will anyway
	}
}

func (s *service) announce() {
	l := s.device()
	if !l.Frames {
		return
	}
	err := s.r.net.Send(l, announcement(l, s.r.addr)...)
	s.mu.Lock()
	defer s.mu.Unlock()
	if err != nil && s.announced == nil {
		s.r.in.Log.Warn("announcement failed", "device", l.Name, "err", err)
	}
	s.announced = err
}

// run is the goroutine that owns the service.
func (s *service) run(ctx context.Context) {
	defer close(s.ended)
	changed := make(chan struct{}, 1)
	wake := func() {
		select {
		case changed <- struct{}{}:
		default:
		}
	}
	// A change between the start and the subscription must not be missed: each
	// subscription begins with a look.
	s.wg.Go(func() {
		s.keep(ctx, func() error { return s.r.net.Changes(ctx, wake, wake) })
	})
	claims := make(chan net.HardwareAddr, 8)
	s.wg.Go(func() { s.listen(ctx, claims) })

	next := 1 // the first was sent by serve
	timer := time.NewTimer(announceAt[1] - announceAt[0])
	defer timer.Stop()
	last := kit.Healthy
	var defended time.Time
	restart := func() { next = 0; timer.Reset(0) }
	for ctx.Err() == nil {
		select {
		case <-ctx.Done():
			return
		case <-s.again:
			restart()
		case <-timer.C:
			s.announce()
			if next++; next < len(announceAt) {
				timer.Reset(announceAt[next] - announceAt[next-1])
			}
		case who := <-claims:
			s.remember(who)
			if time.Since(defended) >= defendEvery {
				defended = time.Now()
				restart()
			}
			last = s.publish(last, s.r.look(s))
		case <-changed:
			h := s.r.look(s)
			if !h.Status.Serving() && s.moveAway(ctx) {
				restart()
				h = s.r.look(s)
			}
			if h.Status.Serving() && !last.Status.Serving() {
				restart() // the link is back, perhaps at another switch port
			}
			last = s.publish(last, h)
		}
	}
}

// publish reports a change of health and returns the new one.
func (s *service) publish(last, now kit.Health) kit.Health {
	if now.Status != last.Status || now.Reason.Code != last.Reason.Code {
		s.r.feed.Publish(now)
	}
	return now
}

// moveAway brings the address to a backup device if its own has lost the
// signal, and reports whether it did.
func (s *service) moveAway(ctx context.Context) bool {
	p, links, err := s.r.place()
	if err != nil {
		return false
	}
	from := s.device()
	if slices.ContainsFunc(links, func(l link) bool { return l.Index == from.Index && l.Up && l.Carrier }) {
		return false // somebody removed the address: that is for the planner
	}
	to, err := usableLink(links)
	if err != nil {
		return false
	}
	if err := s.r.net.Delete(ctx, from, p); err != nil {
		s.r.in.Log.Warn("address could not be removed from a device without a signal", "device", from.Name, "err", err)
		return false
	}
	if err := s.r.add(ctx, to, p); err != nil {
		s.r.in.Log.Warn("address could not be moved to a backup device", "device", to.Name, "err", err)
		return false
	}
	s.mu.Lock()
	s.at = to
	if s.hush != nil {
		s.hush() // and listen there
	}
	s.mu.Unlock()
	s.r.in.Log.Info("address was moved to a backup device", "from", from.Name, "to", to.Name)
	return true
}

// remember keeps who else claims the address.
func (s *service) remember(who net.HardwareAddr) {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.conflict, s.conflictAt = who, time.Now()
}

// seen is the health as far as the kernel doesn't know it.
func (s *service) seen() kit.Health {
	s.mu.Lock()
	defer s.mu.Unlock()
	switch {
	case s.conflict != nil && time.Since(s.conflictAt) < conflictMemory:
		return kit.Because(cluster.Degraded, message.AddressContested, s.r.addr, s.conflict.String(), s.at.Name)
	case s.announced != nil:
		return kit.Because(cluster.Degraded, message.FramesRefused, s.at.Name, s.announced.Error())
	}
	if names := s.r.in.Values.List("devices"); len(names) > 0 && s.at.Name != names[0] {
		return kit.Because(cluster.Degraded, message.MovedToBackup, s.r.addr, names[0], s.at.Name)
	}
	return kit.Healthy
}

// listen reports who else claims the address, on whatever device it is.
func (s *service) listen(ctx context.Context, claims chan<- net.HardwareAddr) {
	s.keep(ctx, func() error {
		links, err := s.r.net.Links()
		if err != nil {
			return err
		}
		l, own := s.device(), ours(links)
		if !l.Frames {
			<-ctx.Done()
			return nil
		}
		here, cancel := context.WithCancel(ctx)
		defer cancel()
		s.mu.Lock()
		s.hush = cancel
		s.mu.Unlock()
		return s.r.net.Listen(here, l, s.r.addr.Is4(), func() {}, func(frame []byte) {
			if who := claimant(frame, s.r.addr, own, false); who != nil {
				select {
				case claims <- who:
				default: // enough to know
				}
			}
		})
	})
}

// keep repeats what should last as long as the context.
func (s *service) keep(ctx context.Context, f func() error) {
	for {
		if err := f(); err != nil && ctx.Err() == nil {
			s.r.in.Log.Warn("watching the network was interrupted", "again in", retryEvery, "err", err)
		}
		select {
		case <-ctx.Done():
			return
		case <-time.After(retryEvery):
		}
	}
}
