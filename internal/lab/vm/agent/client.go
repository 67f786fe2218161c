package agent

import (
	"bufio"
	"bytes"
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"strings"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/fault"
)

// writeWait bounds the wait for a guest to take what is written: one that stands
// still takes nothing.
const writeWait = 5 * time.Second

// ErrEnded says that the control channel ended, with the machine as a rule.
var ErrEnded = errors.New("the control channel has ended")

// Client speaks to the agent of one boot of a machine.
type Client struct {
	name   string
	stream io.ReadWriteCloser

	writing sync.Mutex

	mu      sync.Mutex
	next    uint64
	waiting map[uint64]chan reply
	ended   error
	done    chan struct{}
	// up is closed when the guest has said hello.
	up    chan struct{}
	hello Hello
}

// NewClient takes over the stream. The caller must Close.
func NewClient(name string, stream io.ReadWriteCloser) *Client {
	c := &Client{name: name, stream: stream, waiting: map[uint64]chan reply{}, done: make(chan struct{}), up: make(chan struct{})}
	go c.read()
	return c
}

// Close ends the stream and everything that waits.
func (c *Client) Close() error {
	err := c.stream.Close()
	<-c.done
	return err
}

// read hands replies to those that wait, until the stream ends.
func (c *Client) read() {
	defer close(c.done)
	r := bufio.NewReaderSize(c.stream, 64<<10)
	for {
		var got reply
		err := readLine(r, &got)
		if g := (*garbled)(nil); errors.As(err, &g) {
			continue
		}
		if err != nil {
			c.mu.Lock()
			c.ended = fmt.Errorf("%w: %w", ErrEnded, err)
			for id, ch := range c.waiting {
				close(ch)
				delete(c.waiting, id)
			}
			c.mu.Unlock()
			return
		}
		if got.ID == 0 && got.Hello != nil {
			c.introduce(*got.Hello)
			continue
		}
		c.mu.Lock()
		ch := c.waiting[got.ID]
		if got.Last {
			delete(c.waiting, got.ID)
		}
		c.mu.Unlock()
		if ch != nil {
			ch <- got // whoever asked reads until the last
		}
	}
}

// introduce keeps what the guest says of itself; only the first time counts.
func (c *Client) introduce(h Hello) {
	select {
	case <-c.up:
	default:
		c.hello = h
		close(c.up)
	}
}

func (c *Client) send(q request) error {
	line, err := packLine(q)
	if err != nil {
		return err
	}
	c.writing.Lock()
	defer c.writing.Unlock()
	if w, ok := c.stream.(interface{ SetWriteDeadline(time.Time) error }); ok {
		_ = w.SetWriteDeadline(time.Now().Add(writeWait)) // a stream without deadlines is one of a test
	}
	if _, err := c.stream.Write(line); err != nil {
		return fmt.Errorf("%w: write: %w", ErrEnded, err)
	}
	return nil
}

// call is a request whose replies are awaited.
type call struct {
	*Client
	id      uint64
	replies chan reply
}

func (c *Client) begin(q request) (*call, error) {
	c.mu.Lock()
	if c.ended != nil {
		defer c.mu.Unlock()
		return nil, fmt.Errorf("ask %s to %s: %w", c.name, q.Op, c.ended)
	}
	c.next++
	q.ID = c.next
	k := &call{Client: c, id: q.ID, replies: make(chan reply, 16)}
	c.waiting[q.ID] = k.replies
	c.mu.Unlock()
	if err := c.send(q); err != nil {
		k.abandon()
		return nil, fmt.Errorf("ask %s to %s: %w", c.name, q.Op, err)
	}
	return k, nil
}

// abandon takes what still comes, so that nobody waits for a reader that left.
func (k *call) abandon() {
	k.mu.Lock()
	_, open := k.waiting[k.id]
	delete(k.waiting, k.id)
	k.mu.Unlock()
	if open {
		for {
			select {
			case <-k.replies:
			default:
				return
			}
		}
	}
}

// last reads to the last reply; each is given to take first, if that isn't nil.
func (k *call) last(ctx context.Context, take func(reply)) (reply, error) {
	for {
		select {
		case got, ok := <-k.replies:
			if !ok {
				k.mu.Lock()
				defer k.mu.Unlock()
				return reply{}, k.ended
			}
			if take != nil {
				take(got)
			}
			if !got.Last {
				continue
			}
			if got.Failure != "" {
				return got, errors.New(got.Failure)
			}
			return got, nil
		case <-ctx.Done():
			_ = k.send(request{Op: opStop, Target: k.id})
			go k.drain()
			return reply{}, context.Cause(ctx)
		}
	}
}

// drain takes the rest of what was cancelled. The last reply or the end of the
// stream ends it.
func (k *call) drain() {
	for got := range k.replies {
		if got.Last {
			return
		}
	}
}

// ask is a request with one reply.
func (c *Client) ask(ctx context.Context, q request) (reply, error) {
	k, err := c.begin(q)
	if err != nil {
		return reply{}, err
	}
	got, err := k.last(ctx, nil)
	if err != nil {
		return got, fmt.Errorf("ask %s to %s: %w", c.name, q.Op, err)
	}
	return got, nil
}

// Await waits until the guest has introduced itself.
func (c *Client) Await(ctx context.Context) (Hello, error) {
	select {
	case <-c.up:
	case <-c.done:
		return Hello{}, fmt.Errorf("wait for guest %s: %w", c.name, ErrEnded)
	case <-ctx.Done():
		return Hello{}, fmt.Errorf("wait for guest %s: %w", c.name, context.Cause(ctx))
	}
	if c.hello.Version != Version {
		return c.hello, fmt.Errorf("the agent in %s speaks version %d, this program %d: lab down, lab up", c.name, c.hello.Version, Version)
	}
	return c.hello, nil
}

// Exit is a program that ended with another status than 0.
type Exit struct {
	Node   string
	Argv   []string
	Code   int
	Stderr string
}

func (e *Exit) Error() string {
	text := fmt.Sprintf("run %s on %s: exit status %d", strings.Join(e.Argv, " "), e.Node, e.Code)
	if said := strings.TrimSpace(e.Stderr); said != "" {
		text += ": " + said
	}
	return text
}

// Run runs a program to its end and returns what it printed.
func (c *Client) Run(ctx context.Context, argv ...string) (string, error) {
	return c.toEnd(ctx, request{Op: opRun, Argv: argv, End: true}, argv)
}

// Perdure has a command of perdure carried out and returns what it printed. It is
// done by the agent itself: no process is started, nothing is frozen with the node.
func (c *Client) Perdure(ctx context.Context, args ...string) (string, error) {
	return c.toEnd(ctx, request{Op: opAsk, Argv: args}, append([]string{"perdure"}, args...))
}

func (c *Client) toEnd(ctx context.Context, q request, argv []string) (string, error) {
	var out, errOut bytes.Buffer
	k, err := c.begin(q)
	if err != nil {
		return "", err
	}
	got, err := k.last(ctx, func(r reply) {
		out.Write(r.Out)
		errOut.Write(r.Err)
	})
	switch {
	case err != nil:
		return out.String(), fmt.Errorf("run %s on %s: %w", strings.Join(argv, " "), c.name, err)
	case got.Code != 0:
		return out.String(), &Exit{Node: c.name, Argv: argv, Code: got.Code, Stderr: errOut.String()}
	}
	return out.String(), nil
}

// Terminal is a person's at a program in the guest.
type Terminal struct {
	In  io.Reader
	Out io.Writer
	// Size is the first size; Sizes are later ones. May be nil.
	Size  Size
	Sizes <-chan Size
}

// Attach runs a program with a terminal and returns its exit status. In is read
// until the program ended and one more read returned.
func (c *Client) Attach(ctx context.Context, t Terminal, argv ...string) (int, error) {
	return c.attend(ctx, request{Op: opRun, Argv: argv, Terminal: &t.Size}, t, func(r reply) { _, _ = t.Out.Write(r.Out) })
}

// Streams are a program's, as in a pipeline.
type Streams struct {
	In       io.Reader
	Out, Err io.Writer
}

// Pipe runs a program without a terminal and returns its exit status. In is read as
// in Attach.
func (c *Client) Pipe(ctx context.Context, s Streams, argv ...string) (int, error) {
	return c.attend(ctx, request{Op: opRun, Argv: argv}, Terminal{In: s.In}, func(r reply) {
		_, _ = s.Out.Write(r.Out)
		_, _ = s.Err.Write(r.Err)
	})
}

// attend runs a program with somebody at it.
func (c *Client) attend(ctx context.Context, q request, t Terminal, take func(reply)) (int, error) {
	k, err := c.begin(q)
	if err != nil {
		return 0, err
	}
	attending, leave := context.WithCancel(ctx)
	defer leave()
	go k.pump(attending, t.In)
	go func() {
		for {
			select {
			case size := <-t.Sizes:
				_ = k.send(request{Op: opResize, Target: k.id, Terminal: &size})
			case <-attending.Done():
				return
			}
		}
	}()
	got, err := k.last(ctx, take)
	if err != nil {
		return 0, fmt.Errorf("run %s on %s: %w", strings.Join(q.Argv, " "), c.name, err)
	}
	return got.Code, nil
}

// pump gives a program its input, each part when the one before was taken.
func (k *call) pump(ctx context.Context, in io.Reader) {
	buf := make([]byte, inward)
	for {
		n, err := in.Read(buf)
		if n > 0 {
			if _, err := k.ask(ctx, request{Op: opInput, Target: k.id, Data: buf[:n]}); err != nil {
				return
			}
		}
		if err != nil {
			_, _ = k.ask(ctx, request{Op: opInput, Target: k.id, End: true})
			return
		}
	}
}

// Start starts a program that runs until somebody ends it; its output is added to
// the file log in the guest.
func (c *Client) Start(ctx context.Context, log string, argv ...string) (pid int, err error) {
	got, err := c.ask(ctx, request{Op: opStart, Path: log, Argv: argv})
	return got.Code, err
}

// Write makes a file, with the directories above it.
func (c *Client) Write(ctx context.Context, path string, mode fs.FileMode, content []byte) error {
	for first := true; first || len(content) > 0; first = false {
		part := content[:min(len(content), inward)]
		content = content[len(part):]
		if _, err := c.ask(ctx, request{Op: opWrite, Path: path, Mode: uint32(mode.Perm()), Data: part, Append: !first}); err != nil {
			return err
		}
	}
	return nil
}

// Read reads a file.
func (c *Client) Read(ctx context.Context, path string) ([]byte, error) {
	k, err := c.begin(request{Op: opRead, Path: path})
	if err != nil {
		return nil, err
	}
	var content []byte
	if _, err := k.last(ctx, func(r reply) { content = append(content, r.Out...) }); err != nil {
		return nil, fmt.Errorf("read %s on %s: %w", path, c.name, err)
	}
	return content, nil
}

// UseWeb puts a web server's files there and returns the command that starts it.
func (c *Client) UseWeb(ctx context.Context, w Web) (argv []string, err error) {
	got, err := c.ask(ctx, request{Op: opWeb, Web: &w})
	return got.Argv, err
}

// Starts counts the starts of the web server in this boot.
func (c *Client) Starts(ctx context.Context) (int, error) {
	got, err := c.ask(ctx, request{Op: opStarts})
	return got.Code, err
}

// Apply carries out a fault that only the inside can do.
func (c *Client) Apply(ctx context.Context, f fault.Fault) error {
	_, err := c.ask(ctx, request{Op: opFault, Text: f.String()})
	return err
}

// BreakGate takes the address gate away, again and again until ctx ends. It is the
// negative control of whoever judges double service.
func (c *Client) BreakGate(ctx context.Context) error {
	_, err := c.toEnd(ctx, request{Op: opBreak}, []string{"break the gate"})
	if ctx.Err() != nil {
		return nil
	}
	return err
}

// Clocks reads the guest's clocks.
func (c *Client) Clocks(ctx context.Context) (Clocks, error) {
	got, err := c.ask(ctx, request{Op: opClocks})
	if err != nil || got.Clocks == nil {
		return Clocks{}, errors.Join(err, fmt.Errorf("no clocks of %s", c.name))
	}
	return *got.Clocks, nil
}

// Sysrq gives the kernel one of its letters. What ends the machine gives no
// answer, and that is no error.
func (c *Client) Sysrq(ctx context.Context, letter string) error {
	_, err := c.ask(ctx, request{Op: opSysrq, Text: letter})
	if errors.Is(err, ErrEnded) {
		return nil
	}
	return err
}
