package apitest

import (
	"context"
	"slices"
	"strings"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/decide"
	"github.com/perdure-ha/perdure/internal/message"
)

// Fake is a world behind the API. It carries commands out at once and plays the
// nodes: a hierarchy that is wanted in service comes in service on the first
// node that may have it. On a node named "broken" nothing starts, and on one
// named "slow" nothing ever finishes.
type Fake struct {
	mu      sync.Mutex
	world   *World
	changed chan struct{}
	stopped chan struct{}
	once    sync.Once
	work    sync.WaitGroup
	follows int
}

var _ api.Backend = (*Fake)(nil)

// NewFake puts a world behind the API.
func NewFake(w *World) *Fake {
	return &Fake{world: w, changed: make(chan struct{}), stopped: make(chan struct{})}
}

// Stopped is closed when the node was asked to stop.
func (f *Fake) Stopped() <-chan struct{} { return f.stopped }

// Close waits for what is under way.
func (f *Fake) Close() {
	f.once.Do(func() { close(f.stopped) })
	f.work.Wait()
}

// Do changes the world by a line.
func (f *Fake) Do(line string) error {
	f.mu.Lock()
	defer f.mu.Unlock()
	// Readers hold the state without a lock, so it is replaced.
	f.world.State = f.world.State.Clone()
	f.world.wall = time.Now().UnixMilli()
	err := f.world.Do(line)
	f.wake()
	return err
}

func (f *Fake) wake() {
	close(f.changed)
	f.changed = make(chan struct{})
}

func (f *Fake) State() *cluster.State {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.world.State
}

func (f *Fake) Local() api.Local {
	f.mu.Lock()
	defer f.mu.Unlock()
	l := f.world.Local
	l.Nodes, l.Paths, l.Alarms = slices.Clone(l.Nodes), slices.Clone(l.Paths), slices.Clone(l.Alarms)
	return l
}

func (f *Fake) Changed() <-chan struct{} {
	f.mu.Lock()
	defer f.mu.Unlock()
	f.follows++
	return f.changed
}

// Follows counts the calls of Changed: how often somebody began to wait for
// news.
func (f *Fake) Follows() int {
	f.mu.Lock()
	defer f.mu.Unlock()
	return f.follows
}

func (f *Fake) Propose(_ context.Context, c cluster.Command) (cluster.Result, error) {
	f.mu.Lock()
	defer f.mu.Unlock()
	w := f.world
	w.State = w.State.Clone()
	w.index++
	w.wall = time.Now().UnixMilli()
	c.WallMilli = w.wall
	r := w.State.Apply(w.index, &c)
	f.wake()
	if !r.Refused() {
		switch {
		case c.SetWant != nil:
			f.react(c.SetWant.Hierarchy)
		case c.StartMove != nil:
			f.react(c.StartMove.Hierarchy)
		case c.Confirm != nil:
			f.react(c.Confirm.Hierarchy)
		case c.Extend != nil:
			f.look(w.State.Hierarchy(c.Extend.Hierarchy), r.Entry)
		default:
			f.plan()
		}
	}
	return r, nil
}

// look plays a node that looks whether it could have a hierarchy: "broken" can't,
// and "slow" never says.
func (f *Fake) look(h *cluster.Hierarchy, entry uint64) {
	e := h.Extending[len(h.Extending)-1]
	name := f.world.State.NodeName(e.Node)
	c := cluster.Command{By: name, Reason: cluster.Because("PD3242", h.Name, name),
		Extended: &cluster.Extended{Hierarchy: h.Name, Node: e.Node, Entry: entry, OK: true, Seen: h.Changed}}
	switch name {
	case "slow":
		return
	case "broken":
		c.Extended.OK = false
		c.Reason = cluster.Because("PD3243", h.Name, name, "the program /opt/web is not there")
	}
	f.work.Go(func() { _, _ = f.Propose(context.Background(), c) })
}

// plan has the real planner look at what was changed, as a leader that hears
// everybody, and carries out what it proposes of switchovers.
func (f *Fake) plan() {
	s := f.world.State
	var views []decide.View
	for i := range s.Nodes {
		views = append(views, decide.View{Node: s.Nodes[i].ID, Reachable: true})
	}
	for _, c := range decide.NewPlanner(f.world.Local.Self).Step(cluster.Instant{Mono: time.Hour, Boot: time.Hour}, s, views) {
		if c.StartMove == nil {
			continue
		}
		f.world.index++
		c.WallMilli = f.world.wall
		if r := s.Apply(f.world.index, &c); !r.Refused() {
			f.react(c.StartMove.Hierarchy)
		}
	}
}

// react plays the nodes, a step every few milliseconds.
func (f *Fake) react(name string) {
	f.work.Go(func() {
		tick := time.NewTicker(20 * time.Millisecond)
		defer tick.Stop()
		for {
			select {
			case <-f.stopped:
				return
			case <-tick.C:
			}
			line := f.next(name)
			if line == "" {
				return
			}
			if line == "-" {
				continue
			}
			if err := f.Do(line); err != nil {
				return
			}
		}
	})
}

// next is what a node would do next about a hierarchy; empty: nothing, and "-":
// wait.
func (f *Fake) next(name string) string {
	st := f.State()
	h := st.Hierarchy(name)
	if h == nil {
		return ""
	}
	owner := st.NodeName(h.Owner)
	switch {
	case owner == "slow" && h.Status != cluster.InService:
		return "-"
	case h.Owner != 0 && h.Status == cluster.Starting && owner == "broken":
		return `report ` + name + ` failed PD3204 web broken "the program ended" +resource:web`
	case h.Owner != 0 && h.Status == cluster.Starting:
		return `report ` + name + ` "in service" PD3911 ` + name + ` ` + owner + ` +PD3201:web:10ms@15ms`
	case h.Owner != 0 && h.Status == cluster.Stopping:
		return `report ` + name + ` "out of service" PD3912 ` + name + ` ` + owner + ` +PD3202:web:5ms@9ms`
	case h.Owner != 0 && h.Want == cluster.WantOutOfService:
		return `report ` + name + ` stopping PD3213 ` + name + ` ` + owner
	case h.Owner != 0 && h.Move != nil && h.Move.To != h.Owner:
		return `report ` + name + ` stopping PD3214 ` + name + ` ` + owner + ` ` + st.NodeName(h.Move.To)
	case h.Owner == 0 && h.Want == cluster.WantInService:
		return f.assign(st, h)
	}
	return ""
}

func (f *Fake) assign(st *cluster.State, h *cluster.Hierarchy) string {
	code, args, to := "PD3121 ", h.Name, cluster.NodeID(0)
	if h.Move != nil && !h.FailedOn(h.Move.To) {
		code, to = "PD3123 ", h.Move.To
		args += " " + st.NodeName(h.Move.From)
	} else {
		for _, id := range h.Nodes {
			if n := st.Node(id); to == 0 && !h.FailedOn(id) && n.Presence == cluster.Present {
				to = id
			}
		}
	}
	if to == 0 {
		return ""
	}
	return "assign " + h.Name + " " + st.NodeName(to) + " " + code + args + " " + st.NodeName(to)
}

// MakeStore pretends: a location with "bad" in it isn't empty.
func (f *Fake) MakeStore(_ context.Context, _ cluster.StoreKind, location string) (id, stable string, err error) {
	if strings.Contains(location, "bad") {
		return "", "", message.New(message.StoreRefused, "n1", location, "it isn't empty")
	}
	return "0123456789abcdef", location, nil
}

// CreateToken makes something that looks like a token.
func (f *Fake) CreateToken(_ context.Context, role cluster.Role, valid time.Duration) (string, error) {
	r, err := f.Propose(context.Background(), cluster.Command{AddToken: &cluster.AddToken{
		Token: cluster.Token{Hash: "0123456789abcdef", ExpiresUnix: time.Now().Add(valid).Unix(), Role: role}}})
	if err == nil && r.Refused() {
		err = message.Reason(r.Refusal).Err()
	}
	return "perdure1.FAKE", err
}

// TestHook runs nothing.
func (f *Fake) TestHook(_ context.Context, name string) (api.HookRun, error) {
	if f.State().Hook(name) == nil {
		return api.HookRun{}, message.New(message.RefusedNoHook, name)
	}
	return api.HookRun{Event: "configured", At: time.Now(), Took: 3 * time.Millisecond, Output: "told"}, nil
}

// Stop moves nothing and ends: see [Fake.Stopped].
func (f *Fake) Stop(_ context.Context, how api.StopMode) error {
	f.mu.Lock()
	f.world.Local.Stopping = string(how)
	f.wake()
	f.mu.Unlock()
	f.once.Do(func() { close(f.stopped) })
	return nil
}
