package kit

import (
	"context"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Health is what a check found, in the cluster's words: in service, in service
// but degraded, out of service, failed or unknown. Every one but in service has
// its reason.
type Health struct {
	Status cluster.Status
	Reason cluster.Reason
}

// Healthy is in service with nothing to say.
var Healthy = Health{Status: cluster.InService}

// Because is a health with its reason.
func Because(status cluster.Status, code string, args ...any) Health {
	return Health{status, cluster.Reason(message.NewReason(code, args...))}
}

// BecauseOf is a health whose reason is an error.
func BecauseOf(status cluster.Status, err error) Health {
	return Health{status, ReasonOf(err)}
}

// ReasonOf is an error in the form that is stored and sent. An error that is
// not of the catalogue keeps its words.
func ReasonOf(err error) cluster.Reason {
	if e, ok := message.From(err); ok {
		return cluster.Reason(e.Reason())
	}
	return cluster.Reason(message.NewReason(message.KitOther, err.Error()))
}

// String is for logs and tests.
func (h Health) String() string {
	if h.Reason.Code == "" {
		return string(h.Status)
	}
	return string(h.Status) + ": " + message.Reason(h.Reason).String()
}

// Event is something that happened to a resource without being asked for.
type Event struct {
	Health Health
	At     time.Time
}

// Feed carries events from a resource to whoever watches it. The zero Feed is
// ready. It is bounded: the oldest events are dropped, because a newer one says
// how things are now.
type Feed struct {
	mu      sync.Mutex
	pending []Event
	wake    chan struct{}
}

// feedMax bounds the events that wait for a slow watcher or for the first one.
const feedMax = 16

// Publish hands an event to the watcher. It never blocks.
func (f *Feed) Publish(h Health) {
	f.mu.Lock()
	defer f.mu.Unlock()
	if len(f.pending) == feedMax {
		f.pending = append(f.pending[:0], f.pending[1:]...)
	}
	f.pending = append(f.pending, Event{Health: h, At: time.Now()})
	if f.wake != nil {
		close(f.wake)
		f.wake = nil
	}
}

// Clear forgets what nobody has seen yet: it is about an earlier time in
// service.
func (f *Feed) Clear() {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.pending = nil
}

// Watch reports events until the context ends. One watcher at a time sees each
// event.
func (f *Feed) Watch(ctx context.Context, report func(Event)) error {
	for {
		events, wake := f.take()
		for _, e := range events {
			report(e)
		}
		if len(events) > 0 {
			continue
		}
		select {
		case <-ctx.Done():
			return ctx.Err()
		case <-wake:
		}
	}
}

func (f *Feed) take() ([]Event, <-chan struct{}) {
	f.mu.Lock()
	defer f.mu.Unlock()
	events := f.pending
	f.pending = nil
	if len(events) == 0 && f.wake == nil {
		f.wake = make(chan struct{})
	}
	return events, f.wake
}
