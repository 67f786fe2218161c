package demo

import (
	"context"
	"errors"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/netns"
	"github.com/perdure-ha/perdure/internal/lab/webserver"
)

const (
	// buildWait bounds the building of a cluster.
	buildWait = 60 * time.Second
	// arpInterval is the time between two questions who has the address.
	arpInterval = 20 * time.Millisecond
)

// labStage is a cluster in the process lab.
type labStage struct {
	*netns.Lab
	nodes  []string
	lang   string
	has    Equipment
	client *client.Client
	prober *client.Prober

	stopARP  context.CancelFunc
	watching chan error
	closing  sync.Once
	closed   error
}

// open builds a cluster of three nodes, or two and a witness, that protects a
// web server, and begins to watch it: in namespaces where that is possible.
func open(ctx context.Context, o Options, witness bool) (Stage, error) {
	if o.Machines != "" {
		return openVM(ctx, o, witness)
	}
	if why := confined(o); why != nil {
		return openLocal(ctx, o, witness)
	}
	return openLab(ctx, o, witness)
}

// confined says why the nodes can't live in namespaces; nil: they can.
func confined(o Options) error {
	if o.Confined {
		return errors.New("it was asked for")
	}
	return netns.Usable()
}

// cast names the nodes, those of them that may have the service, and the witness.
func cast(witness bool) (nodes, hosts []string, name string) {
	if witness {
		return []string{"n1", "n2", "w1"}, []string{"n1", "n2"}, "w1"
	}
	return []string{"n1", "n2", "n3"}, []string{"n1", "n2", "n3"}, ""
}

// openLab builds the cluster in the process lab.
func openLab(ctx context.Context, o Options, witness bool) (_ Stage, err error) {
	nodes, hosts, name := cast(witness)
	cluster := netns.ClusterOptions{Detection: o.Detection, Witness: name}
	ctx, cancel := context.WithTimeout(ctx, buildWait)
	defer cancel()
	lab, err := netns.New(ctx, netns.Options{Nodes: nodes, IPv6: o.IPv6, Perdure: o.Binary, Keep: o.Keep})
	if err != nil {
		return nil, err
	}
	s := &labStage{Lab: lab, nodes: nodes, lang: o.Lang, watching: make(chan error, 1)}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	server, err := webserver.Find()
	if err != nil {
		return nil, err
	}
	s.has = Equipment{Gate: true, Workers: server.Workers()}
	argv, err := lab.UseWeb(Server, server, false)
	if err != nil {
		return nil, err
	}
	if err := lab.BuildCluster(ctx, cluster); err != nil {
		return nil, err
	}
	if err := lab.Protect(ctx, Hierarchy, Server, argv, hosts, "check.interval=200ms", "check.timeout=1s"); err != nil {
		return nil, err
	}
	s.watch()
	return s, s.Ready(ctx, nil)
}

// watch starts the witnesses of truth.
func (s *labStage) watch() {
	clock := client.NewClock()
	s.client = client.Start(client.Config{Clock: clock, Dial: s.Dial})
	s.prober = client.StartProber(client.ProberConfig{Clock: clock, Doors: s.Doors()})
	ctx, cancel := context.WithCancel(context.Background())
	s.stopARP = cancel
	go func() { s.watching <- s.WatchARP(ctx, clock, arpInterval, s.prober.Add) }()
}

func (s *labStage) Has() Equipment { return s.has }

func (s *labStage) Nodes() []string        { return s.nodes }
func (s *labStage) Client() *client.Client { return s.client }
func (s *labStage) Prober() *client.Prober { return s.prober }

func (s *labStage) Refresh(ctx context.Context) error {
	return s.Operator().ClearFailures(ctx, Hierarchy)
}

func (s *labStage) Ready(ctx context.Context, wanting func(error)) error {
	if err := s.Operator().AwaitWhole(ctx, wanting); err != nil {
		return err
	}
	_, err := s.client.WaitGood(ctx, s.client.Clock().Now(), "")
	return err
}

func (s *labStage) Why(ctx context.Context) (string, error) {
	return s.Operator().Why(ctx, Hierarchy, s.lang)
}

func (s *labStage) Enter() ([]string, error) {
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

func (s *labStage) Kept() string { return s.KeptDir() }

func (s *labStage) Close() error {
	s.closing.Do(func() {
		var errs []error
		if s.client != nil {
			s.client.Stop()
			s.prober.Stop()
			s.stopARP()
			errs = append(errs, <-s.watching)
		}
		s.closed = errors.Join(append(errs, s.Lab.Close())...)
	})
	return s.closed
}
