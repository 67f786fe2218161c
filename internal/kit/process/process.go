package process

import (
	"context"
	"fmt"
	"os/exec"
	"path/filepath"
	"sync"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// stateFile holds the identity of the running program.
const stateFile = "process.json"

// readyPoll is the time between two looks at a starting program. It is added
// to every outage (half of it on average), and a refused connection costs about
// 50 µs.
const readyPoll = 5 * time.Millisecond

// Process is one supervised program on this node.
type Process struct {
	in   kit.Instance
	feed kit.Feed

	mu   sync.Mutex
	run  *run   // nil: nothing is running as far as we know
	last string // how the last one ended; for people

	watching sync.WaitGroup
}

// run is one life of the program, from its start or adoption to its end.
type run struct {
	id     proc.ID
	handle *proc.Handle // nil if pidless and in the background already
	cmd    *exec.Cmd    // nil if adopted
	from   int64        // where its output begins
	// stopping says that the end is our own doing.
	stopping bool
	ended    chan struct{} // closed when it has ended and how is set
	how      string
	cancel   context.CancelFunc
}

func newProcess(in kit.Instance) *Process { return &Process{in: in} }

func (p *Process) group() cgroup.Group { return cgroup.At(p.in.Group) }

func (p *Process) output() kit.Output {
	return kit.Output{Path: filepath.Join(p.in.RunDir, "output"), Max: 1 << 20}
}

func (p *Process) pidless() bool { return p.in.Values.Bool("pidless") }

// Start implements [kit.Resource].
func (p *Process) Start(ctx context.Context, _ cluster.Release) error {
	if _, err := p.Adopt(ctx); err != nil {
		return err
	}
	if r := p.current(); r != nil {
		return p.ready(ctx, r) // a repeated start waits as the first one did
	}
	if err := p.Validate(ctx); err != nil {
		return err
	}
	// What an earlier life left behind would hold ports and files, and a group
	// that was frozen would freeze the new one.
	if err := p.killAll(ctx); err != nil {
		return err
	}
	if p.in.Group != "" {
		p.group().Remove() // at worst it is used again
	}
	p.feed.Clear()
	r, err := p.launch()
	if err != nil {
		return err
	}
	if err := p.ready(ctx, r); err != nil {
		return err
	}
	p.in.Log.Info("program is in service", "pid", r.id.PID)
	return nil
}

func (p *Process) launch() (*run, error) {
	v, out := p.in.Values, p.output()
	out.Bound() // at worst the file grows
	l := kit.Launch{Argv: v.List("command"), Dir: v.String("directory"), User: v.String("user"), Output: out,
		Env: append([]string{p.in.ServiceMark(), "PERDURE_RESOURCE=" + p.in.Resource, "PERDURE_HIERARCHY=" + p.in.Hierarchy}, v.List("env")...)}
	if p.in.Group != "" {
		g, err := cgroup.Make(p.in.Group)
		if err != nil {
			return nil, message.New(message.CommandNotStarted, kit.JoinWords(l.Argv), err.Error()).Wrap(err)
		}
		l.Group = g
	}
	from := out.Size()
	cmd, err := l.Start()
	if err != nil {
		return nil, err
	}
	r := &run{cmd: cmd, from: from, ended: make(chan struct{})}
	// The child isn't reaped yet, so its number is its own, dead or alive.
	if r.id, err = proc.Identify(cmd.Process.Pid); err == nil {
		r.handle, err = proc.Open(r.id)
	}
	if err != nil { // it ended within microseconds
		cmd.Wait()
		if !p.pidless() || !cmd.ProcessState.Success() {
			return nil, message.New(message.ProcessEndedEarly, cmd.ProcessState.String(), out.Tail(from))
		}
		boot, _ := proc.BootID()
		r.id, r.cmd = proc.ID{PID: cmd.Process.Pid, Boot: boot}, nil
	}
	p.begin(r)
	if err := p.in.SaveState(stateFile, r.id); err != nil {
		return nil, err
	}
	return r, nil
}

// begin makes a life the current one and watches it.
func (p *Process) begin(r *run) {
	ctx, cancel := context.WithCancel(context.Background())
	r.cancel = cancel
	p.mu.Lock()
	p.run = r
	p.mu.Unlock()
	p.watching.Go(func() { p.watch(ctx, r) })
}

// watch waits for the end of a life and publishes it.
func (p *Process) watch(ctx context.Context, r *run) {
	defer r.cancel()
	how, ok := p.awaitEnd(ctx, r)
	if !ok {
		return
	}
	p.mu.Lock()
	r.how, p.last = how, how
	stopping := r.stopping
	if p.run == r {
		p.run = nil
	}
	p.mu.Unlock()
	close(r.ended)
	if !stopping {
		p.feed.Publish(kit.Because(cluster.Failed, message.ProcessEnded, r.id.PID, how, p.output().Tail(r.from)))
	}
}

// awaitEnd says how a life ended, and reports whether it did before the
// context.
func (p *Process) awaitEnd(ctx context.Context, r *run) (how string, ok bool) {
	if r.handle != nil {
		defer r.handle.Close()
		select {
		case <-ctx.Done():
			if r.cmd != nil {
				r.cmd.Process.Release()
			}
			return "", false
		case <-r.handle.Done():
		}
	}
	how = "exit status unknown"
	if r.cmd != nil {
		r.cmd.Wait()
		how = r.cmd.ProcessState.String()
	}
	if p.pidless() {
		if err := p.group().Empty(ctx); err != nil {
			return "", false
		}
		how = "no process is left"
	}
	return how, true
}

// ready waits until the program answers as the settings say.
func (p *Process) ready(ctx context.Context, r *run) error {
	begun := time.Now()
	after := time.NewTimer(p.in.Values.Duration("ready.after"))
	defer after.Stop()
	select {
	case <-after.C:
	case <-r.ended:
		return p.endedEarly(r)
	case <-ctx.Done():
		return message.New(message.ProcessNotReady, time.Since(begun), ctx.Err().Error()).Wrap(ctx.Err())
	}
	tick := time.NewTicker(readyPoll)
	defer tick.Stop()
	for {
		err := p.probe(ctx)
		if err == nil {
			select {
			case <-r.ended: // somebody else answered
				return p.endedEarly(r)
			default:
				return nil
			}
		}
		select {
		case <-r.ended:
			return p.endedEarly(r)
		case <-ctx.Done():
			return message.New(message.ProcessNotReady, time.Since(begun), err.Error()).Wrap(err)
		case <-tick.C:
		}
	}
}

func (p *Process) endedEarly(r *run) error {
	p.feed.Clear() // the caller hears of it now
	return message.New(message.ProcessEndedEarly, r.how, p.output().Tail(r.from))
}

// probeMax bounds one question, so that a program that takes a connection
// while it starts and never answers it is asked again.
const probeMax = time.Second

// probe asks the program once; nil if there is nothing to ask.
func (p *Process) probe(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, probeMax)
	defer cancel()
	if address := p.in.Values.String("ready.tcp"); address != "" {
		if err := kit.AskTCP(ctx, address); err != nil {
			return err
		}
	}
	if u := p.in.Values.URL("ready.url"); u != nil {
		return kit.Probe{URL: u}.Ask(ctx)
	}
	return nil
}

func (p *Process) current() *run {
	p.mu.Lock()
	defer p.mu.Unlock()
	return p.run
}

// Close implements [kit.Resource]: the program runs on.
func (p *Process) Close() error {
	p.mu.Lock()
	if p.run != nil {
		p.run.cancel()
		p.run = nil
	}
	p.mu.Unlock()
	p.watching.Wait()
	return nil
}

// Watch implements [kit.Watcher].
func (p *Process) Watch(ctx context.Context, report func(kit.Event)) error {
	return p.feed.Watch(ctx, report)
}

// Addresses implements [kit.Guarded].
func (p *Process) Addresses() ([]kit.GuardedAddress, error) { return nil, nil }

// Cgroup implements [kit.Guarded].
func (p *Process) Cgroup() string { return p.in.Group }

// Validate implements [kit.Validator].
func (p *Process) Validate(context.Context) error {
	v := p.in.Values
	if v.Bool("pidless") && p.in.Group == "" {
		return message.New(message.NeedsGroup, p.in.NoGroup)
	}
	if err := kit.CheckDir(v.String("directory")); err != nil {
		return err
	}
	if err := kit.CheckUser(v.String("user")); err != nil {
		return err
	}
	_, err := kit.Executable(v.List("command")[0])
	return err
}

// signalOf is checked by the declaration of stop.signal.
func signalOf(name string) syscall.Signal {
	if s, ok := signals[name]; ok {
		return s
	}
	panic(fmt.Sprintf("no signal %q", name))
}
