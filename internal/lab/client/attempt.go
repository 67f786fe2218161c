package client

import (
	"encoding/json"
	"fmt"
	"io"
	"time"
)

// Clock counts from its start and is never set.
type Clock struct{ start time.Time }

// NewClock starts a clock at zero.
func NewClock() Clock { return Clock{start: time.Now()} }

// Now is the time since the clock's start.
func (c Clock) Now() time.Duration { return time.Since(c.start) }

// Time is the wall-clock time of a reading, for people.
func (c Clock) Time(at time.Duration) time.Time { return c.start.Add(at).Round(0) }

// Attempt is one request of the outside client. Times are of the client's
// clock.
type Attempt struct {
	Seq uint64 `json:"seq"`
	// Sent is when the connection was begun, Done when the reply was complete
	// or the attempt given up.
	Sent time.Duration `json:"sent"`
	Done time.Duration `json:"done"`
	// Node is who answered, by its own header.
	Node string `json:"node,omitempty"`
	// Failed says why there was no good reply; empty means there was one.
	Failed string `json:"failed,omitempty"`
}

// OK reports whether a good reply came.
func (a Attempt) OK() bool { return a.Failed == "" }

// WriteLog writes attempts, one JSON object a line.
func WriteLog(w io.Writer, attempts []Attempt) error {
	enc := json.NewEncoder(w)
	for _, a := range attempts {
		if err := enc.Encode(a); err != nil {
			return fmt.Errorf("write client log at request %d: %w", a.Seq, err)
		}
	}
	return nil
}

// ReadLog reads what WriteLog wrote.
func ReadLog(r io.Reader) ([]Attempt, error) {
	var attempts []Attempt
	for dec := json.NewDecoder(r); ; {
		var a Attempt
		switch err := dec.Decode(&a); {
		case err == io.EOF:
			return attempts, nil
		case err != nil:
			return attempts, fmt.Errorf("read client log after %d requests: %w", len(attempts), err)
		}
		attempts = append(attempts, a)
	}
}
