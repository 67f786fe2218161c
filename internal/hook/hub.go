package hook

import (
	"context"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

const (
	// Parallel bounds the hooks that run at a time.
	Parallel = 4
	// waitingMax bounds the events that wait for one hook; the oldest is lost
	// then, because the newest says more of how things are.
	waitingMax = 64
)

// Job is one call of a hook.
type Job struct {
	Hook  cluster.Hook
	Entry uint64 // of the timeline; 0: a test
	Event string
	Env   []string
	Input []byte
}

// Outcome is how a call ended.
type Outcome struct {
	// ExitCode is the program's; -1: it didn't end by itself.
	ExitCode int
	// Output is the end of what it printed.
	Output string
	// Reason says why the call failed; empty: it didn't.
	Reason cluster.Reason
}

// Last is the last call of a hook.
type Last struct {
	Outcome
	Entry uint64
	Event string
	At    time.Time
	Took  time.Duration
}

// State is what became of a hook on this node since the daemon started.
type State struct {
	Name string
	// Running is the event of a call that is under way, since Since; empty:
	// none.
	Running string
	Since   time.Time
	Timeout time.Duration
	Waiting int    // events in the queue
	Lost    uint64 // events for which the queue had no room
	Done    uint64
	Failed  uint64
	Last    *Last
}

// Hub has the queues of all hooks.
type Hub struct {
	run   func(context.Context, Job) Outcome
	news  func()
	now   func() time.Time
	slots chan struct{}
	end   context.CancelFunc
	ended <-chan struct{}
	// within begins a call that ends with the hub, or after its time.
	within func(time.Duration) (context.Context, context.CancelFunc)
	group  sync.WaitGroup

	mu    sync.Mutex
	lanes map[string]*lane
}

type lane struct {
	state State
	queue []Job
	busy  bool
}

// New makes a hub. run calls a program and must end when its context does; news
// is called when a state changes, and must not block.
func New(run func(context.Context, Job) Outcome, news func()) *Hub {
	h := &Hub{run: run, news: news, now: time.Now, slots: make(chan struct{}, Parallel), lanes: make(map[string]*lane)}
	ctx, end := context.WithCancel(context.Background())
	h.end, h.ended = end, ctx.Done()
	h.within = func(d time.Duration) (context.Context, context.CancelFunc) { return context.WithTimeout(ctx, d) }
	return h
}

// Close ends what runs, drops what waits, and returns when all is over.
func (h *Hub) Close() {
	h.end()
	h.group.Wait()
}

func (h *Hub) over() bool {
	select {
	case <-h.ended:
		return true
	default:
		return false
	}
}

// Tell puts a call into the hook's queue. It never waits.
func (h *Hub) Tell(j Job) {
	h.mu.Lock()
	defer h.mu.Unlock()
	if h.over() {
		return
	}
	l := h.lane(j.Hook.Name)
	if len(l.queue) >= waitingMax {
		l.queue = l.queue[1:]
		l.state.Lost++
	}
	l.queue = append(l.queue, j)
	if !l.busy {
		l.busy = true
		h.group.Go(func() { h.serve(l) })
	}
}

func (h *Hub) lane(name string) *lane {
	l := h.lanes[name]
	if l == nil {
		l = &lane{state: State{Name: name}}
		h.lanes[name] = l
	}
	return l
}

// serve works a queue off.
func (h *Hub) serve(l *lane) {
	for {
		select {
		case h.slots <- struct{}{}:
		case <-h.ended:
			return
		}
		ok := h.one(l)
		<-h.slots
		if !ok {
			return
		}
	}
}

// one makes the next call of a queue and reports whether there was one.
func (h *Hub) one(l *lane) bool {
	h.mu.Lock()
	if len(l.queue) == 0 || h.over() {
		l.busy = false
		h.mu.Unlock()
		return false
	}
	j := l.queue[0]
	l.queue = l.queue[1:]
	began := h.now()
	l.state.Running, l.state.Since, l.state.Timeout = j.Event, began, j.Hook.Timeout
	h.mu.Unlock()
	h.news()
	last := h.Call(j)
	h.mu.Lock()
	l.state.Running, l.state.Since, l.state.Done, l.state.Last = "", time.Time{}, l.state.Done+1, &last
	if last.Reason.Code != "" {
		l.state.Failed++
	}
	h.mu.Unlock()
	h.news()
	return true
}

// Call calls a hook at once, beside its queue, and waits.
func (h *Hub) Call(j Job) Last {
	ctx, cancel := h.within(j.Hook.Timeout)
	defer cancel()
	last := Last{Entry: j.Entry, Event: j.Event, At: h.now()}
	last.Outcome = h.run(ctx, j)
	last.Took = h.now().Sub(last.At)
	return last
}

// Keep forgets hooks that are not among these names, with what waits for them.
func (h *Hub) Keep(names map[string]bool) {
	h.mu.Lock()
	defer h.mu.Unlock()
	for name, l := range h.lanes {
		if !names[name] {
			l.queue = nil
			delete(h.lanes, name)
		}
	}
}

// State is what became of a hook here; the zero state: it never ran.
func (h *Hub) State(name string) State {
	h.mu.Lock()
	defer h.mu.Unlock()
	l := h.lanes[name]
	if l == nil {
		return State{Name: name}
	}
	s := l.state
	s.Waiting = len(l.queue)
	return s
}
