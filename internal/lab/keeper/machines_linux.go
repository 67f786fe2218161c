package keeper

import (
	"context"
	"errors"
	"fmt"
	"io"
	"os"
	"slices"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/demo"
	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/vm"
	"github.com/perdure-ha/perdure/internal/lab/vm/agent"
	"github.com/perdure-ha/perdure/internal/lab/vm/image"
	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// counted is how far back the outside client's counters reach.
	counted = 10 * time.Minute
	// forgetEvery is how often what is older is dropped.
	forgetEvery = time.Minute
	// faultWait bounds the carrying out of one fault, beyond its own length.
	faultWait = 2 * time.Minute
	// lookWait is how long a node may take to say how it is; one whose power or
	// place changes takes longer.
	lookWait = 300 * time.Millisecond
	// outagesShown is how many are listed.
	outagesShown = 5
)

// machines is a lab of virtual machines with the demo's stage on it.
type machines struct {
	config Config
	lab    *vm.Lab
	stage  demo.Stage
	nodes  []*vm.Node
	// playing is held while something is played: it needs all that was seen.
	playing chan struct{}
	stop    context.CancelFunc
	stopped chan struct{}
}

// OpenMachines makes a lab whose nodes run binary.
func OpenMachines(binary string) Open {
	return func(ctx context.Context, c Config, say func(Progress)) (Lab, error) {
		return openMachines(ctx, binary, c, say)
	}
}

func openMachines(ctx context.Context, binary string, c Config, say func(Progress)) (Lab, error) {
	o := options(c)
	o.Perdure = binary
	say(Progress{Phase: Images, Fraction: -1, Left: -1})
	// The lab would do it too; so we hear how far it is.
	if _, err := image.Make(ctx, image.Options{Progress: func(p image.Progress) {
		say(Progress{Phase: Images, Step: p.Step, Fraction: p.Fraction, Left: p.Left})
	}}); err != nil {
		return nil, err
	}
	say(Progress{Phase: Boots, Step: strings.Join(o.Nodes, ", "), Fraction: -1, Left: -1})
	lab, err := vm.New(ctx, o)
	if err != nil {
		return nil, err
	}
	say(Progress{Phase: Forms, Fraction: -1, Left: -1})
	_, hosts, witness := c.Names()
	stage, err := demo.VMStage(ctx, lab, demo.Options{Detection: c.Detection, Lang: c.Lang,
		Say: func(step string) { say(Progress{Phase: Forms, Step: step, Fraction: -1, Left: -1}) }}, hosts, witness)
	if err != nil {
		return nil, err // it closed the lab
	}
	m := &machines{config: c, lab: lab, stage: stage, nodes: lab.Nodes(), playing: make(chan struct{}, 1), stopped: make(chan struct{})}
	forgetting, stop := context.WithCancel(context.Background())
	m.stop = stop
	go m.forget(forgetting)
	return m, nil
}

// options are the lab's, without the program.
func options(c Config) vm.Options {
	nodes, _, _ := c.Names()
	return vm.Options{Nodes: nodes, Kind: vm.Kind(c.Kind), Systemd: c.Systemd, Watchdog: c.Watchdog, Storage: c.Storage, Keep: c.Keep}
}

// forget drops what the witnesses saw long ago, so that a lab can stay for days.
func (m *machines) forget(ctx context.Context) {
	defer close(m.stopped)
	ticker := time.NewTicker(forgetEvery)
	defer ticker.Stop()
	for {
		select {
		case <-ctx.Done():
			return
		case <-ticker.C:
		}
		select {
		case m.playing <- struct{}{}:
			before := m.stage.Client().Clock().Now() - counted - time.Second
			m.stage.Client().Forget(before)
			m.stage.Prober().Forget(before)
			<-m.playing
		default:
		}
	}
}

func (m *machines) Close() (kept string, err error) {
	m.stop()
	<-m.stopped
	err = m.stage.Close()
	return m.stage.Kept(), err
}

func (m *machines) Look() Look {
	look := Look{Config: m.config, Dir: m.lab.Dir(), Service: m.service()}
	if m.config.Storage {
		for _, network := range []string{vm.SANA, vm.SANB} {
			look.Storage = append(look.Storage, Storage{network, "iscsi://" + vm.SANPortal(network).String() + "/" + vm.SANTarget})
		}
		look.Storage = append(look.Storage, Storage{vm.NAS, "nfs://" + vm.NASAddr().String() + "/"})
	}
	for _, n := range m.nodes {
		node := Node{Name: n.Name, Kind: m.config.Kind, Witness: n.Name == "w1"}
		for _, network := range []string{vm.Public, vm.Heartbeat, vm.Mgmt} {
			node.Addresses = append(node.Addresses, Address{network, n.Addr(network).String()})
		}
		node.State, node.Host = stateOf(n)
		look.Nodes = append(look.Nodes, node)
	}
	return look
}

// stateOf asks a node how it is. One that is being changed doesn't say.
func stateOf(n *vm.Node) (state, host string) {
	type answer struct{ state, host string }
	answers := make(chan answer, 1)
	go func() {
		a := answer{state: "off", host: n.HostName()}
		if n.On() {
			a.state = "on"
			select {
			case <-n.Machine().Done():
				a.state = "down"
			default:
			}
		}
		answers <- a
	}()
	timer := time.NewTimer(lookWait)
	defer timer.Stop()
	select {
	case a := <-answers:
		return a.state, a.host
	case <-timer.C:
		return "changing", ""
	}
}

// service is what the outside client saw.
func (m *machines) service() *Service {
	c := m.stage.Client()
	now := c.Clock().Now()
	from := max(0, now-counted)
	v := client.Judge(client.Gather(c, m.stage.Prober(), from), from, now)
	s := &Service{Address: m.lab.Service().String(), Window: now - from, Sent: v.Sent, Lost: v.Lost, Longest: v.Longest, Double: v.DoubleTime,
		OutageCount: len(v.Outages)}
	if good := c.LastGood(); good.Seq != 0 {
		s.Node, s.Silent = good.Node, now-good.Done
	}
	for _, o := range v.Outages[max(0, len(v.Outages)-outagesShown):] {
		s.Outages = append(s.Outages, Outage{At: c.Clock().Time(o.From), Length: o.Length(), Before: o.Before, After: o.After, Open: o.Open})
	}
	return s
}

func (m *machines) performance() demo.Performance {
	return demo.Performance{Stage: m.stage, Witness: m.config.Witness}
}

func (m *machines) Offer(lang string) Offer {
	var o Offer
	for _, s := range demo.Scenarios() {
		o.Scenarios = append(o.Scenarios, Item{Name: s.Name, Title: s.Title.In(lang), Why: m.performance().Hindrance(s).In(lang)})
	}
	for _, k := range fault.Kinds() {
		why := ""
		if !fault.Can(m.stage, fault.Fault{Kind: k}) {
			why = fmt.Sprintf(words["not-kind"].In(lang), m.config.Kind)
		}
		o.Faults = append(o.Faults, Item{Name: string(k), Why: why})
	}
	return o
}

// Prepare tells names of scenarios from a fault: a fault is one argument of several
// words, or begins with the name of a kind.
func (m *machines) Prepare(p Play) (Act, error) {
	names := demo.Names()
	if i := slices.IndexFunc(p.Words, func(w string) bool { return !slices.Contains(names, w) }); i >= 0 {
		first, _, more := strings.Cut(p.Words[0], " ")
		if more || slices.Contains(fault.Kinds(), fault.Kind(first)) {
			return m.prepareFault(strings.Join(p.Words, " "), p.Lang)
		}
		var known []string
		for _, k := range fault.Kinds() {
			known = append(known, string(k))
		}
		return nil, near(message.New(message.LabNoScenario, p.Words[i]), p.Words[i], append(names, known...))
	}
	for _, name := range p.Words {
		found, err := demo.Find([]string{name})
		if err != nil {
			return nil, err
		}
		if why := m.performance().Hindrance(found[0]).In(p.Lang); why != "" {
			return nil, message.New(message.LabCantPlay, name, why)
		}
	}
	return func(ctx context.Context, out, live io.Writer) error {
		m.playing <- struct{}{}
		defer func() { <-m.playing }()
		performance := m.performance()
		performance.Times = p.Times
		err := demo.Perform(ctx, demo.Options{Faults: p.Words, JSON: p.JSON, Detection: m.config.Detection, Lang: p.Lang,
			Out: out, Live: live, Terminal: p.Terminal}, performance)
		if errors.Is(err, demo.ErrNotSurvived) {
			return message.New(message.LabNotSurvived)
		}
		return err
	}, nil
}

// prepareFault reads one fault. The roles of scenarios stand for nodes here too.
func (m *machines) prepareFault(text, lang string) (Act, error) {
	f, err := fault.Parse(text)
	if err != nil {
		bad := message.New(message.LabBadFault, text, err.Error())
		var known []string
		for _, k := range fault.Kinds() {
			known = append(known, string(k))
		}
		if first := strings.Fields(text); len(first) > 0 && !slices.Contains(known, first[0]) {
			return nil, near(bad, first[0], known)
		}
		return nil, bad
	}
	f = f.Resolve(map[string]string{demo.Owner: m.stage.Client().LastGood().Node})
	for _, name := range []string{f.Node, f.Peer} {
		// The outside client is a station of the network too.
		if name != "" && name != "client" {
			if _, err := m.node(name); err != nil {
				return nil, err
			}
		}
	}
	if f.Network != "" && !slices.Contains(vm.Networks(), f.Network) {
		return nil, near(message.New(message.LabBadFault, text, "networks: "+strings.Join(vm.Networks(), ", ")), f.Network, vm.Networks())
	}
	if !fault.Can(m.stage, f) {
		return nil, message.New(message.LabCantPlay, f.String(), fmt.Sprintf(words["not-kind"].In(lang), m.config.Kind))
	}
	return func(ctx context.Context, out, _ io.Writer) error {
		ctx, cancel := context.WithTimeout(ctx, faultWait+f.For)
		defer cancel()
		began := time.Now()
		if err := fault.Apply(ctx, m.stage, f); err != nil {
			return message.New(message.LabFaultFailed, f.String(), err.Error())
		}
		fmt.Fprintf(out, words["fault-done"].In(lang)+"\n", f, time.Since(began).Seconds())
		if end, ok := demo.End(f); ok {
			fmt.Fprintf(out, words["fault-end"].In(lang)+"\n", end)
		}
		return nil
	}, nil
}

func (m *machines) node(name string) (*vm.Node, error) {
	var names []string
	for _, n := range m.nodes {
		if n.Name == name {
			return n, nil
		}
		names = append(names, n.Name)
	}
	return nil, near(message.New(message.LabNoNode, name, strings.Join(names, ", ")), name, names)
}

// Attach runs a program on a node by its agent.
func (m *machines) Attach(ctx context.Context, node string, s Session) (int, error) {
	n, err := m.node(node)
	if err != nil {
		return 0, err
	}
	a, err := n.Agent()
	if err != nil {
		if errors.Is(err, machine.ErrOff) {
			return 0, message.New(message.LabNodeOff, node)
		}
		return 0, err
	}
	code := 0
	if s.Terminal == nil {
		code, err = a.Pipe(ctx, agent.Streams{In: s.In, Out: s.Out, Err: s.Err}, s.Argv...)
	} else {
		sizes := make(chan agent.Size)
		ended := make(chan struct{})
		defer close(ended)
		go func() {
			for {
				select {
				case size := <-s.Sizes:
					select {
					case sizes <- agent.Size(size):
					case <-ended:
						return
					}
				case <-ended:
					return
				}
			}
		}()
		code, err = a.Attach(ctx, agent.Terminal{In: s.In, Out: s.Out, Size: agent.Size(*s.Terminal), Sizes: sizes}, s.Argv...)
	}
	if errors.Is(err, agent.ErrEnded) {
		return code, message.New(message.LabNodeOff, node)
	}
	return code, err
}

// Usable says why such a lab can't be made here.
func usable(c Config) error {
	if os.Geteuid() != 0 {
		return message.New(message.LabNeedsRoot)
	}
	if err := vm.Usable(vm.Kind(c.Kind)); err != nil {
		return message.New(message.LabLacks, err.Error())
	}
	if err := vm.Room(options(c)); err != nil {
		return message.New(message.LabNoRoom, err.Error())
	}
	return nil
}
