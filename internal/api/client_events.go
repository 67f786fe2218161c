package api

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"io"
	"net/http"
	"strconv"
	"strings"
	"sync/atomic"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// Event is one message of the event stream.
type Event struct {
	// Entry is a new line of the timeline; nil: something else changed.
	Entry *cluster.Entry
	// Gap reports whether older entries were forgotten before they were sent.
	Gap bool
	// Alive: nothing happened; the stream lives.
	Alive bool
}

// EventsFrom says where a stream of events begins.
type EventsFrom struct {
	// After resumes behind this entry of the timeline.
	After uint64
	// Now begins with the present.
	Now bool
}

// Events calls f for each event until f returns an error, which it returns, or
// the stream ends. Silence of three times the server's interval is an end.
func (c *Client) Events(ctx context.Context, from EventsFrom, f func(Event) error) error {
	ctx, cancel := context.WithCancel(ctx)
	defer cancel()
	path, last := eventsPath, ""
	if from.Now {
		path += "?now=true"
	} else if from.After > 0 {
		last = strconv.FormatUint(from.After, 10)
	}
	res, err := c.send(ctx, http.MethodGet, path, nil, last)
	if err != nil {
		return err
	}
	defer res.Body.Close()
	if res.StatusCode != http.StatusOK {
		b, _ := io.ReadAll(io.LimitReader(res.Body, answerMax))
		return failure(res.StatusCode, b)
	}
	var silent atomic.Bool
	watch := time.AfterFunc(3*aliveEvery, func() { silent.Store(true); cancel() })
	defer watch.Stop()
	err = readEvents(res.Body, func(e Event) error {
		watch.Reset(3 * aliveEvery)
		return f(e)
	})
	var own *callbackError
	switch {
	case errors.As(err, &own):
		return own.err
	case silent.Load():
		return message.New(message.RequestTimeout)
	case ctx.Err() != nil:
		return ctx.Err()
	}
	return message.New(message.StreamEnded)
}

// callbackError tells the caller's own error from those of the stream.
type callbackError struct{ err error }

func (e *callbackError) Error() string { return e.err.Error() }

// eventMax bounds one event (bytes).
const eventMax = 1 << 20

// readEvents reads server-sent events.
// Source: HTML Living Standard, 9.2.6.
func readEvents(r io.Reader, f func(Event) error) error {
	sc := bufio.NewScanner(r)
	sc.Buffer(make([]byte, 0, 4096), eventMax)
	var kind string
	var data strings.Builder
	for sc.Scan() {
		line := sc.Text()
		if line == "" {
			if data.Len() > 0 {
				e, ok := event(kind, data.String())
				if ok {
					if err := f(e); err != nil {
						return &callbackError{err}
					}
				}
			}
			kind = ""
			data.Reset()
			continue
		}
		field, value, _ := strings.Cut(line, ":")
		value = strings.TrimPrefix(value, " ")
		switch field {
		case "event":
			kind = value
		case "data":
			if data.Len()+len(value) > eventMax {
				return bufio.ErrTooLong
			}
			data.WriteString(value)
		}
	}
	return sc.Err()
}

// event makes sense of one; ok is false for kinds of a newer server.
func event(kind, data string) (Event, bool) {
	switch kind {
	case "entry":
		e := new(cluster.Entry)
		if json.Unmarshal([]byte(data), e) != nil {
			return Event{}, false
		}
		return Event{Entry: e}, true
	case "changed":
		return Event{}, true
	case "gap":
		return Event{Gap: true}, true
	case "alive":
		return Event{Alive: true}, true
	}
	return Event{}, false
}
