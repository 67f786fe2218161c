package daemon

import (
	"context"
	"encoding/json"
	"errors"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
	"unicode"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/hook"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// hooksDir, below the run directory, has a directory for each hook, and the
	// id of the last entry that was told.
	hooksDir = "hooks"
	hooksAt  = "last"
	// hookEnvMax bounds a value in a hook's environment (bytes).
	hookEnvMax = 1024
)

// hookInput is what a hook reads from standard input; format 1.
type hookInput struct {
	Version int           `json:"version"`
	Hook    string        `json:"hook"`
	Event   string        `json:"event"`
	Cluster string        `json:"cluster"`
	Self    string        `json:"self"` // this node
	Node    string        `json:"node,omitempty"`
	Text    api.Words     `json:"text"`
	Entry   cluster.Entry `json:"entry"`
	Test    bool          `json:"test,omitempty"`
}

// newHooks makes the queues. A witness has none: it runs nothing.
func newHooks(d *Daemon) *hook.Hub { return hook.New(d.runHook, d.changed.wake) }

// followHooks tells hooks of what is new in the timeline. It runs beside the
// loop and reads what the loop has published.
func (d *Daemon) followHooks() {
	dir := filepath.Join(d.cfg.RunDir, hooksDir)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		d.log.Error("make the directory of hooks", "err", err)
		return
	}
	at := filepath.Join(dir, hooksAt)
	last, known := readLast(at)
	for {
		changed := d.Changed()
		st := d.State()
		if st.Cluster != "" && len(st.Timeline) > 0 {
			newest := st.Timeline[len(st.Timeline)-1].ID
			if !known || newest < last {
				last, known = newest, true // the first start of a boot begins with the present
				writeLast(at, last)
			}
			if newest > last {
				d.tellHooks(st, last)
				last = newest
				writeLast(at, last)
			}
		}
		select {
		case <-d.ctx.Done():
			return
		case <-changed:
		}
	}
}

func readLast(path string) (uint64, bool) {
	b, err := os.ReadFile(path)
	if err != nil {
		return 0, false
	}
	n, err := strconv.ParseUint(strings.TrimSpace(string(b)), 10, 64)
	return n, err == nil
}

// writeLast remembers what was told, for a daemon that starts again. Where it
// can't, that daemon begins with the present.
func writeLast(path string, id uint64) {
	if os.WriteFile(path+".new", []byte(strconv.FormatUint(id, 10)), 0o600) == nil {
		_ = os.Rename(path+".new", path)
	}
}

func (d *Daemon) tellHooks(st *cluster.State, after uint64) {
	leads := false
	if v := d.view.Load(); v != nil {
		leads = v.view.Leader == d.id.Node
	}
	names := make(map[string]bool)
	for i := range st.Hooks {
		names[st.Hooks[i].Name] = true
	}
	d.hooks.Keep(names)
	for i := range st.Timeline {
		e := &st.Timeline[i]
		if e.ID <= after {
			continue
		}
		for j := range st.Hooks {
			h := &st.Hooks[j]
			if h.Wants(e.Kind) && (h.Where == cluster.HookAll || leads) {
				d.hooks.Tell(d.hookJob(st, *h, e, false))
			}
		}
	}
}

// hookJob is what a hook is told of an entry.
func (d *Daemon) hookJob(st *cluster.State, h cluster.Hook, e *cluster.Entry, test bool) hook.Job {
	in := hookInput{Version: 1, Hook: h.Name, Event: e.Kind.Event(), Cluster: st.Name, Self: d.id.Name, Entry: *e, Test: test}
	if e.Node != 0 {
		in.Node = st.NodeName(e.Node)
	}
	r := message.Reason{Code: e.Reason.Code, Args: e.Reason.Args}
	if r.Code != "" {
		in.Text = api.Words{EN: r.Text(message.English), JA: r.Text(message.Japanese)}
	}
	b, err := json.Marshal(in)
	if err != nil {
		b = []byte("{}")
	}
	at := time.UnixMilli(e.WallMilli).UTC().Format("2006-01-02T15:04:05.000Z")
	env := []string{"PERDURE_HOOK_VERSION=1"}
	for _, v := range [][2]string{
		{"HOOK", h.Name}, {"EVENT", in.Event}, {"ID", strconv.FormatUint(e.ID, 10)}, {"TIME", at}, {"CLUSTER", st.Name}, {"SELF", d.id.Name},
		{"NODE", in.Node}, {"HIERARCHY", e.Hierarchy}, {"RESOURCE", e.Resource}, {"CODE", e.Reason.Code}, {"TEXT", in.Text.EN}, {"TEXT_JA", in.Text.JA},
		{"BY", e.By}, {"TEST", map[bool]string{true: "1"}[test]},
	} {
		env = append(env, "PERDURE_"+v[0]+"="+envValue(v[1]))
	}
	return hook.Job{Hook: h, Entry: e.ID, Event: in.Event, Env: env, Input: append(b, '\n')}
}

// envValue makes a value one line of bounded length.
func envValue(s string) string {
	s = strings.Map(func(r rune) rune {
		if unicode.IsControl(r) {
			return ' '
		}
		return r
	}, s)
	return strings.ToValidUTF8(s[:min(len(s), hookEnvMax)], "")
}

// runHook calls the program, in a group of its own where there are groups, so
// that nothing of it outlives its time.
func (d *Daemon) runHook(ctx context.Context, j hook.Job) hook.Outcome {
	dir := filepath.Join(d.cfg.RunDir, hooksDir, j.Hook.Name)
	if err := os.MkdirAll(dir, 0o700); err != nil {
		return d.hookFailed(j, -1, "", err)
	}
	action := "run"
	if j.Entry == 0 {
		action = "test"
	}
	e := kit.Exec{Dir: dir, Commands: d.acts.host.Groups.PathOf(kit.CommandGroup, "-hooks", j.Hook.Name)}
	r, err := e.Run(ctx, kit.Command{Action: action, Argv: slices.Clone(j.Hook.Argv), Env: j.Env, Input: j.Input})
	if err == nil && r.ExitCode != 0 {
		err = r.Failed()
	}
	if err != nil {
		return d.hookFailed(j, r.ExitCode, r.Tail, err)
	}
	return hook.Outcome{Output: r.Tail}
}

// hookFailed says so once in a while: a hook may fail at every event.
func (d *Daemon) hookFailed(j hook.Job, code int, tail string, err error) hook.Outcome {
	m, ok := message.From(err)
	if !ok {
		m = message.New(message.CommandNotStarted, strings.Join(j.Hook.Argv, " "), err)
	}
	if d.ctx.Err() == nil && d.odd.due("hook "+j.Hook.Name+m.Code(), time.Minute) {
		d.log.Warn("a hook failed", "hook", j.Hook.Name, "event", j.Event, "why", m.Error())
	}
	return hook.Outcome{ExitCode: code, Output: tail, Reason: reasonOf(m)}
}

// hookStates are the hooks as this node knows them.
func (d *Daemon) hookStates(st *cluster.State, now time.Time) []api.HookState {
	var out []api.HookState
	for i := range st.Hooks {
		s := d.hooks.State(st.Hooks[i].Name)
		h := api.HookState{Name: s.Name, Running: s.Running, Waiting: s.Waiting, Lost: s.Lost, Done: s.Done, Failed: s.Failed}
		if s.Running != "" {
			h.RunningFor, h.Timeout = now.Sub(s.Since), s.Timeout
		}
		if s.Last != nil {
			h.Last = hookRun(*s.Last)
		}
		out = append(out, h)
	}
	return out
}

func hookRun(l hook.Last) *api.HookRun {
	return &api.HookRun{Entry: l.Entry, Event: l.Event, At: l.At, Took: l.Took, ExitCode: l.ExitCode, Output: l.Output, Reason: l.Reason}
}

// TestHook calls a hook on this node with an entry that says so.
func (d *Daemon) TestHook(ctx context.Context, name string) (api.HookRun, error) {
	st := d.State()
	h := st.Hook(name)
	if h == nil {
		return api.HookRun{}, message.New(message.RefusedNoHook, name)
	}
	if d.hooks == nil {
		return api.HookRun{}, message.New(message.RefusedWitness, d.id.Name)
	}
	e := &cluster.Entry{WallMilli: time.Now().UnixMilli(), Kind: cluster.KindConfigured, Node: d.id.Node, Reason: cluster.Because(message.HookTest, name)}
	done := make(chan hook.Last, 1)
	d.group.Go(func() { done <- d.hooks.Call(d.hookJob(st, *h, e, true)) })
	select {
	case l := <-done:
		return *hookRun(l), nil
	case <-ctx.Done():
		return api.HookRun{}, message.New(message.HookStillRuns, name, h.Timeout).Wrap(errors.Join(ctx.Err()))
	}
}
