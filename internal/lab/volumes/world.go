package volumes

import (
	"container/heap"
	"fmt"
	"math/rand/v2"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/volume"
)

// The size of the play: small, so that what is rare happens often.
const (
	blockSize  = 512
	blocks     = 48
	perExtent  = 4
	slots      = 4
	detection  = 400 * time.Millisecond
	linkTime   = 120 * time.Millisecond
	volumeName = "data"
	volumeID   = "0123456789abcdef0123456789abcdef"
)

// Options of a run.
type Options struct {
	Seed uint64
	// Copies is 2 or 3; 0: by the seed.
	Copies int
	// Async: the last copy is asynchronous. By the seed if Any.
	Async, Any bool
	Broken     volume.Broken
	// Calm: no faults but those that a scenario makes.
	Calm bool
	// Undo log at targets.
	Undo bool
}

// World is one cluster with one volume.
type World struct {
	o      Options
	rnd    *rand.Rand
	now    time.Duration
	queue  timers
	order  uint64
	era    int // counts restores: what was proposed before one is gone
	grants map[cluster.VolumeEpoch]grant
	state  *cluster.State
	backup *cluster.State
	nodes  map[cluster.NodeID]*node
	cut    map[[2]cluster.NodeID]bool
	links  map[uint64]*link
	nextID uint64
	owner  cluster.NodeID // who is told to serve
	ownerG cluster.Generation
	idle   time.Duration // since when nobody is
	faults bool
	quiet  time.Duration // since when clients are still, in the end
	model  model
	log    []string
	fault  string // the first violation
	// Copied counts the blocks that resyncs sent.
	Copied int64
	// Acked counts acknowledged writes, Takeovers new sources.
	Acked, Takeovers, Forced int
}

type timer struct {
	at    time.Duration
	order uint64
	f     func()
}

type timers []timer

func (q timers) Len() int { return len(q) }
func (q timers) Less(i, j int) bool {
	return q[i].at < q[j].at || q[i].at == q[j].at && q[i].order < q[j].order
}
func (q timers) Swap(i, j int) { q[i], q[j] = q[j], q[i] }
func (q *timers) Push(x any)   { *q = append(*q, x.(timer)) }
func (q *timers) Pop() any {
	l := len(*q) - 1
	x := (*q)[l]
	*q = (*q)[:l]
	return x
}

func (w *World) after(d time.Duration, f func()) {
	w.order++
	heap.Push(&w.queue, timer{w.now + d, w.order, f})
}

func (w *World) chance(d time.Duration) time.Duration {
	if d <= 0 {
		return 0
	}
	return time.Duration(w.rnd.Int64N(int64(d)))
}

func (w *World) odds(percent int) bool { return w.rnd.IntN(100) < percent }

func (w *World) say(format string, args ...any) {
	w.log = append(w.log, fmt.Sprintf("%9.3f ", w.now.Seconds()*1000)+fmt.Sprintf(format, args...))
}

func (w *World) violated(format string, args ...any) {
	if w.fault == "" {
		w.fault = fmt.Sprintf(format, args...)
		w.say("VIOLATED: %s", w.fault)
	}
}

// Log is what happened, a line each.
func (w *World) Log() string { return strings.Join(w.log, "\n") }

// New makes a world in which the volume is created and nobody serves yet.
func New(o Options) *World {
	w := &World{o: o, grants: make(map[cluster.VolumeEpoch]grant), rnd: rand.New(rand.NewPCG(o.Seed, 77)), nodes: make(map[cluster.NodeID]*node), cut: make(map[[2]cluster.NodeID]bool), links: make(map[uint64]*link)}
	if w.o.Copies == 0 {
		w.o.Copies = 2 + w.rnd.IntN(2)
	}
	if w.o.Any {
		w.o.Async = w.odds(25)
		w.o.Undo = w.odds(30)
	}
	w.model.init()
	w.state = cluster.New("c", "sim", cluster.AddNode{Name: "n1", Role: cluster.RoleNode}, 1)
	for i := 2; i <= w.o.Copies; i++ {
		w.must(cluster.Command{AddToken: &cluster.AddToken{Token: cluster.Token{Hash: "x", ExpiresUnix: 9}, NowUnix: 1}})
		w.must(cluster.Command{AddNode: &cluster.AddNode{Name: fmt.Sprint("n", i), Role: cluster.RoleNode, TokenHash: "x", NowUnix: 1}})
	}
	w.must(cluster.Command{CreateVolume: &cluster.CreateVolume{Name: volumeName, ID: volumeID, Size: blocks * blockSize, BlockSize: blockSize, ExtentSize: perExtent * blockSize,
		Copy: cluster.VolumeCopy{Node: 1, Device: "/d"}}})
	for i := 2; i <= w.o.Copies; i++ {
		mode := cluster.Sync
		if w.o.Async && i == w.o.Copies {
			mode = cluster.Async
		}
		full := cluster.PauseWhenFull
		if w.odds(50) {
			full = cluster.HoldWhenFull
		}
		w.must(cluster.Command{ExtendVolume: &cluster.ExtendVolume{Name: volumeName, Equal: w.odds(50),
			Copy: cluster.VolumeCopy{Node: cluster.NodeID(i), Device: "/d", Mode: mode, FullQueue: full}}})
	}
	for i := 1; i <= w.o.Copies; i++ {
		n := &node{w: w, id: cluster.NodeID(i)}
		n.disk.init(n)
		w.nodes[n.id] = n
		n.boot()
	}
	w.backup = w.state.Clone()
	w.every(detection/20, w.leases)
	w.every(detection/10, w.plan)
	w.every(2*time.Millisecond, w.client)
	return w
}

func (w *World) every(d time.Duration, f func()) {
	var again func()
	again = func() {
		f()
		w.after(d/2+w.chance(d), again)
	}
	w.after(w.chance(d), again)
}

func (w *World) must(c cluster.Command) {
	if r := w.state.Apply(w.state.Applied+1, &c); r.Refused() {
		panic(fmt.Sprint("set-up: ", r.Refusal))
	}
}

func (w *World) vol() *cluster.Volume { return w.state.Volume(volumeName) }

// propose brings a command of a node to the document: late, lost or twice.
func (w *World) propose(n *node, c cluster.Command) {
	if w.faults && w.odds(10) {
		return
	}
	times, era := 1, w.era
	if w.faults && w.odds(10) {
		times = 2
	}
	for range times {
		d := time.Millisecond + w.chance(4*time.Millisecond)
		if w.faults && w.odds(10) {
			d += w.chance(detection)
		}
		w.after(d, func() {
			if w.era != era || w.away(n.id) && !w.odds(20) { // some left before the cut
				return
			}
			w.apply(c)
		})
	}
}

// apply puts a command into the document, and the news on their way.
func (w *World) apply(c cluster.Command) cluster.Result {
	before := w.vol().Clone()
	r := w.state.Apply(w.state.Applied+1, &c)
	if r.Refused() {
		return r
	}
	v := w.vol()
	if v.Set != before.Set || v.Epoch != before.Epoch || v.Source != before.Source {
		w.say("document: epoch %v set %d source %d members %03b%s", v.Epoch, v.Set, v.Source, v.Members(), standings(v))
	}
	if v.Epoch != before.Epoch && v.Source != 0 {
		was := *before.Copy(v.Source)
		n := w.nodes[was.Node]
		n.accepted = n.accepted || was.Suspect
		w.grants[v.Epoch] = grant{was, v.Epoch.Lineage != before.Epoch.Lineage}
	}
	w.shows()
	return r
}

func standings(v *cluster.Volume) (s string) {
	for _, c := range v.Copies {
		s += fmt.Sprintf(" %d:%s", c.Number, c.Standing)
		if c.Suspect {
			s += "?"
		}
	}
	return s
}

// shows sends the present document to all nodes.
func (w *World) shows() {
	for i := range w.state.Nodes {
		n := w.nodes[w.state.Nodes[i].ID]
		v, applied := w.vol().Clone(), w.state.Applied
		d := time.Millisecond + w.chance(3*time.Millisecond)
		if w.faults && w.odds(10) {
			d += w.chance(detection / 2)
		}
		w.after(d, func() {
			if !w.away(n.id) {
				n.view(applied, v)
			}
		})
	}
}

// away reports whether the node can't reach the document.
func (w *World) away(id cluster.NodeID) bool { return w.cut[[2]cluster.NodeID{0, id}] }

func (w *World) apart(a, b cluster.NodeID) bool {
	return w.cut[[2]cluster.NodeID{min(a, b), max(a, b)}]
}

// leases renews what may be renewed and evicts who was silent for long enough.
func (w *World) leases() {
	for i := range w.state.Nodes {
		sn := &w.state.Nodes[i]
		n := w.nodes[sn.ID]
		if n.up && !n.frozen && !w.away(n.id) {
			switch {
			case sn.Presence == cluster.Present && sn.Generation == n.generation && n.generation != 0:
				n.heard = w.now
				n.lease(n.clock() + detection)
			case n.admitAt <= w.now:
				n.reset()
			}
			continue
		}
		if sn.Presence == cluster.Present && w.now > n.heard+detection*11/10 {
			w.say("evict %v", n.id)
			sn.Presence = cluster.Evicted
			g := w.vol()
			if c := g.CopyOn(n.id); c != nil && g.Source == c.Number {
				g.Source, g.SourceGeneration = 0, 0
			}
			w.shows()
		}
	}
}

// Run plays for so long with faults, then until it has settled without.
func (w *World) Run(faulty time.Duration) error {
	w.faults = !w.o.Calm
	if w.faults {
		w.every(60*time.Millisecond, func() {
			if w.faults {
				w.doSomething()
			}
		})
	}
	w.until(w.now + faulty)
	w.calm()
	deadline := w.now + 12*time.Second
	for w.fault == "" && !w.settled() {
		if w.now > deadline {
			w.violated("it doesn't settle: %s", w.situation())
			break
		}
		w.until(w.now + 50*time.Millisecond)
	}
	if w.fault == "" {
		w.compare()
	}
	if w.fault != "" {
		return fmt.Errorf("seed %d: %s", w.o.Seed, w.fault)
	}
	return nil
}

func (w *World) until(t time.Duration) {
	for w.fault == "" && len(w.queue) > 0 && w.queue[0].at <= t {
		x := heap.Pop(&w.queue).(timer)
		w.now = x.at
		x.f()
	}
	w.now = max(w.now, t)
}

// situation is the whole in a line.
func (w *World) situation() string {
	v := w.vol()
	s := fmt.Sprintf("epoch %v set %d source %d owner %v%s", v.Epoch, v.Set, v.Source, w.owner, standings(v))
	for i := cluster.NodeID(1); int(i) <= w.o.Copies; i++ {
		n := w.nodes[i]
		s += fmt.Sprintf(" | %v up %v", i, n.up)
		if n.m != nil {
			s += fmt.Sprintf(" %s %q %s missing", n.m.Role(), n.m.Why(), n.m.Under())
			for j := cluster.Copy(1); int(j) <= w.o.Copies; j++ {
				s += fmt.Sprintf(" %d", n.m.Missing(j))
			}
		}
	}
	return s
}
