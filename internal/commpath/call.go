package commpath

import (
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// CallHandler answers a peer's request. ctx ends when the peer gave up or the endpoint closes; the handler must
// return then. An error
// goes to the peer, a message of the catalogue as such.
type CallHandler func(ctx context.Context, from cluster.NodeID, request []byte) ([]byte, error)

const (
	// callTime bounds a call whose context has no deadline.
	callTime = 30 * time.Second
	// longestCall bounds any call at the side that answers.
	longestCall = 10 * time.Minute
)

// mostCalls bounds how many calls are served at once.
const mostCalls = 64

// ErrUnanswered says that a request was sent, and that nobody knows whether it
// was done: the connection ended before the answer.
var ErrUnanswered = errors.New("the request was sent, but its answer never came; it may have been done")

// RemoteError is what the handler at the other end returned.
type RemoteError struct {
	Reason message.Reason // zero: not a message of the catalogue
	Text   string
}

func (e *RemoteError) Error() string {
	if e.Reason.IsZero() {
		return e.Text
	}
	return e.Reason.String()
}

// Unwrap lets errors.As find the message.
func (e *RemoteError) Unwrap() error {
	if e.Reason.IsZero() {
		return nil
	}
	return e.Reason.Err()
}

// failure is the payload of frameFailure, as JSON.
type failure struct {
	Reason message.Reason `json:"reason,omitzero"`
	Text   string         `json:"text"`
}

func encodeFailure(err error) []byte {
	f := failure{Text: err.Error()}
	if m, ok := message.From(err); ok {
		f.Reason = m.Reason()
	}
	b, jerr := json.Marshal(f)
	if jerr != nil || len(b) > MaxJoin {
		b = []byte(`{"text":"the error is too long to be sent"}`)
	}
	return b
}

func decodeFailure(b []byte) error {
	var f failure
	if err := json.Unmarshal(b, &f); err != nil {
		return fmt.Errorf("read the other side's error: %w", err)
	}
	return &RemoteError{Reason: f.Reason, Text: words([]byte(f.Text))}
}

// SetCallHandler sets who answers requests of peers. Without one they are
// refused.
func (ep *Endpoint) SetCallHandler(h CallHandler) { ep.onCall.Store(&h) }

// Call sends a request of at most [MaxMessage] bytes to a peer and waits for the
// answer, on the best path that can be connected. A failure after the request
// was sent wraps [ErrUnanswered].
func (ep *Endpoint) Call(ctx context.Context, to cluster.NodeID, request []byte) ([]byte, error) {
	if len(request) > MaxMessage {
		return nil, fmt.Errorf("request of %d bytes to node %v: %w", len(request), to, ErrTooLarge)
	}
	p := (*ep.peers.Load())[to]
	if p == nil {
		return nil, fmt.Errorf("request to node %v: %w", to, ErrUnknownPeer)
	}
	if _, bounded := ctx.Deadline(); !bounded {
		var cancel context.CancelFunc
		ctx, cancel = context.WithTimeout(ctx, callTime)
		defer cancel()
	}
	var failures []error
	for _, r := range p.routes(ep.hub.clock().Mono) {
		c, err := ep.dial(ctx, to, r, protoCall)
		if err != nil {
			failures = append(failures, fmt.Errorf("%s: %w", r.network, err))
			continue
		}
		if !ep.enter(c) {
			c.close()
			return nil, ErrClosed
		}
		answer, err := ask(ctx, c, request, MaxMessage, ep.callPatience())
		ep.leave(c)
		return answer, err
	}
	return nil, message.New(message.PathSilent, to).Wrap(errors.Join(failures...))
}

// callPatience is how long the answering side may be silent: it says that it is
// alive five times in that.
func (ep *Endpoint) callPatience() time.Duration {
	return max(time.Duration(ep.silence.Load()), time.Second)
}

// ask sends a request and reads the answer, and closes the connection.
func ask(ctx context.Context, c *conn, request []byte, limit int, patience time.Duration) ([]byte, error) {
	defer context.AfterFunc(ctx, c.close)()
	defer c.close()
	if err := c.write(frameRequest, request, true); err != nil {
		return nil, unanswered(ctx, err)
	}
	for {
		t, payload, err := c.read(patience, limit)
		switch {
		case err != nil:
			return nil, unanswered(ctx, err)
		case t == frameAlive:
		case t == frameResponse:
			return payload, nil
		case t == frameFailure:
			return nil, decodeFailure(payload)
		default:
			return nil, unanswered(ctx, fmt.Errorf("%w: type %d instead of an answer", errFrame, t))
		}
	}
}

func unanswered(ctx context.Context, err error) error {
	if ctx.Err() != nil {
		err = ctx.Err()
	}
	return fmt.Errorf("%w: %w", ErrUnanswered, err)
}

// serveCall answers one request of a peer.
func (ep *Endpoint) serveCall(c *conn, p *peer) error {
	return ep.answer(c, MaxMessage, ep.times(), func(ctx context.Context, request []byte) ([]byte, error) {
		h := ep.onCall.Load()
		if h == nil || *h == nil {
			return nil, errors.New("this node takes no requests")
		}
		select {
		case ep.calls <- struct{}{}:
			defer func() { <-ep.calls }()
		default:
			return nil, errors.New("this node has too many requests at once; try again")
		}
		return (*h)(ctx, p.id, request)
	})
}

// answer reads a request, runs the handler, and says that we are alive while it
// takes time.
func (ep *Endpoint) answer(c *conn, limit int, t times, handle func(context.Context, []byte) ([]byte, error)) error {
	ft, request, err := c.read(t.setup, limit)
	if err != nil {
		return err
	}
	if ft != frameRequest {
		return fmt.Errorf("%w: type %d instead of a request", errFrame, ft)
	}
	ctx, cancel := context.WithTimeout(context.Background(), longestCall)
	defer cancel()
	// Nothing more comes from the caller; the end of the connection does when it
	// gives up, or when the endpoint closes.
	gone := make(chan struct{})
	go func() {
		defer close(gone)
		c.read(longestCall, 0) // whatever it says ends the call
		cancel()
	}()
	defer func() {
		c.close()
		<-gone
	}()
	type result struct {
		response []byte
		err      error
	}
	results := make(chan result, 1)
	go func() {
		r, err := handle(ctx, request)
		results <- result{r, err}
	}()
	alive := time.NewTicker(max(t.ping, 10*time.Millisecond))
	defer alive.Stop()
	for {
		select {
		case r := <-results:
			if r.err == nil && len(r.response) > limit {
				r.err = fmt.Errorf("answer of %d bytes: %w", len(r.response), ErrTooLarge)
			}
			if r.err != nil {
				return c.write(frameFailure, encodeFailure(r.err), true)
			}
			return c.write(frameResponse, r.response, true)
		case <-alive.C:
			if err := c.write(frameAlive, nil, true); err != nil {
				cancel()
				<-results // the handler has been told to stop
				return err
			}
		}
	}
}
