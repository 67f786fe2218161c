package qmp

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"sync"
	"time"
)

const (
	// maxLine bounds a line of QEMU in bytes. The longest answer seen in the lab
	// (query-qmp-schema) has 0.2 MiB.
	maxLine = 4 << 20
	// patience is the deadline of a command whose context has none.
	patience = 30 * time.Second
)

// ErrClosed is the end of a connection that this side closed.
var ErrClosed = errors.New("the QMP connection was closed")

// Client is a connection to a QEMU.
type Client struct {
	conn    net.Conn
	version Version

	writing sync.Mutex // one line at a time

	mu     sync.Mutex
	lastID uint64
	asked  map[uint64]chan answer // each with room for its one answer
	subs   map[*Subscription]struct{}
	err    error // why it ended

	done chan struct{} // closed when the reader has ended
}

// Dial connects to QEMU's unix socket.
func Dial(ctx context.Context, path string) (*Client, error) {
	conn, err := new(net.Dialer).DialContext(ctx, "unix", path)
	if err != nil {
		return nil, fmt.Errorf("dial QMP: %w", err)
	}
	return New(ctx, conn)
}

// New takes a connection over, hears the greeting and turns the command mode on.
// The connection is closed if that fails.
func New(ctx context.Context, conn net.Conn) (*Client, error) {
	c := &Client{
		conn:  conn,
		asked: make(map[uint64]chan answer),
		subs:  make(map[*Subscription]struct{}),
		done:  make(chan struct{}),
	}
	reader := bufio.NewReaderSize(conn, 64<<10)
	if err := c.greet(ctx, reader); err != nil {
		conn.Close()
		return nil, fmt.Errorf("hear QMP's greeting: %w", err)
	}
	go c.read(reader)
	if err := c.Execute(ctx, "qmp_capabilities", nil, nil); err != nil {
		c.Close()
		return nil, fmt.Errorf("begin QMP: %w", err)
	}
	return c, nil
}

func (c *Client) greet(ctx context.Context, r *bufio.Reader) error {
	ctx, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	stop := context.AfterFunc(ctx, func() { _ = c.conn.SetReadDeadline(time.Unix(1, 0)) })
	text, err := readLine(r)
	if !stop() {
		return context.Cause(ctx)
	}
	if err != nil {
		return err
	}
	l, err := decodeLine(text)
	if err != nil {
		return err
	}
	if l.greeting == nil {
		return fmt.Errorf("it began with %.60q", text)
	}
	c.version = *l.greeting
	return nil
}

// Version is QEMU's.
func (c *Client) Version() Version { return c.version }

// Done is closed when the connection has ended, Err says why.
func (c *Client) Done() <-chan struct{} { return c.done }

// Err is why the connection ended: io.EOF when QEMU ended it, [ErrClosed] after
// Close, nil while it lives.
func (c *Client) Err() error {
	c.mu.Lock()
	defer c.mu.Unlock()
	return c.err
}

// Close ends the connection and waits until nothing of it is left. Whoever waits
// for an answer gets [ErrClosed].
func (c *Client) Close() {
	c.fail(ErrClosed)
	<-c.done
}

// fail ends the connection for a reason; the first reason counts.
func (c *Client) fail(err error) {
	c.mu.Lock()
	if c.err == nil {
		c.err = err
	}
	c.mu.Unlock()
	c.conn.Close()
}

// Execute runs a command. arguments is what becomes its JSON object (nil: none),
// result is where its answer goes (nil: not wanted). A refusal is an [*Error].
func (c *Client) Execute(ctx context.Context, command string, arguments, result any) error {
	ctx, cancel := context.WithTimeout(ctx, c.patience(ctx))
	defer cancel()
	a, err := c.exchange(ctx, command, arguments)
	if err != nil {
		return fmt.Errorf("QMP %s: %w", command, err)
	}
	if a.fault != nil {
		a.fault.Command = command
		return a.fault
	}
	if result == nil {
		return nil
	}
	if err := json.Unmarshal(a.result, result); err != nil {
		return fmt.Errorf("QMP %s: decode the answer: %w", command, err)
	}
	return nil
}

func (c *Client) patience(ctx context.Context) time.Duration {
	if deadline, ok := ctx.Deadline(); ok {
		return time.Until(deadline)
	}
	return patience
}

func (c *Client) exchange(ctx context.Context, command string, arguments any) (answer, error) {
	reply := make(chan answer, 1)
	c.mu.Lock()
	c.lastID++
	id := c.lastID
	c.asked[id] = reply
	c.mu.Unlock()
	defer func() {
		c.mu.Lock()
		delete(c.asked, id)
		c.mu.Unlock()
	}()
	text, err := json.Marshal(struct {
		Execute   string `json:"execute"`
		Arguments any    `json:"arguments,omitempty"`
		ID        uint64 `json:"id"`
	}{command, arguments, id})
	if err != nil {
		return answer{}, err
	}
	if err := c.write(ctx, append(text, '\n')); err != nil {
		return answer{}, err
	}
	select {
	case a := <-reply:
		return a, nil
	case <-ctx.Done():
		return answer{}, context.Cause(ctx)
	case <-c.done:
	}
	select { // it may have come with the last line
	case a := <-reply:
		return a, nil
	default:
		return answer{}, c.Err()
	}
}

// write sends a line. A line sent in part can't be continued by anybody, so an
// error ends the connection.
func (c *Client) write(ctx context.Context, text []byte) error {
	c.writing.Lock()
	defer c.writing.Unlock()
	if err := ctx.Err(); err != nil {
		return err
	}
	deadline, _ := ctx.Deadline()
	_ = c.conn.SetWriteDeadline(deadline)
	if _, err := c.conn.Write(text); err != nil {
		c.fail(err)
		return c.Err()
	}
	return nil
}

// read is the reader goroutine.
func (c *Client) read(r *bufio.Reader) {
	defer close(c.done)
	defer c.endSubscriptions()
	for {
		text, err := readLine(r)
		if err != nil {
			c.fail(err)
			return
		}
		l, err := decodeLine(text)
		if err != nil {
			c.fail(err)
			return
		}
		c.deliver(l)
	}
}

func (c *Client) deliver(l line) {
	c.mu.Lock()
	defer c.mu.Unlock()
	switch {
	case l.event != nil:
		for s := range c.subs {
			s.offer(*l.event)
		}
	case l.answer != nil && l.answer.hasID:
		if reply, ok := c.asked[l.answer.id]; ok {
			delete(c.asked, l.answer.id) // a second answer finds nobody
			reply <- *l.answer
		}
	}
}

// errLongLine: QEMU's line has no end within maxLine.
var errLongLine = errors.New("a line of QMP is too long")

// readLine reads a line without its end. An empty end of the stream is io.EOF, an
// end inside a line io.ErrUnexpectedEOF.
func readLine(r *bufio.Reader) ([]byte, error) {
	var text []byte
	for {
		part, err := r.ReadSlice('\n')
		if len(text)+len(part) > maxLine {
			return nil, errLongLine
		}
		text = append(text, part...)
		switch {
		case err == nil:
			return text, nil
		case errors.Is(err, bufio.ErrBufferFull):
		case errors.Is(err, io.EOF) && len(text) > 0:
			return nil, io.ErrUnexpectedEOF
		default:
			return nil, err
		}
	}
}
