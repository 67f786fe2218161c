package guardian

import (
	"context"
	"errors"
	"fmt"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/fence"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

// Time-outs of acts on processes. What takes longer is not known to be done; the
// machine tries again.
const (
	freezeTimeout = time.Second
	killTimeout   = 3 * time.Second
)

func (s *server) do(e guard.Effect) {
	switch e := e.(type) {
	case guard.OpenGate:
		s.open(e)
	case guard.CloseGate:
		s.gateDone(s.gate.Close())
	case guard.UnprotectGate:
		s.gateDone(s.gate.Unprotect(e.Addresses...))
	case guard.FreezeCgroups:
		s.perform(e.Hierarchy, freezeTimeout, func(ctx context.Context) guard.Event {
			err := s.procs.freeze(ctx, e.Hierarchy, e.Cgroups, true)
			return guard.Frozen{Hierarchy: e.Hierarchy, Attempt: e.Attempt, Failed: failed(message.FreezeFailed, e.Hierarchy, err)}
		})
	case guard.ThawCgroups:
		s.perform(e.Hierarchy, freezeTimeout, func(ctx context.Context) guard.Event {
			err := s.procs.freeze(ctx, e.Hierarchy, e.Cgroups, false)
			return guard.Thawed{Hierarchy: e.Hierarchy, Attempt: e.Attempt, Failed: failed(message.ThawFailed, e.Hierarchy, err)}
		})
	case guard.KillHierarchy:
		s.perform(e.Hierarchy, killTimeout, func(ctx context.Context) guard.Event {
			err := s.procs.kill(ctx, e.Hierarchy, e.Cgroups)
			for _, a := range e.Addresses {
				err = errors.Join(err, s.procs.removeAddress(a))
			}
			return guard.Killed{Hierarchy: e.Hierarchy, Attempt: e.Attempt, Failed: failed(message.KillFailed, e.Hierarchy, err)}
		})
	case guard.ArmWatchdog, guard.FeedWatchdog, guard.DisarmWatchdog:
		s.watchdog(e)
	case guard.HaltMachine:
		if err := s.halt(e.PowerOff); err != nil {
			s.tell(guard.Notice{Kind: guard.NoticeTrouble, Reason: cluster.Because(message.QuorumLossFailed, err)})
		}
	case guard.StartDaemon:
		s.start()
	case guard.TellDaemon:
		s.tell(e.Notice)
	case guard.HandOver:
		s.saved.keep(e.State, s.log)
	case guard.Exit:
		s.exit = &e
	}
}

func failed(code, hierarchy string, err error) cluster.Reason {
	if err == nil {
		return cluster.Reason{}
	}
	return cluster.Because(code, hierarchy, err)
}

// open turns the deadline into a time-out. The wall clock is read before the
// other, so that it is never later than the deadline.
func (s *server) open(e guard.OpenGate) {
	if e.Forever {
		s.gateDone(s.gate.Open(e.Addresses, fence.Window{Forever: true}))
		return
	}
	wall := time.Now()
	left := e.Until - clock.Now().Boot
	if left <= 0 {
		s.gateDone(s.gate.Close())
		return
	}
	s.gateDone(s.gate.Open(e.Addresses, fence.Window{Timeout: left, Wall: wall.Add(left)}))
}

// gateDone tells the machine what it must know of an act on the gate.
func (s *server) gateDone(err error) {
	switch {
	case errors.Is(err, fence.ErrRebuilt):
		s.gateBad = false
		s.pending = append(s.pending, guard.GateState{Rebuilt: true})
	case err != nil:
		s.gateBad = true
		s.pending = append(s.pending, guard.GateState{Failed: reason(err)})
	case s.gateBad:
		s.gateBad = false
		s.pending = append(s.pending, guard.GateState{})
	}
}

// watchdog does what concerns the device. One that could not be armed is a
// weaker node and not a broken one.
func (s *server) watchdog(e guard.Effect) {
	var err error
	switch e.(type) {
	case guard.ArmWatchdog:
		if err = s.dog.Arm(); err == nil {
			s.dogArmed = true
			s.tell(guard.Notice{Kind: guard.NoticeWatchdog, Reason: cluster.Because(message.WatchdogArmed, s.dog.Device(), s.dog.Timeout())})
		}
	case guard.FeedWatchdog:
		if s.dogArmed {
			err = s.dog.Feed()
		}
	case guard.DisarmWatchdog:
		if s.dogArmed {
			err = s.dog.Disarm()
			s.dogArmed = false
		}
	}
	if err != nil {
		s.tell(guard.Notice{Kind: guard.NoticeTrouble, Reason: reason(err)})
	}
}

// tell logs what the guardian did by itself, and sends it to the daemon.
func (s *server) tell(n guard.Notice) {
	log := s.log.Warn
	switch n.Kind {
	case guard.NoticeFrozen, guard.NoticeKilled, guard.NoticeReset, guard.NoticeWatchdog:
		log = s.log.Info
	}
	log("guardian", "notice", string(n.Kind), "hierarchy", n.Hierarchy, "reason", message.Reason(n.Reason).String())
	s.notify(n)
	if n.Kind == guard.NoticeReset {
		st := s.state()
		for _, r := range s.resets {
			s.reply(r, cluster.Reason{}, &st)
		}
		s.resets = nil
	}
}

// acts are what runs beside the loop, at most one for each hierarchy.
type acts struct {
	running map[string]*act
	group   sync.WaitGroup
}

type act struct {
	cancel context.CancelFunc
	done   chan struct{}
}

// perform runs f beside the loop, after what runs for the same hierarchy was
// told to give up and did.
func (s *server) perform(hierarchy string, timeout time.Duration, f func(context.Context) guard.Event) {
	before := s.acts.running[hierarchy]
	ctx, cancel := context.WithCancel(context.Background())
	a := &act{cancel: cancel, done: make(chan struct{})}
	s.acts.running[hierarchy] = a
	if before != nil {
		before.cancel()
	}
	s.acts.group.Go(func() {
		defer close(a.done)
		defer cancel()
		if before != nil {
			<-before.done
		}
		ctx, stop := context.WithTimeout(ctx, timeout)
		defer stop()
		ev := f(ctx)
		select {
		case s.results <- ev:
		case <-s.quit:
		}
	})
}

func (a *acts) wait() {
	for _, one := range a.running {
		one.cancel()
	}
	a.group.Wait()
}

// errSharedMachine: this guardian has no machine of its own.
var errSharedMachine = errors.New("other nodes run on this machine")

var errNoGroup = fmt.Errorf("no cgroup of this node")
