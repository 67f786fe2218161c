package demo

import (
	"context"
	"errors"
	"net"
	"sync"
	"sync/atomic"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/local"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

// localStage is a cluster of processes on loopback addresses.
type localStage struct {
	*local.Lab
	nodes  []string
	lang   string
	client *client.Client
	prober *client.Prober

	closing sync.Once
	closed  error
}

// openLocal builds the cluster with what an ordinary user may do.
func openLocal(ctx context.Context, o Options, witness bool) (_ Stage, err error) {
	nodes, hosts, name := cast(witness)
	ctx, cancel := context.WithTimeout(ctx, buildWait)
	defer cancel()
	lab, err := local.New(local.Options{Nodes: nodes, Perdure: o.Binary, Keep: o.Keep})
	if err != nil {
		return nil, err
	}
	s := &localStage{Lab: lab, nodes: nodes, lang: o.Lang}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	// The program is its own web server, so that nothing needs to be installed.
	server, err := webserver.Own()
	if err != nil {
		return nil, err
	}
	if err := lab.BuildCluster(ctx, name, o.Detection); err != nil {
		return nil, err
	}
	if err := lab.Protect(ctx, Hierarchy, Server, server, hosts); err != nil {
		return nil, err
	}
	clock, doors := client.NewClock(), lab.Doors()
	s.client = client.Start(client.Config{Clock: clock, Dial: newSeeker(doors).dial})
	s.prober = client.StartProber(client.ProberConfig{Clock: clock, Doors: doors})
	return s, s.Ready(ctx, nil)
}

func (s *localStage) Nodes() []string        { return s.nodes }
func (s *localStage) Client() *client.Client { return s.client }
func (s *localStage) Prober() *client.Prober { return s.prober }

// Has says what is here: a server of one process, and no gate.
func (s *localStage) Has() Equipment { return Equipment{} }

func (s *localStage) Refresh(ctx context.Context) error {
	return s.Operator().ClearFailures(ctx, Hierarchy)
}

func (s *localStage) Ready(ctx context.Context, wanting func(error)) error {
	if err := s.Operator().AwaitWhole(ctx, wanting); err != nil {
		return err
	}
	_, err := s.client.WaitGood(ctx, s.client.Clock().Now(), "")
	return err
}

func (s *localStage) Why(ctx context.Context) (string, error) {
	return s.Operator().Why(ctx, Hierarchy, s.lang)
}

func (s *localStage) Enter() ([]string, error) {
	var scripts []string
	for _, n := range s.Lab.Nodes() {
		path, err := n.Enter()
		if err != nil {
			return nil, err
		}
		scripts = append(scripts, path)
	}
	return scripts, nil
}

func (s *localStage) Kept() string { return s.KeptDir() }

func (s *localStage) Close() error {
	s.closing.Do(func() {
		if s.client != nil {
			s.client.Stop()
			s.prober.Stop()
		}
		s.closed = s.Lab.Close()
	})
	return s.closed
}

// seeker connects to whichever of several addresses answered last, and tries the
// next when that one refuses or doesn't answer: a client of a service without a
// virtual address.
type seeker struct {
	doors []client.Door
	at    atomic.Int64
}

func newSeeker(doors []client.Door) *seeker { return &seeker{doors: doors} }

func (s *seeker) dial(ctx context.Context) (net.Conn, error) {
	var errs []error
	at := s.at.Load()
	for range s.doors {
		conn, err := s.doors[at%int64(len(s.doors))].Dial(ctx)
		if err == nil {
			return &sought{Conn: conn, next: func() { s.at.CompareAndSwap(at, at+1) }}, nil
		}
		errs = append(errs, err)
		s.at.CompareAndSwap(at, at+1)
		at++
	}
	return nil, errors.Join(errs...)
}

// sought is a connection that moves its seeker on when it fails.
type sought struct {
	net.Conn
	next func()
	got  bool
}

func (c *sought) Read(p []byte) (int, error) {
	n, err := c.Conn.Read(p)
	c.got = c.got || n > 0
	if err != nil && !c.got {
		c.next()
	}
	return n, err
}

// SetLinger lets the client end a connection without a farewell.
func (c *sought) SetLinger(seconds int) error {
	if tcp, ok := c.Conn.(*net.TCPConn); ok {
		return tcp.SetLinger(seconds)
	}
	return nil
}
