package tinyguest

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"sync"
)

// Request is a question to the guest; which members count depends on Do.
type Request struct {
	ID uint64
	// Do is "clocks", "rtc", "net", "carrier", "gate", "arm", "feed", "touch",
	// "fill", "log", "panic", "reset", "off", "exists".
	Do string
	// Device is a network card, a watchdog or a block device.
	Device string
	// Address of "net" (with prefix length) and of "gate".
	Address string
	// Millis is a time-out: of the gate, of a watchdog.
	Millis int64
	// Seed is what "touch" writes and expects.
	Seed  byte
	Write bool
}

// Answer is the guest's.
type Answer struct {
	ID    uint64
	Error string
	// Boottime, Monotonic, Realtime are the guest's clocks in ns.
	Boottime, Monotonic, Realtime int64
	// RTC is the clock on the board, in s since 1970: "rtc".
	RTC int64
	// Yes answers "carrier", "exists".
	Yes  bool
	Text string
}

// Conn asks a guest over its control stream.
type Conn struct {
	stream io.ReadWriteCloser

	writing sync.Mutex

	mu     sync.Mutex
	lastID uint64
	asked  map[uint64]chan Answer
	err    error
	// up is closed when the guest has said that it is up.
	up   chan struct{}
	done chan struct{}
}

// errEnded: the control stream ended without an error of its own.
var errEnded = errors.New("the guest's control stream has ended")

// NewConn reads the stream from now on, until it ends.
func NewConn(stream io.ReadWriteCloser) *Conn {
	c := &Conn{stream: stream, asked: make(map[uint64]chan Answer), up: make(chan struct{}), done: make(chan struct{})}
	go c.read()
	return c
}

func (c *Conn) read() {
	defer close(c.done)
	lines := bufio.NewScanner(c.stream)
	up := false
	for lines.Scan() {
		var a Answer
		if json.Unmarshal(lines.Bytes(), &a) != nil {
			continue // the echo of a terminal, or the rest of a line
		}
		if a.ID == 0 {
			if !up {
				up = true
				close(c.up)
			}
			continue
		}
		c.mu.Lock()
		if reply, ok := c.asked[a.ID]; ok {
			delete(c.asked, a.ID)
			reply <- a
		}
		c.mu.Unlock()
	}
	c.mu.Lock()
	defer c.mu.Unlock()
	c.err = errEnded
	if err := lines.Err(); err != nil {
		c.err = err
	}
}

// Up waits until the guest says that it is up.
func (c *Conn) Up(ctx context.Context) error {
	select {
	case <-c.up:
		return nil
	case <-ctx.Done():
		return fmt.Errorf("wait for the guest: %w", context.Cause(ctx))
	case <-c.done:
		return fmt.Errorf("wait for the guest: %w", c.err)
	}
}

// Ask asks and waits for the answer.
func (c *Conn) Ask(ctx context.Context, q Request) (Answer, error) {
	reply := make(chan Answer, 1)
	c.mu.Lock()
	c.lastID++
	q.ID = c.lastID
	c.asked[q.ID] = reply
	c.mu.Unlock()
	text, err := json.Marshal(q)
	if err != nil {
		return Answer{}, err
	}
	c.writing.Lock()
	_, err = c.stream.Write(append(text, '\n'))
	c.writing.Unlock()
	if err != nil {
		return Answer{}, fmt.Errorf("ask the guest %s: %w", q.Do, err)
	}
	select {
	case a := <-reply:
		if a.Error != "" {
			return a, fmt.Errorf("guest: %s: %s", q.Do, a.Error)
		}
		return a, nil
	case <-ctx.Done():
		return Answer{}, fmt.Errorf("ask the guest %s: %w", q.Do, context.Cause(ctx))
	case <-c.done:
		return Answer{}, fmt.Errorf("ask the guest %s: %w", q.Do, c.err)
	}
}

// Close ends the stream and waits for the reader.
func (c *Conn) Close() {
	c.stream.Close()
	<-c.done
}
