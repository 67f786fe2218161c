package arbiter

import (
	"fmt"
	"math/rand/v2"
	"slices"
	"testing"
	"time"

	"pgregory.net/rapid"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// model is a cluster as leases see it: real voters, a real holder, and a log
// whose entries commit as raft commits them. Node 1 holds the lease. Real time
// is known to the model alone; every clock runs at a rate of its own.
//
// What raft gives is modelled by floors: whoever appends an entry learns by it
// up to where the proposer has applied, and keeps that through a restart.
type model struct {
	choose func(n int) int
	broken Broken

	now   time.Duration // real
	nodes []*modelNode
	log   []cluster.Command
	first *cluster.State // none of the log applied
	head  *cluster.State // all of it
	hold  *Holder
	acks  []Ack // under way
	// evicted is set once, with the configuration; settleAt is when the second
	// step of settling is due.
	evicted  bool
	settleAt time.Duration
	story    []string
}

type modelNode struct {
	id    cluster.NodeID
	rate  float64
	state *cluster.State
	voter *Voter
	disk  []Promise // durable
	floor int       // entries that it still knows of after a restart
	yes   uint64    // configuration under which it promised
}

const modelD = time.Second

func newModel(choose func(int) int, broken Broken) *model {
	m := &model{choose: choose, broken: broken, hold: NewHolder(1, broken), settleAt: cluster.Never}
	s := cluster.New("c", "model", cluster.AddNode{Name: "n1", Role: cluster.RoleNode}, 0)
	s.Detection, s.Ceiling = modelD, modelD
	s.Nodes[0].Presence, s.Nodes[0].Generation = cluster.Present, 1
	for id := cluster.NodeID(2); id <= 5; id++ {
		s.Nodes = append(s.Nodes, cluster.Node{ID: id, Name: id.String(), Role: cluster.RoleNode, Presence: cluster.Present, Generation: 1})
	}
	s.Voters, s.Learners, s.NextID = []cluster.NodeID{1, 2, 3}, []cluster.NodeID{4, 5}, 6
	m.first, m.head = s, s.Clone()
	for id := cluster.NodeID(1); id <= 5; id++ {
		n := &modelNode{id: id, rate: []float64{0.9951, 1, 1.0049}[choose(3)], state: s.Clone()}
		n.voter = NewVoter(id, n.at(0), n.state, nil, broken)
		n.voter.Applied(n.at(0), n.state)
		m.nodes = append(m.nodes, n)
	}
	m.hold.Begin(1)
	return m
}

func (n *modelNode) at(real time.Duration) cluster.Instant {
	t := time.Hour + time.Duration(float64(real)*n.rate)
	return cluster.Instant{Mono: t, Boot: t}
}

func (m *model) tell(format string, args ...any) {
	m.story = append(m.story, fmt.Sprintf("%v: "+format, append([]any{m.now}, args...)...))
}

func (n *modelNode) applied() int { return int(n.state.Applied) - 1 }

// apply takes the node further along the log.
func (m *model) apply(n *modelNode, to int) {
	for i := n.applied(); i < to; i++ {
		c := m.log[i]
		n.state.Apply(uint64(i)+2, &c)
		n.voter.Applied(n.at(m.now), n.state)
		if n.id == 1 && c.Evict != nil {
			m.hold.Begin(0) // it knows
		}
	}
}

// commit appends an entry whose proposer has applied so much; a majority of the
// voters must have learnt that much by it. It reports whether it could.
func (m *model) commit(c cluster.Command, known int) bool {
	var who []*modelNode
	for _, v := range m.head.Voters {
		if n := m.nodes[v-1]; n.applied() >= known {
			who = append(who, n)
		}
	}
	if len(who) < m.head.Majority() {
		return false
	}
	for _, n := range who {
		n.floor = max(n.floor, known)
	}
	m.log = append(m.log, c)
	m.head.Apply(uint64(len(m.log))+1, &c)
	return true
}

// lastConf is the number of entries up to the last change of voters or of the
// detection time.
func (m *model) lastConf(memberOnly bool) int {
	for i := len(m.log); i > 0; i-- {
		if c := &m.log[i-1]; c.Member != nil || !memberOnly && c.SetDetection != nil {
			return i
		}
	}
	return 0
}

// step does something that may happen.
func (m *model) step() {
	n := m.nodes[m.choose(len(m.nodes))]
	switch m.choose(16) {
	case 0, 1, 2:
		m.now += time.Duration(m.choose(200)) * time.Millisecond
	case 3:
		m.now += m.head.Ceiling/2 + time.Duration(m.choose(700))*time.Millisecond
	case 4, 5, 6:
		m.beat()
	case 7:
		for len(m.acks) > 0 && m.choose(3) > 0 {
			m.deliver(m.choose(len(m.acks)))
		}
	case 8:
		to := n.applied() + m.choose(len(m.log)-n.applied()+1)
		m.apply(n, to)
	case 9:
		// Changes come one upon the other, and some hear of them late.
		for range m.choose(3) {
			if len(m.log) < 12 {
				m.changeVoters()
			}
			for _, n := range m.nodes {
				if m.choose(3) > 0 {
					m.apply(n, len(m.log))
				}
			}
		}
	case 10:
		d := []time.Duration{modelD / 2, modelD, 2 * modelD}[m.choose(3)]
		if len(m.log) < 12 && m.commit(cluster.Command{SetDetection: &cluster.SetDetection{Detection: d}}, 0) {
			m.tell("detection %v, settling %d", m.head.Detection, m.head.Settling)
		}
	case 11:
		m.settle()
	case 12:
		m.restart(n)
	case 13, 14:
		// The most dangerous moment is when a promise is just ripe.
		ripe := n.voter.Ripe(n.state, 1, 1) - time.Hour
		m.now = max(m.now, time.Duration(float64(ripe)/n.rate)+time.Duration(m.choose(3))*time.Millisecond)
		for _, n := range m.nodes {
			m.promise(n)
		}
		m.evict()
	case 15:
		for _, n := range m.nodes {
			m.apply(n, n.applied()+m.choose(len(m.log)-n.applied()+1))
		}
	}
}

// beat goes to some voters; acknowledgements may stay under way.
func (m *model) beat() {
	x := m.nodes[0]
	b := Beat{Node: 1, Generation: 1, Conf: x.state.Conf, Sent: x.at(m.now).Boot}
	mask := m.choose(16)
	if m.choose(2) == 0 {
		mask = 1 << m.choose(4)
	}
	for i, n := range m.nodes[1:] {
		if mask>>i&1 == 1 {
			m.acks = append(m.acks, n.voter.Acknowledge(n.at(m.now), n.state, b))
			if m.choose(3) > 0 {
				m.deliver(len(m.acks) - 1)
			}
		}
	}
}

func (m *model) deliver(i int) {
	a := m.acks[i]
	m.acks = slices.Delete(m.acks, i, i+1)
	m.hold.Heard(m.nodes[0].at(m.now), a)
}

func (m *model) changeVoters() {
	id := cluster.NodeID(2 + m.choose(4))
	as := cluster.AsVoter
	if m.head.IsVoter(id) {
		as = cluster.AsLearner
	}
	c := cluster.Command{Member: &cluster.Member{Node: id, As: as}}
	if m.head.CheckMember(c.Member).Refused() {
		return
	}
	// raft takes one change at a time: the proposer has applied the last one.
	if m.commit(c, m.lastConf(true)) {
		m.tell("%v becomes %s: voters %v", id, as, m.head.Voters)
	}
}

func (m *model) settle() {
	c := cluster.Command{SettleDetection: &cluster.SettleDetection{Conf: m.head.Conf, Step: m.head.Settling}}
	switch {
	case m.head.Settling == 1 && m.commit(c, m.lastConf(false)):
		// The leader's clock may be the fastest.
		m.settleAt = m.now + time.Duration(float64(m.head.Ceiling+cluster.MarginFor(m.head.Ceiling))/1.0049)
		m.tell("settling, until %v", m.settleAt)
	case m.head.Settling == 2 && m.now >= m.settleAt && m.commit(c, m.lastConf(false)):
		m.tell("settled: ceiling %v", m.head.Ceiling)
	}
}

// restart is that of a voter's process: what it applied lately it learns again.
func (m *model) restart(n *modelNode) {
	if n.id == 1 {
		return // the holder's restart ends the generation
	}
	keep := n.floor + m.choose(n.applied()-n.floor+1)
	m.tell("%v restarts with %d of %d entries", n.id, keep, n.applied())
	n.state = m.fresh()
	for i := range keep {
		c := m.log[i]
		n.state.Apply(uint64(i)+2, &c)
	}
	n.voter = NewVoter(n.id, n.at(m.now), n.state, n.disk, m.broken)
	n.voter.Applied(n.at(m.now), n.state)
}

func (m *model) fresh() *cluster.State {
	return m.first.Clone()
}

func (m *model) promise(n *modelNode) {
	if !n.voter.MayPromise(n.at(m.now), n.state, 1, 1, n.state.Conf) {
		return
	}
	if n.voter.MakePromise(1, 1) || n.yes != n.state.Conf {
		m.tell("%v promises under configuration %d", n.id, n.state.Conf)
	}
	n.disk, n.yes = n.voter.Promises(), n.state.Conf
}

func (m *model) evict() {
	if m.evicted {
		return
	}
	ev := cluster.Evict{Node: 1, Generation: 1, Conf: m.head.Conf}
	for _, n := range m.nodes {
		if n.yes == m.head.Conf {
			ev.Promises = append(ev.Promises, n.id)
		}
	}
	c := cluster.Command{Evict: &ev}
	if r := m.head.Clone().Apply(uint64(len(m.log))+2, &c); !r.Refused() && m.commit(c, m.lastConf(true)) {
		m.evicted = true
		m.tell("evicted, promised by %v of %v", ev.Promises, m.head.Voters)
	}
}

// check is the oracle: after the eviction the holder has no lease, and gets none
// by whatever is still under way.
func (m *model) check() error {
	x := m.nodes[0]
	now := x.at(m.now)
	l := m.hold.Lease(now, x.state)
	if l.Gate > l.Until {
		return fmt.Errorf("%v: the gate is open until %v and the lease ends at %v", m.now, l.Gate, l.Until)
	}
	if m.evicted && !l.Over(now) {
		return fmt.Errorf("%v: evicted, and the lease lives for another %v", m.now, l.Until-now.Boot)
	}
	return nil
}

func (m *model) run(steps int) error {
	for range steps {
		m.step()
		if err := m.check(); err != nil {
			return err
		}
	}
	return nil
}

// TestLeaseModel: whatever is lost, late, restarted or changed, no lease
// outlives what a majority's promises allow.
func TestLeaseModel(t *testing.T) {
	rapid.Check(t, func(t *rapid.T) {
		m := newModel(func(n int) int { return rapid.IntRange(0, n-1).Draw(t, "choice") }, Broken{})
		if err := m.run(120); err != nil {
			t.Fatalf("%v\n%v", err, m.story)
		}
	})
}

// TestLeaseModelFar is the same with many more seeds than rapid can shrink.
func TestLeaseModelFar(t *testing.T) {
	evicted, n := 0, uint64(2000)
	if underRace {
		n = 200
	}
	for seed := range n {
		m := modelOf(seed, Broken{})
		if err := m.run(150); err != nil {
			t.Fatalf("seed %d: %v\n%s", seed, err, lines(m.story))
		}
		if m.evicted {
			evicted++
		}
	}
	if evicted < int(n)/2 {
		t.Errorf("only %d runs came to an eviction: the model shows little", evicted)
	}
}

// TestLeaseModelNotices: without each rule the model finds a schedule in which
// two could serve.
func TestLeaseModelNotices(t *testing.T) {
	for name, broken := range map[string]Broken{
		"no restart wait":       {NoRestartWait: true},
		"no margin":             {NoMargin: true},
		"acknowledges after it": {AckAfter: true},
		"no configuration wait": {NoConfWait: true},
		"lease without an end":  {NoLeaseEnd: true},
		"promises forgotten":    {ForgetPromises: true},
	} {
		t.Run(name, func(t *testing.T) {
			for seed := range uint64(5000) {
				if modelOf(seed, broken).run(150) != nil {
					t.Logf("found at seed %d", seed)
					return
				}
			}
			t.Error("not noticed")
		})
	}
}

func modelOf(seed uint64, broken Broken) *model {
	return newModel(rand.New(rand.NewPCG(seed, 1)).IntN, broken)
}

func lines(story []string) (out string) {
	for _, l := range story {
		out += l + "\n"
	}
	return out
}
