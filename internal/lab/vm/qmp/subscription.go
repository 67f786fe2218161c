package qmp

import (
	"context"
	"slices"
)

// queued is how many events wait for a subscriber. A migration or a mirror makes
// some ten; more come only to a subscriber that doesn't read.
const queued = 256

// Subscription is a queue of events.
type Subscription struct {
	client *Client
	names  []string
	events chan Event
	// lost and ended are under the client's lock.
	lost  int
	ended bool
}

// Subscribe asks for events of these names, or for all. Events from now on are
// kept in a queue of bounded length; what does not fit is dropped and counted.
func (c *Client) Subscribe(names ...string) *Subscription {
	s := &Subscription{client: c, names: names, events: make(chan Event, queued)}
	c.mu.Lock()
	defer c.mu.Unlock()
	if c.err != nil {
		s.end()
		return s
	}
	c.subs[s] = struct{}{}
	return s
}

// Events is the queue. It is closed at the end of the connection, after the last
// event, and by Close.
func (s *Subscription) Events() <-chan Event { return s.events }

// Lost is how many events did not fit.
func (s *Subscription) Lost() int {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	return s.lost
}

// Close ends the subscription.
func (s *Subscription) Close() {
	s.client.mu.Lock()
	defer s.client.mu.Unlock()
	delete(s.client.subs, s)
	s.end()
}

// Wait takes events until one is as wanted.
func (s *Subscription) Wait(ctx context.Context, wanted func(Event) bool) (Event, error) {
	for {
		select {
		case e, ok := <-s.events:
			if !ok {
				if err := s.client.Err(); err != nil {
					return Event{}, err
				}
				return Event{}, ErrClosed
			}
			if wanted(e) {
				return e, nil
			}
		case <-ctx.Done():
			return Event{}, context.Cause(ctx)
		}
	}
}

// offer is called under the client's lock.
func (s *Subscription) offer(e Event) {
	if len(s.names) > 0 && !slices.Contains(s.names, e.Name) {
		return
	}
	select {
	case s.events <- e:
	default:
		s.lost++
	}
}

// end is called under the client's lock.
func (s *Subscription) end() {
	if !s.ended {
		s.ended = true
		close(s.events)
	}
}

func (c *Client) endSubscriptions() {
	c.mu.Lock()
	defer c.mu.Unlock()
	for s := range c.subs {
		s.end()
	}
	clear(c.subs)
}
