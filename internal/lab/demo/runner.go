package demo

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

const (
	// readyWait bounds the wait for a whole cluster between scenarios: a boot,
	// a join as new and a back-off of failed starts fit in.
	readyWait = 90 * time.Second
	// applyWait bounds the carrying out of one fault, beyond a freeze's length.
	applyWait = 30 * time.Second
	// lateWait is how much longer than expected a reply is waited for: a
	// figure says more than "too late".
	lateWait = 15 * time.Second
)

// resetWait bounds the wait for a watchdog: the guardian's time-out is 15 s, and devices
// may take twice theirs.
const resetWait = 45 * time.Second

// endWatch is how long is watched after all is whole again.
var endWatch = Span{Detections: 0.5, Plus: 250 * time.Millisecond}

// Result is what came of a scenario.
type Result struct {
	Name     string         `json:"name"`
	Title    string         `json:"title"`
	Steps    []string       `json:"steps"`
	Owner    string         `json:"owner"`
	After    string         `json:"after"`
	Expected string         `json:"expected"`
	Verdict  client.Verdict `json:"verdict"`
	Starts   int            `json:"starts"`
	// Problems is what wasn't as expected; none means survived.
	Problems []string      `json:"problems,omitempty"`
	Took     time.Duration `json:"took"`
	// Broken says that the cluster wasn't whole afterwards.
	Broken bool `json:"broken,omitempty"`
}

// Survived reports whether all was as expected.
func (r Result) Survived() bool { return len(r.Problems) == 0 }

// Runner plays scenarios on a stage.
type Runner struct {
	Stage  Stage
	Timing cluster.Timing
	// Say is told what happens, for a live line. May be nil.
	Say func(Happening)
	// Mend ends what a scenario broke even if it is interrupted: for a stage that
	// stays.
	Mend bool
}

// Happening is a moment of a run.
type Happening struct {
	Scenario Scenario
	// What is a fault in printed form, a goal that is waited for, or empty
	// before and after.
	What string
}

// Run plays one scenario. An error means that it couldn't be played; that it
// wasn't survived is in the result.
func (r *Runner) Run(ctx context.Context, s Scenario) (Result, error) {
	if err := s.Check(); err != nil {
		return Result{}, err
	}
	began := time.Now()
	p := &play{Runner: r, scenario: s, expect: s.Expect(r.Timing)}
	p.result = Result{Name: s.Name, Title: s.Title.EN, Expected: p.expect.String(r.Timing)}
	if err := p.begin(ctx); err != nil {
		return p.result, fmt.Errorf("%s: before the fault: %w", s.Name, err)
	}
	for _, step := range s.Steps {
		if err := p.step(ctx, step); err != nil {
			return p.result, errors.Join(fmt.Errorf("%s: %w", s.Name, err), p.undo(ctx))
		}
	}
	if err := p.end(ctx); err != nil {
		return p.result, fmt.Errorf("%s: after the fault: %w", s.Name, err)
	}
	p.result.Took = time.Since(began)
	return p.result, nil
}

// play is one scenario being played.
type play struct {
	*Runner
	scenario Scenario
	expect   Expectation
	roles    map[string]string
	from     time.Duration // on the client's clock
	starts   int
	// open are the faults to be undone, by what ends them.
	open   []fault.Fault
	result Result
}

func (p *play) say(what string) {
	if p.Say != nil {
		p.Say(Happening{Scenario: p.scenario, What: what})
	}
}

// begin waits for a whole cluster and casts the roles.
func (p *play) begin(ctx context.Context) error {
	p.say(string(Ready))
	if err := p.Stage.Refresh(ctx); err != nil {
		return err
	}
	if err := p.ready(ctx); err != nil {
		return err
	}
	ctx, cancel := context.WithTimeout(ctx, lateWait)
	defer cancel()
	p.from = p.Stage.Client().Clock().Now()
	good, err := p.Stage.Client().WaitGood(ctx, p.from, "")
	if err != nil {
		return err
	}
	p.roles = map[string]string{Owner: good.Node}
	others := slices.DeleteFunc(slices.Clone(p.Stage.Nodes()), func(n string) bool { return n == good.Node })
	for i, role := range []string{Standby, Third} {
		if i < len(others) {
			p.roles[role] = others[i]
		}
	}
	p.result.Owner = good.Node
	p.starts, err = p.Stage.Starts()
	p.from = p.Stage.Client().Clock().Now()
	return err
}

func (p *play) ready(ctx context.Context) error {
	ctx, cancel := context.WithTimeout(ctx, readyWait)
	defer cancel()
	return p.Stage.Ready(ctx, p.wanting())
}

// wantingAfter is how long a cluster may take to be whole before it is said
// what is wanting.
const wantingAfter = 3 * time.Second

// wanting says what a cluster that isn't whole lacks, when that takes long.
func (p *play) wanting() func(error) {
	began, said := time.Now(), ""
	return func(err error) {
		if text := string(Ready) + ": " + err.Error(); text != said && time.Since(began) > wantingAfter {
			said = text
			p.say(text)
		}
	}
}

func (p *play) step(ctx context.Context, s Step) error {
	if s.Do != "" {
		f, err := fault.Parse(s.Do)
		if err != nil {
			return err
		}
		f = f.Resolve(p.roles)
		p.say(f.String())
		p.result.Steps = append(p.result.Steps, f.String())
		p.open = undone(p.open, f)
		applying, cancel := context.WithTimeout(ctx, applyWait+f.For)
		err = fault.Apply(applying, p.Stage, f)
		cancel()
		if err != nil {
			return err
		}
	}
	from := p.Stage.Client().Clock().Now()
	if wait := s.Wait.At(p.Timing); wait > 0 {
		p.say("watch")
		timer := time.NewTimer(wait)
		defer timer.Stop()
		select {
		case <-timer.C:
		case <-ctx.Done():
			return context.Cause(ctx)
		}
	}
	return p.await(ctx, s.Await, from)
}

// await waits for a goal. That it isn't reached is a problem, no error: the
// scenario goes on, so that the cluster is whole for the next.
func (p *play) await(ctx context.Context, goal Goal, from time.Duration) error {
	if goal == "" {
		return nil
	}
	p.say(string(goal))
	patience := p.expect.Outage.At(p.Timing) + lateWait
	if goal == Reset {
		patience = resetWait
	}
	waiting, cancel := context.WithTimeout(ctx, patience)
	defer cancel()
	err := error(nil)
	switch goal {
	case Ready:
		err = p.Stage.Ready(waiting, p.wanting())
	case Served:
		_, err = p.Stage.Client().WaitGood(waiting, from, "")
	case Moved:
		err = p.awaitMove(waiting, from)
	case Reset:
		err = p.awaitReset(waiting)
	}
	if err != nil && ctx.Err() == nil {
		p.problem("%s was not reached: %v", goal, err)
		return nil
	}
	return err
}

// awaitMove waits for a reply of any other node than the owner.
func (p *play) awaitMove(ctx context.Context, from time.Duration) error {
	for {
		good, err := p.Stage.Client().WaitGood(ctx, from, "")
		if err != nil || good.Node != p.roles[Owner] {
			return err
		}
		from = good.Sent + 1
	}
}

// resets is a stage that sees machines end.
type resets interface {
	// AwaitEnd waits until a node's machine has ended by itself, and says why.
	AwaitEnd(ctx context.Context, node string) (why string, err error)
}

// awaitReset waits until the owner's machine was reset by its watchdog.
func (p *play) awaitReset(ctx context.Context) error {
	stage, ok := p.Stage.(resets)
	if !ok {
		return fault.ErrUnsupported
	}
	why, err := stage.AwaitEnd(ctx, p.roles[Owner])
	if err == nil && why != machine.EndedByWatchdog {
		err = fmt.Errorf("the machine of %s ended otherwise: %s", p.roles[Owner], why)
	}
	return err
}

// end makes the cluster whole again, watches a little and judges all of it.
func (p *play) end(ctx context.Context) error {
	p.result.After = p.Stage.Client().LastGood().Node
	if err := p.undo(ctx); err != nil {
		return err
	}
	p.say(string(Ready))
	if err := p.ready(ctx); err != nil {
		if ctx.Err() != nil {
			return err
		}
		p.problem("the cluster isn't whole again: %v", err)
		p.result.Broken = true
	}
	if err := p.step(ctx, Step{Wait: endWatch}); err != nil {
		return err
	}
	to := p.Stage.Client().Clock().Now()
	p.result.Verdict = client.Judge(client.Gather(p.Stage.Client(), p.Stage.Prober(), p.from), p.from, to)
	starts, err := p.Stage.Starts()
	if err != nil {
		return err
	}
	p.result.Starts = starts - p.starts
	p.judge()
	p.say("")
	return nil
}

// undo ends what is still broken, in reverse.
func (p *play) undo(ctx context.Context) error {
	if p.Mend {
		ctx = context.WithoutCancel(ctx)
	}
	var errs []error
	for _, f := range slices.Backward(p.open) {
		p.say(f.String())
		applying, cancel := context.WithTimeout(ctx, applyWait)
		err := fault.Apply(applying, p.Stage, f)
		cancel()
		if err != nil {
			errs = append(errs, err)
		}
	}
	p.open = nil
	return errors.Join(errs...)
}

// End is what ends a fault; ok is false if nothing needs to.
func End(f fault.Fault) (end fault.Fault, ok bool) {
	open := undone(nil, f)
	if len(open) == 0 {
		return end, false
	}
	return open[0], true
}

// undone returns what will have to be done to end all faults, after f too.
func undone(open []fault.Fault, f fault.Fault) []fault.Fault {
	// f may be what ends another one.
	if i := slices.Index(open, f); i >= 0 {
		return slices.Delete(slices.Clone(open), i, i+1)
	}
	end := fault.Fault{Node: f.Node, Resource: f.Resource}
	switch f.Kind {
	case fault.PowerOff, fault.Panic, fault.NMI:
		end.Kind = fault.PowerOn
	case fault.PowerOffHost:
		end.Kind = fault.PowerOnHost
	case fault.Freeze, fault.Pause, fault.Suspend:
		if f.For != 0 {
			return open
		}
		end.Kind = fault.Continue
		if f.Kind == fault.Freeze {
			end.Kind = fault.Thaw
		}
	case fault.DiskError, fault.DiskHang, fault.DiskGone:
		end.Kind = fault.DiskMend
	case fault.FailStart:
		end.Kind = fault.MendStart
	case fault.HangGuardian:
		end.Kind = fault.ResumeGuardian
	case fault.StopDaemon, fault.KeepStop, fault.KillGuardian:
		end.Kind = fault.StartDaemon
	case fault.Cut, fault.OneWay, fault.Isolate, fault.LinkDown, fault.PortDown, fault.SwitchDown, fault.Loss, fault.Delay:
		end = fault.Fault{Kind: fault.Heal}
	default:
		return open
	}
	if slices.Contains(open, end) {
		return open
	}
	return append(slices.Clone(open), end)
}
