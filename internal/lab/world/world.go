package world

import (
	"fmt"
	"math/rand/v2"
	"time"

	"github.com/perdure-ha/perdure/internal/arbiter"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/core"
)

// Config describes one run.
type Config struct {
	Seed uint64
	// Nodes host resources; Witnesses only vote.
	Nodes, Witnesses int
	// Stores are storage witnesses: passive voters whose objects the nodes
	// step.
	Stores      int
	Hierarchies int
	Detection   time.Duration
	// Provoke adds faults at the most dangerous moments; Changes adds changes of
	// members and of the detection time.
	Provoke, Changes bool
	// Policies adds what administrators ask for, two of them at once, and the
	// power loss of the whole site.
	Policies bool
	// Watchdog is the time-out of every node's watchdog; 0: there is none.
	Watchdog time.Duration
	// Lose lets one node lose its disk, so that it joins again as a new one.
	Lose bool
	// Broken removes a rule from every core, for negative controls.
	Broken arbiter.Broken
	// Tell receives the story, a line per event worth telling; nil: none.
	Tell func(at time.Duration, line string)
}

// World is a cluster and everything around it.
type World struct {
	cfg   Config
	rand  *rand.Rand
	now   time.Duration // real time; nobody inside can read it
	queue queue

	steps   uint64
	calm    bool // no fault any more
	wanting bool
	nodes   []*node
	stores  []*store
	net     network
	check   checker
	// observe sees all effects before they are carried out; for scenarios.
	observe func(*node, *core.Effects)
}

// New builds the cluster: all nodes on, formed, and nothing wrong with it yet.
func New(cfg Config) *World {
	w := &World{cfg: cfg, rand: rand.New(rand.NewPCG(cfg.Seed, 0x9e3779b97f4a7c15))}
	w.net = newNetwork(w, cfg.Nodes+cfg.Witnesses)
	w.check = newChecker(w)
	w.found()
	return w
}

// Now is the virtual time since the start.
func (w *World) Now() time.Duration { return w.now }

// after plans something.
func (w *World) after(d time.Duration, do func()) { w.at(w.now+d, do) }

func (w *World) at(t time.Duration, do func()) { w.queue.push(max(t, w.now), item{do: do}) }

// arrives plans the arrival of a packet.
func (w *World) arrives(t time.Duration, from, to int, packet core.Event) {
	w.queue.push(max(t, w.now), item{packet: packet, from: int32(from), to: int32(to)})
}

// Run lets the world go on until the time, or until an invariant is violated.
func (w *World) Run(until time.Duration) error {
	for w.queue.len() > 0 && w.queue.next() <= until {
		if err := w.step(); err != nil {
			return err
		}
	}
	w.now = until
	return w.check.after()
}

// stepsMax bounds a run: a healthy one needs a hundredth of it. Whoever asks to
// be woken again and again at the same moment is found by it.
const stepsMax = 300_000

func (w *World) step() error {
	at, it := w.queue.pop()
	w.now = at
	switch {
	case it.packet != nil:
		w.net.arrive(int(it.from), int(it.to), it.packet)
	case it.rings:
		w.nodes[it.from].ring(int(it.to), it.turn)
	default:
		it.do()
	}
	if w.steps++; w.steps > stepsMax*max(1, uint64(len(w.nodes))/4) {
		w.check.fail("no end after %d steps", w.steps)
	}
	return w.check.after()
}

// RunUntil lets the world go on until the condition holds, as seen now and
// then; it reports whether it did before the time.
func (w *World) RunUntil(until time.Duration, cond func() bool) (bool, error) {
	pause := w.cfg.Detection / 50
	for {
		if cond() {
			return true, w.check.after()
		}
		if w.now >= until {
			return false, w.check.after()
		}
		if err := w.Run(min(w.now+pause, until)); err != nil {
			return false, err
		}
	}
}

func (w *World) tell(format string, args ...any) {
	if w.cfg.Tell != nil {
		w.cfg.Tell(w.now, fmt.Sprintf(format, args...))
	}
}

// chance is a random duration below d.
func (w *World) chance(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rand.Int64N(int64(d)))
}

func (w *World) maybe(percent int) bool { return w.rand.IntN(100) < percent }

// timing is that of the configuration.
func (w *World) timing() cluster.Timing { return cluster.TimingFor(w.cfg.Detection) }
