package server

import (
	"bufio"
	"context"
	"encoding/json"
	"errors"
	"fmt"
	"net"
	"path/filepath"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// The control socket speaks JSON, one object a line, at most controlMost bytes.
const (
	controlVersion = 1
	controlMost    = 64 << 10
	// controlClients bounds the connections.
	controlClients = 16
)

// request is what the daemon asks.
type request struct {
	Version int    `json:"v"`
	Do      string `json:"do"` // create, serve, stop, status, lease, revoke
	Spec    Spec   `json:"spec,omitzero"`
	// Until is by BOOTTIME in nanoseconds: lease.
	Until time.Duration `json:"until,omitempty"`
}

// answer is the server's.
type answer struct {
	Error  *cluster.Reason `json:"error,omitempty"`
	Text   string          `json:"text,omitempty"` // of an error without a code
	ID     string          `json:"id,omitempty"`
	Socket string          `json:"socket,omitempty"`
	Status *Status         `json:"status,omitempty"`
}

// decodeRequest reads one line.
func decodeRequest(line []byte) (request, error) {
	var q request
	if err := json.Unmarshal(line, &q); err != nil {
		return q, fmt.Errorf("read a request to the volume-server: %w", err)
	}
	if q.Version != controlVersion {
		return q, fmt.Errorf("a request to the volume-server in version %d, this one speaks %d", q.Version, controlVersion)
	}
	return q, nil
}

func (s *Server) do(q request) answer {
	var a answer
	var err error
	switch q.Do {
	case "create":
		a.ID, err = s.Create(q.Spec)
	case "serve":
		a.Socket, err = s.Serve(q.Spec)
	case "stop":
		err = s.Stop(q.Spec.Name)
	case "status":
		st := s.Status()
		a.Status = &st
	case "lease":
		s.gate.Open(q.Until)
	case "revoke":
		s.gate.Revoke(errNoLease)
	default:
		err = fmt.Errorf("the volume-server doesn't know %q", q.Do)
	}
	if err == nil {
		return a
	}
	a = answer{Text: err.Error()}
	if m, ok := message.From(err); ok {
		r := cluster.Because(m.Code(), m.Args()...)
		a.Error = &r
	}
	return a
}

// ControlPath is where the control socket of a run directory is.
func ControlPath(runDir string) string { return filepath.Join(runDir, "volume.sock") }

// Control serves the control socket until ctx ends.
func (s *Server) Control(ctx context.Context) error {
	l, err := listenUnix(ControlPath(s.c.RunDir))
	if err != nil {
		return err
	}
	stop := context.AfterFunc(ctx, func() { _ = l.Close() })
	defer stop()
	var group sync.WaitGroup
	defer group.Wait()
	room := make(chan struct{}, controlClients)
	for {
		room <- struct{}{}
		c, err := l.Accept()
		if err != nil {
			if ctx.Err() != nil {
				return nil
			}
			return fmt.Errorf("accept at the control socket of volumes: %w", err)
		}
		group.Go(func() {
			defer func() { <-room }()
			s.converse(ctx, c)
		})
	}
}

func (s *Server) converse(ctx context.Context, c net.Conn) {
	defer func() { _ = c.Close() }()
	stop := context.AfterFunc(ctx, func() { _ = c.Close() })
	defer stop()
	lines := bufio.NewScanner(c)
	lines.Buffer(make([]byte, 0, 4096), controlMost)
	for lines.Scan() {
		q, err := decodeRequest(lines.Bytes())
		a := answer{}
		if err != nil {
			a.Text = err.Error()
		} else {
			a = s.do(q)
		}
		b, err := json.Marshal(a)
		if err == nil {
			_ = c.SetWriteDeadline(time.Now().Add(5 * time.Second))
			_, err = c.Write(append(b, '\n'))
		}
		if err != nil {
			return
		}
	}
}

// Client asks a volume-server. It may be used by one goroutine at a time.
type Client struct {
	c     net.Conn
	lines *bufio.Scanner
}

// Dial connects to the volume-server of a run directory.
func Dial(ctx context.Context, runDir string) (*Client, error) {
	var d net.Dialer
	c, err := d.DialContext(ctx, "unix", ControlPath(runDir))
	if err != nil {
		return nil, fmt.Errorf("connect to the volume-server: %w", err)
	}
	lines := bufio.NewScanner(c)
	lines.Buffer(make([]byte, 0, 4096), 1<<20)
	return &Client{c, lines}, nil
}

// Close ends the connection.
func (c *Client) Close() error { return c.c.Close() }

// Create makes a copy; it returns the volume's id.
func (c *Client) Create(ctx context.Context, p Spec) (string, error) {
	a, err := c.ask(ctx, request{Do: "create", Spec: p})
	return a.ID, err
}

// Serve serves a copy; it returns the name of its NBD socket.
func (c *Client) Serve(ctx context.Context, p Spec) (string, error) {
	a, err := c.ask(ctx, request{Do: "serve", Spec: p})
	return a.Socket, err
}

// Stop ends serving a volume.
func (c *Client) Stop(ctx context.Context, name string) error {
	_, err := c.ask(ctx, request{Do: "stop", Spec: Spec{Name: name}})
	return err
}

// Status asks what is served.
func (c *Client) Status(ctx context.Context) (Status, error) {
	a, err := c.ask(ctx, request{Do: "status"})
	if err == nil && a.Status == nil {
		err = errors.New("the volume-server answered without its status")
	}
	if err != nil {
		return Status{}, err
	}
	return *a.Status, nil
}

// Lease moves the deadline until which volumes may be used, by BOOTTIME.
func (c *Client) Lease(ctx context.Context, until time.Duration) error {
	_, err := c.ask(ctx, request{Do: "lease", Until: until})
	return err
}

// Revoke ends the lease now; what waits fails.
func (c *Client) Revoke(ctx context.Context) error {
	_, err := c.ask(ctx, request{Do: "revoke"})
	return err
}

func (c *Client) ask(ctx context.Context, q request) (answer, error) {
	q.Version = controlVersion
	if d, ok := ctx.Deadline(); ok {
		_ = c.c.SetDeadline(d)
	}
	b, err := json.Marshal(q)
	if err != nil {
		return answer{}, err
	}
	if _, err := c.c.Write(append(b, '\n')); err != nil {
		return answer{}, fmt.Errorf("ask the volume-server to %s: %w", q.Do, err)
	}
	if !c.lines.Scan() {
		return answer{}, fmt.Errorf("ask the volume-server to %s: the connection ended: %w", q.Do, errors.Join(c.lines.Err(), net.ErrClosed))
	}
	var a answer
	if err := json.Unmarshal(c.lines.Bytes(), &a); err != nil {
		return a, fmt.Errorf("ask the volume-server to %s: %w", q.Do, err)
	}
	switch {
	case a.Error != nil:
		return a, message.Reason(*a.Error).Err()
	case a.Text != "":
		return a, errors.New(a.Text)
	}
	return a, nil
}
