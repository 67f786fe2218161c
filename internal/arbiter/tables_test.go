package arbiter

import (
	"slices"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

const sec = time.Second

func at(t time.Duration) cluster.Instant { return cluster.Instant{Mono: t, Boot: t} }

// three is a cluster of three voters, all present under generation 1, with a
// detection time of a second and configuration 5.
func three() *cluster.State {
	s := &cluster.State{Detection: sec, Ceiling: sec, Conf: 5, Voters: []cluster.NodeID{1, 2, 3}}
	for id := cluster.NodeID(1); id <= 3; id++ {
		s.Nodes = append(s.Nodes, cluster.Node{ID: id, Name: id.String(), Role: cluster.RoleNode, Presence: cluster.Present, Generation: 1})
	}
	return s
}

// ripe is how long a voter waits.
const ripe = sec + 20202021*time.Nanosecond

func TestMargin(t *testing.T) {
	if got := sec + cluster.MarginFor(sec); got != ripe {
		t.Fatalf("got %v, the tests assume %v", got, ripe)
	}
}

func TestAcknowledge(t *testing.T) {
	for _, c := range []struct {
		name  string
		state func(*cluster.State)
		voter func(*Voter)
		beat  Beat
		want  Refusal
	}{
		{name: "present", beat: Beat{Node: 1, Generation: 1}, want: Granted},
		{name: "unmanaged", state: func(s *cluster.State) { s.Nodes[0].Presence = cluster.Unmanaged }, beat: Beat{Node: 1, Generation: 1}, want: Granted},
		{name: "evicted", state: func(s *cluster.State) { s.Nodes[0].Presence = cluster.Evicted }, beat: Beat{Node: 1, Generation: 1}, want: RefusedGeneration},
		{name: "left", state: func(s *cluster.State) { s.Nodes[0].Presence = cluster.Left }, beat: Beat{Node: 1, Generation: 1}, want: RefusedGeneration},
		{name: "an earlier boot", state: func(s *cluster.State) { s.Nodes[0].Generation = 2 }, beat: Beat{Node: 1, Generation: 1}, want: RefusedGeneration},
		{name: "a boot not yet known", beat: Beat{Node: 1, Generation: 2}, want: RefusedGeneration},
		{name: "nobody", beat: Beat{Node: 9, Generation: 1}, want: RefusedGeneration},
		{name: "promised", voter: func(v *Voter) { v.MakePromise(1, 1) }, beat: Beat{Node: 1, Generation: 1}, want: RefusedPromised},
		{name: "another boot was promised", voter: func(v *Voter) { v.MakePromise(1, 7) }, beat: Beat{Node: 1, Generation: 1}, want: Granted},
		{name: "no vote", state: func(s *cluster.State) { s.Voters = []cluster.NodeID{1, 3} }, beat: Beat{Node: 1, Generation: 1}, want: RefusedNoVote},
		{name: "no vote and promised", state: func(s *cluster.State) { s.Voters = []cluster.NodeID{1, 3} }, voter: func(v *Voter) { v.MakePromise(1, 1) }, beat: Beat{Node: 1, Generation: 1}, want: RefusedNoVote},
	} {
		s := three()
		if c.state != nil {
			c.state(s)
		}
		v := NewVoter(2, at(0), s, nil, Broken{})
		if c.voter != nil {
			c.voter(v)
		}
		c.beat.Sent, c.beat.Conf = 77, 3
		a := v.Acknowledge(at(sec), s, c.beat)
		want := Ack{Voter: 2, Generation: c.beat.Generation, Conf: 5, Sent: 77, Refusal: c.want}
		if c.want == Granted {
			want.Granted = sec
		}
		if a != want {
			t.Errorf("%s: got %+v, want %+v", c.name, a, want)
		}
		if _, ok := v.Silent(at(sec), c.beat.Node, c.beat.Generation); ok != (c.want == Granted) {
			t.Errorf("%s: remembered as acknowledged: %v", c.name, ok)
		}
	}
}

func TestRipe(t *testing.T) {
	start := 10 * sec
	for _, c := range []struct {
		name string
		do   func(v *Voter, s *cluster.State)
		want time.Duration
	}{
		{"a voter that just started waits, whoever it is about", func(*Voter, *cluster.State) {}, start + ripe},
		{"after the last acknowledgement", func(v *Voter, s *cluster.State) {
			v.Acknowledge(at(20*sec), s, Beat{Node: 1, Generation: 1})
			v.Acknowledge(at(30*sec), s, Beat{Node: 1, Generation: 1})
		}, 30*sec + ripe},
		{"not after those of another boot", func(v *Voter, s *cluster.State) {
			v.Acknowledge(at(20*sec), s, Beat{Node: 1, Generation: 1})
			s.Nodes[0].Generation = 2
			v.Applied(at(25*sec), s)
			s.Nodes[0].Generation = 1
		}, 20*sec + ripe},
		{"after the configuration changed", func(v *Voter, s *cluster.State) { s.Conf++; v.Applied(at(40*sec), s) }, 40*sec + ripe},
		{"something else changed", func(v *Voter, s *cluster.State) { s.Applied++; v.Applied(at(40*sec), s) }, start + ripe},
		{"after a pause of this process", func(v *Voter, _ *cluster.State) { v.Doubt(at(50 * sec)) }, 50*sec + ripe},
		{"an older pause says nothing", func(v *Voter, _ *cluster.State) { v.Doubt(at(sec)) }, start + ripe},
		{"under the ceiling while a lowered detection time settles", func(_ *Voter, s *cluster.State) { s.Ceiling = 4 * sec }, start + 4*sec + cluster.MarginFor(4*sec)},
		{"an acknowledgement under a longer detection time is remembered", func(v *Voter, s *cluster.State) {
			s.Detection, s.Ceiling = 9*sec, 9*sec
			v.Acknowledge(at(20*sec), s, Beat{Node: 1, Generation: 1})
			s.Detection, s.Ceiling = sec, sec
		}, 20*sec + 9*sec + cluster.MarginFor(9*sec)},
	} {
		s := three()
		v := NewVoter(2, at(start), s, nil, Broken{})
		v.Applied(at(start), s)
		c.do(v, s)
		if got := v.Ripe(s, 1, 1); got != c.want {
			t.Errorf("%s: ripe at %v, want %v", c.name, got, c.want)
		}
		if v.MayPromise(at(c.want-1), s, 1, 1, s.Conf) || !v.MayPromise(at(c.want), s, 1, 1, s.Conf) {
			t.Errorf("%s: a promise is not possible from %v on", c.name, c.want)
		}
	}
}

func TestMayPromise(t *testing.T) {
	late := at(time.Hour)
	for _, c := range []struct {
		name  string
		state func(*cluster.State)
		id    cluster.NodeID
		g     cluster.Generation
		conf  uint64
		want  bool
	}{
		{name: "silent", id: 1, g: 1, conf: 5, want: true},
		{name: "itself", id: 2, g: 1, conf: 5},
		{name: "another boot", id: 1, g: 2, conf: 5},
		{name: "another configuration", id: 1, g: 1, conf: 4},
		{name: "nobody", id: 9, g: 1, conf: 5},
		{name: "unmanaged", id: 1, g: 1, conf: 5, state: func(s *cluster.State) { s.Nodes[0].Presence = cluster.Unmanaged }},
		{name: "evicted already", id: 1, g: 1, conf: 5, state: func(s *cluster.State) { s.Nodes[0].Presence = cluster.Evicted }},
		{name: "no vote", id: 1, g: 1, conf: 5, state: func(s *cluster.State) { s.Voters = []cluster.NodeID{1, 3} }},
	} {
		s := three()
		if c.state != nil {
			c.state(s)
		}
		v := NewVoter(2, at(0), s, nil, Broken{})
		if got := v.MayPromise(late, s, c.id, c.g, c.conf); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}

func TestPromisesLast(t *testing.T) {
	s := three()
	v := NewVoter(2, at(0), s, nil, Broken{})
	if !v.MakePromise(1, 1) || v.MakePromise(1, 1) || !v.MakePromise(3, 1) {
		t.Error("what is new about a promise isn't told right")
	}
	again := NewVoter(2, at(sec), s, v.Promises(), Broken{})
	if a := again.Acknowledge(at(time.Hour), s, Beat{Node: 1, Generation: 1}); a.Refusal != RefusedPromised {
		t.Errorf("after a restart: %+v", a)
	}
	s.Conf++
	s.Nodes[0].Presence = cluster.Evicted
	if again.Applied(at(time.Hour), s) || len(again.Promises()) != 2 {
		t.Error("a change of the configuration or the eviction itself ended a promise")
	}
	s.Nodes[0].Generation, s.Nodes[0].Presence = 2, cluster.Present
	if !again.Applied(at(time.Hour), s) || !slices.Equal(again.Promises(), []Promise{{Node: 3, Generation: 1}}) {
		t.Errorf("after the next admission: %v", again.Promises())
	}
	s.Nodes = s.Nodes[:2]
	if !again.Applied(at(time.Hour), s) || len(again.Promises()) != 0 {
		t.Errorf("after the node was removed: %v", again.Promises())
	}
}

func TestLease(t *testing.T) {
	ack := func(v cluster.NodeID, sent time.Duration) Ack {
		return Ack{Voter: v, Generation: 1, Conf: 5, Granted: sec, Sent: sent}
	}
	with := func(a Ack, change func(*Ack)) Ack { change(&a); return a }
	now := 10 * sec
	for _, c := range []struct {
		name   string
		voters []cluster.NodeID
		acks   []Ack
		want   time.Duration
	}{
		{"alone of three", nil, nil, 0},
		{"one other of three", nil, []Ack{ack(2, 9*sec)}, 10 * sec},
		{"the later of two others", nil, []Ack{ack(2, 8*sec), ack(3, 9*sec)}, 10 * sec},
		{"two others of five are as good as the earlier", []cluster.NodeID{1, 2, 3, 4, 5}, []Ack{ack(2, 8*sec), ack(3, 9*sec)}, 9 * sec},
		{"one other of five is nothing", []cluster.NodeID{1, 2, 3, 4, 5}, []Ack{ack(2, 9*sec)}, 0},
		{"the only voter needs nobody", []cluster.NodeID{1}, nil, 11 * sec},
		{"without a vote two of three are needed", []cluster.NodeID{2, 3, 4}, []Ack{ack(2, 9*sec)}, 0},
		{"without a vote by two", []cluster.NodeID{2, 3, 4}, []Ack{ack(2, 9*sec), ack(4, 8*sec)}, 9 * sec},
		{"an even number needs more than half", []cluster.NodeID{1, 2, 3, 4}, []Ack{ack(2, 9*sec)}, 0},
		{"of who has no vote", nil, []Ack{ack(4, 9*sec)}, 0},
		{"of another boot", nil, []Ack{with(ack(2, 9*sec), func(a *Ack) { a.Generation = 2 })}, 0},
		{"under another configuration", nil, []Ack{with(ack(2, 9*sec), func(a *Ack) { a.Conf = 4 })}, 0},
		{"of itself", nil, []Ack{ack(1, 9*sec)}, 0},
		{"sent in the future", nil, []Ack{ack(2, 11*sec)}, 0},
		{"refused", nil, []Ack{with(ack(2, 9*sec), func(a *Ack) { a.Refusal, a.Granted = RefusedPromised, 0 })}, 0},
		{"granted, then refused: what was granted stays", nil, []Ack{ack(2, 9*sec), with(ack(2, 9500*time.Millisecond), func(a *Ack) { a.Refusal, a.Granted = RefusedPromised, 0 })}, 10 * sec},
		{"overtaken by an older one", nil, []Ack{ack(2, 9*sec), ack(2, 8*sec)}, 10 * sec},
		{"a newer configuration takes the place of an older one", nil, []Ack{with(ack(2, 9*sec), func(a *Ack) { a.Conf = 6 }), ack(2, 9*sec)}, 0},
		{"twice from one is one", []cluster.NodeID{1, 2, 3, 4, 5}, []Ack{ack(2, 9*sec), ack(2, 9*sec+1)}, 0},
		{"the duration is the voter's word", nil, []Ack{with(ack(2, 9*sec), func(a *Ack) { a.Granted = 3 * sec })}, 11 * sec},
	} {
		s := three()
		if c.voters != nil {
			s.Voters = c.voters
		}
		h := NewHolder(1, Broken{})
		h.Begin(1)
		for _, a := range c.acks {
			h.Heard(at(now), a)
		}
		l := h.Lease(at(now), s)
		if l.Until != c.want {
			t.Errorf("%s: until %v, want %v", c.name, l.Until, c.want)
		}
		if c.want > 0 && (l.Gate != c.want-s.Timing().GateSlack || l.Alive(at(l.Gate)) || !l.Alive(at(l.Gate-1)) || l.Over(at(l.Until-1)) || !l.Over(at(l.Until))) {
			t.Errorf("%s: gate %v of %v", c.name, l.Gate, l.Until)
		}
	}
}

func TestLeaseLives(t *testing.T) {
	s := three()
	h := NewHolder(1, Broken{})
	if l := h.Lease(at(sec), s); l != (Lease{}) || l.Alive(at(sec)) {
		t.Errorf("without a generation: %+v", l)
	}
	h.Begin(1)
	h.Heard(at(10*sec), Ack{Voter: 2, Generation: 1, Conf: 5, Granted: sec, Sent: 10 * sec})
	if l := h.Lease(at(10*sec), s); l.Until != 11*sec {
		t.Fatalf("until %v", l.Until)
	}
	s.Conf, s.Voters = 6, []cluster.NodeID{1, 3, 4}
	if l := h.Lease(at(10*sec), s); l.Until != 11*sec {
		t.Errorf("a lease that was earned ends with its configuration: %v", l.Until)
	}
	h.Begin(1)
	if l := h.Lease(at(10*sec), s); l.Until != 11*sec {
		t.Error("the same generation began anew")
	}
	h.Begin(2)
	if l := h.Lease(at(10*sec), s); l.Until != 0 || l.Generation != 2 {
		t.Errorf("the next generation inherited %+v", l)
	}
}

func TestHopeless(t *testing.T) {
	no := func(v cluster.NodeID, r Refusal) Ack { return Ack{Voter: v, Generation: 1, Refusal: r} }
	for _, c := range []struct {
		name string
		acks []Ack
		want bool
	}{
		{"nobody against", nil, false},
		{"one of three", []Ack{no(2, RefusedPromised)}, false},
		{"two of three", []Ack{no(2, RefusedPromised), no(3, RefusedPromised)}, true},
		{"who doesn't know the generation yet may learn it", []Ack{no(2, RefusedPromised), no(3, RefusedGeneration)}, false},
		{"one changed its mind, by another configuration", []Ack{no(2, RefusedPromised), no(3, RefusedPromised), {Voter: 3, Generation: 1, Conf: 5, Granted: sec}}, false},
	} {
		h := NewHolder(1, Broken{})
		h.Begin(1)
		for _, a := range c.acks {
			h.Heard(at(sec), a)
		}
		if got := h.Hopeless(three()); got != c.want {
			t.Errorf("%s: got %v", c.name, got)
		}
	}
}
