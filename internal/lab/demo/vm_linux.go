package demo

import (
	"context"
	"errors"
	"fmt"
	"os"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/vm"
)

const (
	// vmBuildWait bounds the building of a cluster of machines, images apart: half a
	// minute alone, ten times that on two cores that run other machines too.
	vmBuildWait = 10 * time.Minute
	// qemuSlack and umlSlack are what machines without hardware virtualization add to
	// an outage on a small host: the same stop and start of address and server take
	// that much longer. Measured: a restart in place takes 1.4 s more in QEMU, a move 2.4 s.
	qemuSlack = 3 * time.Second
	umlSlack  = 2 * time.Second
	// vmBoot is what one takes to boot.
	vmBoot = 8 * time.Second
	// vmAsk and vmProbe are the time between two requests of the outside client, and
	// between two probes of a door. At the usual 10 and 20 ms three guests on two
	// cores did little else than answer, and a status took longer than 5 s.
	vmAsk   = 25 * time.Millisecond
	vmProbe = 100 * time.Millisecond
)

// vmStage is a cluster of virtual machines.
type vmStage struct {
	*vm.Lab
	nodes  []string
	lang   string
	client *client.Client
	prober *client.Prober

	stopARP  context.CancelFunc
	watching chan error
	closing  sync.Once
	closed   error
}

// openVM builds the cluster in the lab of virtual machines.
func openVM(ctx context.Context, o Options, witness bool) (_ Stage, err error) {
	nodes, hosts, name := cast(witness)
	lab, err := vm.New(ctx, vm.Options{Nodes: nodes, Kind: vm.Kind(o.Machines), Perdure: o.Binary, Keep: o.Keep, Watchdog: o.Watchdog,
		Say: func(what string) { fmt.Fprintln(o.Live, what) }})
	if err != nil {
		return nil, err
	}
	return VMStage(ctx, lab, o, hosts, name)
}

// VMStage makes a stage of a lab whose machines run: it builds the cluster,
// protects the server and begins to watch. On an error the lab is closed.
func VMStage(ctx context.Context, lab *vm.Lab, o Options, hosts []string, witness string) (_ Stage, err error) {
	ctx, cancel := context.WithTimeout(ctx, vmBuildWait)
	defer cancel()
	s := &vmStage{Lab: lab, lang: o.Lang, watching: make(chan error, 1)}
	for _, n := range lab.Nodes() {
		s.nodes = append(s.nodes, n.Name)
	}
	defer func() {
		if err != nil {
			err = errors.Join(err, s.Close())
		}
	}()
	say := o.Say
	if say == nil {
		say = func(string) {}
	}
	say(words["founds"].In(o.Lang))
	if err := lab.BuildCluster(ctx, vm.ClusterOptions{Detection: o.Detection, Witness: witness}); err != nil {
		return nil, err
	}
	// Who joined last may not have learned the state yet, and then takes no commands.
	if err := lab.Operator().AwaitWhole(ctx, func(err error) { say(words["founds"].In(o.Lang) + ": " + err.Error()) }); err != nil {
		return nil, err
	}
	say(words["protects"].In(o.Lang))
	if err := lab.Protect(ctx, Hierarchy, Server, hosts); err != nil {
		return nil, err
	}
	clock := client.NewClock()
	s.client = client.Start(client.Config{Clock: clock, Dial: lab.Outside().Dial, Interval: vmAsk})
	s.prober = client.StartProber(client.ProberConfig{Clock: clock, Doors: lab.Outside().Doors(), Interval: vmProbe})
	watch, stop := context.WithCancel(context.Background())
	s.stopARP = stop
	go func() { s.watching <- lab.Outside().WatchARP(watch, clock, arpInterval, s.prober.Add) }()
	say(words["awaits"].In(o.Lang))
	return s, s.Ready(ctx, func(err error) { say(words["awaits"].In(o.Lang) + ": " + err.Error()) })
}

// Has says what guests have: a server of several processes, and a gate if their
// kernel has the means.
func (s *vmStage) Has() Equipment {
	has := Equipment{Workers: true, Watchdog: s.HasWatchdog(), Gate: s.HasGate(), Slack: umlSlack, Boot: vmBoot}
	if s.Kind() == vm.QEMU {
		has.Slack = qemuSlack
	}
	return has
}

func (s *vmStage) Nodes() []string        { return s.nodes }
func (s *vmStage) Client() *client.Client { return s.client }
func (s *vmStage) Prober() *client.Prober { return s.prober }

func (s *vmStage) Refresh(ctx context.Context) error {
	return s.Operator().ClearFailures(ctx, Hierarchy)
}

func (s *vmStage) Ready(ctx context.Context, wanting func(error)) error {
	// As any machine, one that its watchdog has reset boots.
	if err := s.BootReset(ctx); err != nil {
		return err
	}
	if err := s.Operator().AwaitWhole(ctx, wanting); err != nil {
		return err
	}
	_, err := s.client.WaitGood(ctx, s.client.Clock().Now(), "")
	return err
}

func (s *vmStage) Why(ctx context.Context) (string, error) {
	return s.Operator().Why(ctx, Hierarchy, s.lang)
}

// Enter names the command that leads onto a node: a machine has no door in the
// file system.
func (s *vmStage) Enter() ([]string, error) {
	self, err := os.Executable()
	if err != nil {
		return nil, err
	}
	var commands []string
	for _, n := range s.nodes {
		commands = append(commands, self+" lab ssh "+n+" perdure")
	}
	return commands, nil
}

func (s *vmStage) Kept() string { return s.KeptDir() }

func (s *vmStage) Close() error {
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
