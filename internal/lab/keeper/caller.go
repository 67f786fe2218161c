package keeper

import (
	"bufio"
	"bytes"
	"context"
	"encoding/binary"
	"encoding/json"
	"errors"
	"fmt"
	"io"
	"net"
	"net/http"
	"net/url"
	"sync"
	"time"
)

const (
	// answerWait bounds the wait for a keeper to begin its answer: it never waits
	// for the lab with that.
	answerWait = 10 * time.Second
)

// caller speaks to a keeper.
type caller struct {
	socket string
	http   *http.Client
}

func dial(socket string) *caller {
	c := &caller{socket: socket}
	c.http = &http.Client{Transport: &http.Transport{
		DialContext:           func(ctx context.Context, _, _ string) (net.Conn, error) { return c.connect(ctx) },
		ResponseHeaderTimeout: answerWait,
		DisableKeepAlives:     true,
	}}
	return c
}

func (c *caller) connect(ctx context.Context) (net.Conn, error) {
	d := net.Dialer{Timeout: answerWait}
	return d.DialContext(ctx, "unix", c.socket)
}

// ask sends a request; the caller closes the answer's body.
func (c *caller) ask(ctx context.Context, method, path string, body any) (*http.Response, error) {
	q, err := request(ctx, method, path, body)
	if err != nil {
		return nil, err
	}
	r, err := c.http.Do(q)
	if err != nil {
		return nil, fmt.Errorf("ask the keeper: %w", err)
	}
	return r, refusal(r)
}

func request(ctx context.Context, method, path string, body any) (*http.Request, error) {
	text, err := json.Marshal(body)
	if err != nil {
		return nil, err
	}
	return http.NewRequestWithContext(ctx, method, "http://lab"+path, bytes.NewReader(text))
}

// refusal is why the keeper didn't do it; the body is closed then.
func refusal(r *http.Response) error {
	if r.StatusCode == http.StatusOK || r.StatusCode == http.StatusSwitchingProtocols {
		return nil
	}
	defer r.Body.Close()
	var f Failure
	if err := json.NewDecoder(io.LimitReader(r.Body, mostBody)).Decode(&f); err != nil {
		return fmt.Errorf("ask the keeper: it says %s", r.Status)
	}
	return f.err()
}

// get reads one answer.
func get[T any](ctx context.Context, c *caller, path string) (answer T, err error) {
	ctx, cancel := context.WithTimeout(ctx, answerWait)
	defer cancel()
	r, err := c.ask(ctx, http.MethodGet, path, nil)
	if err != nil {
		return answer, err
	}
	defer r.Body.Close()
	if err := json.NewDecoder(r.Body).Decode(&answer); err != nil {
		return answer, fmt.Errorf("read the keeper's answer: %w", err)
	}
	return answer, nil
}

func (c *caller) look(ctx context.Context) (Look, error) { return get[Look](ctx, c, pathLook) }

func (c *caller) offer(ctx context.Context, lang string) (Offer, error) {
	return get[Offer](ctx, c, pathOffer+"?lang="+url.QueryEscape(lang))
}

// follow reads progress until the keeper says no more, and returns the last.
func (c *caller) follow(ctx context.Context, method, path string, show func(Progress)) (last Progress, err error) {
	r, err := c.ask(ctx, method, path, nil)
	if err != nil {
		return last, err
	}
	defer r.Body.Close()
	for dec := json.NewDecoder(r.Body); ; {
		var p Progress
		if err := dec.Decode(&p); err != nil {
			if errors.Is(err, io.EOF) && last.over() {
				return last, nil
			}
			return last, fmt.Errorf("hear the keeper: %w", err)
		}
		last = p
		if show != nil {
			show(p)
		}
	}
}

// run plays.
func (c *caller) run(ctx context.Context, p Play, out, live io.Writer) error {
	r, err := c.ask(ctx, http.MethodPost, pathRun, p)
	if err != nil {
		return err
	}
	defer r.Body.Close()
	for dec := json.NewDecoder(r.Body); ; {
		var l line
		if err := dec.Decode(&l); err != nil {
			if ctx.Err() != nil {
				return context.Cause(ctx)
			}
			return fmt.Errorf("hear the keeper: %w", err)
		}
		if _, err := io.WriteString(out, l.Out); err != nil {
			return fmt.Errorf("write the result: %w", err)
		}
		_, _ = io.WriteString(live, l.Live)
		if l.Done {
			return l.Failure.err()
		}
	}
}

// attach puts a person at a program on a node and returns its exit status.
func (c *caller) attach(ctx context.Context, node string, s Session) (int, error) {
	conn, err := c.connect(ctx)
	if err != nil {
		return 0, fmt.Errorf("ask the keeper: %w", err)
	}
	defer conn.Close()
	stop := context.AfterFunc(ctx, func() { conn.Close() })
	defer stop()
	q, err := request(ctx, http.MethodPost, pathAttach, attachment{node, s.Argv, s.Terminal})
	if err != nil {
		return 0, err
	}
	q.Header.Set("Connection", "Upgrade")
	q.Header.Set("Upgrade", upgrade)
	_ = conn.SetDeadline(time.Now().Add(answerWait))
	if err := q.Write(conn); err != nil {
		return 0, fmt.Errorf("ask the keeper: %w", err)
	}
	r := bufio.NewReader(conn)
	got, err := http.ReadResponse(r, q)
	if err != nil {
		return 0, fmt.Errorf("ask the keeper: %w", err)
	}
	if err := refusal(got); err != nil {
		return 0, err
	}
	_ = conn.SetDeadline(time.Time{})
	code, err := attended(r, &frames{w: conn}, s)
	if ctx.Err() != nil {
		return code, context.Cause(ctx)
	}
	return code, err
}

// attended is the person's side of a shell.
func attended(r io.Reader, out *frames, s Session) (int, error) {
	w := newWindow()
	defer w.close()
	go send(out, s.In, w)
	ended := make(chan struct{})
	defer close(ended)
	go func() {
		for {
			select {
			case size := <-s.Sizes:
				_ = out.sendJSON(frameSize, size)
			case <-ended:
				return
			}
		}
	}()
	for {
		kind, data, err := readFrame(r)
		if err != nil {
			return 0, fmt.Errorf("the keeper left in the middle of a shell: %w", err)
		}
		switch kind {
		case frameOut:
			_, err = s.Out.Write(data)
		case frameErr:
			_, err = s.Err.Write(data)
		case frameTaken:
			if len(data) != 4 {
				return 0, errFrame
			}
			w.give(int(binary.BigEndian.Uint32(data)))
		case frameExit:
			var e exit
			if err := json.Unmarshal(data, &e); err != nil {
				return 0, fmt.Errorf("%w: %w", errFrame, err)
			}
			return e.Code, e.Failure.err()
		default:
			return 0, errFrame
		}
		if err != nil {
			return 0, fmt.Errorf("write what the program prints: %w", err)
		}
	}
}

// send gives input, no more than the window allows.
func send(out *frames, in io.Reader, w *window) {
	buf := make([]byte, inputPart)
	for {
		n, err := in.Read(buf)
		if n > 0 && (!w.take(n) || out.send(frameInput, buf[:n]) != nil) {
			return
		}
		if err != nil {
			_ = out.send(frameEnd, nil)
			return
		}
	}
}

// window is how much input may be sent.
type window struct {
	mu     sync.Mutex
	more   *sync.Cond
	free   int
	closed bool
}

func newWindow() *window {
	w := &window{free: inputWindow}
	w.more = sync.NewCond(&w.mu)
	return w
}

// take waits until n bytes may be sent; false: nobody wants them any more.
func (w *window) take(n int) bool {
	w.mu.Lock()
	defer w.mu.Unlock()
	for w.free < n && !w.closed {
		w.more.Wait()
	}
	w.free -= n
	return !w.closed
}

func (w *window) give(n int) {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.free += n
	w.more.Signal()
}

func (w *window) close() {
	w.mu.Lock()
	defer w.mu.Unlock()
	w.closed = true
	w.more.Broadcast()
}
