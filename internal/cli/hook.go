package cli

import (
	"context"
	"fmt"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type hookCmd struct {
	List   hookListCmd   `cmd:"" help:"List hooks, and what became of them on this node."`
	Show   hookShowCmd   `cmd:"" help:"Show one, with its last call."`
	Set    hookSetCmd    `cmd:"" help:"Make a hook, or change one."`
	Test   hookTestCmd   `cmd:"" help:"Call a hook on this node, and show what became of it."`
	Events hookEventsCmd `cmd:"" help:"List the events that hooks can be told of."`
	Delete hookDeleteCmd `cmd:"" help:"Delete a hook."`
}

type hookListCmd struct{}

func (hookListCmd) Run(ctx context.Context, a *app) error {
	hooks, err := a.client().Hooks(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(hooks)
	}
	rows := [][]cell{heads(a.label("hook", "フック"), a.label("runs on", "実行場所"), a.label("events", "イベント"), a.label("done", "実行"), a.label("failed", "失敗"), a.label("now", "現在"))}
	for i := range hooks {
		h := &hooks[i]
		rows = append(rows, []cell{{h.Hook.Name, strong}, {text: string(h.Hook.Where)}, {text: hookEvents(a, &h.Hook)},
			{text: fmt.Sprint(h.State.Done)}, {text: fmt.Sprint(h.State.Failed)}, a.hookNow(h)})
	}
	a.table(a.term.Out, "", rows)
	return nil
}

func hookEvents(a *app, h *cluster.Hook) string {
	if len(h.Events) == 0 {
		return a.label("all", "すべて")
	}
	return strings.Join(h.Events, ",")
}

// hookNow says plainly what is wrong with a hook, if something is.
func (a *app) hookNow(h *api.HookView) cell {
	s := &h.State
	switch {
	case s.Running != "":
		text := fmt.Sprintf(a.label("runs for %s of %s (%s)", "実行中 %s / %s (%s)"), roughly(s.RunningFor), span(s.Timeout), s.Running)
		if s.Waiting > 0 {
			text += fmt.Sprintf(a.label(", %d wait", "、待機 %d"), s.Waiting)
		}
		return cell{text, warn}
	case s.Last == nil:
		return cell{text: a.label("never called here", "未実行")}
	case s.Last.Reason.Code != "":
		return cell{a.reason(s.Last.Reason), bad}
	}
	return cell{fmt.Sprintf(a.label("good, took %s", "正常、所要 %s"), roughly(s.Last.Took)), good}
}

type hookShowCmd struct {
	Hook string `arg:"" help:"Name."`
}

func (c hookShowCmd) Run(ctx context.Context, a *app) error {
	hooks, err := a.client().Hooks(ctx)
	if err != nil {
		return err
	}
	for i := range hooks {
		if h := &hooks[i]; h.Hook.Name == c.Hook {
			if a.JSON {
				return a.printJSON(h)
			}
			a.showHook(h)
			return nil
		}
	}
	return message.New(message.RefusedNoHook, c.Hook)
}

func (a *app) showHook(h *api.HookView) {
	a.printf("%s\n", a.mark(strong, h.Hook.Name))
	rows := [][]cell{
		plain(a.label("program", "プログラム"), strings.Join(h.Hook.Argv, " ")),
		plain(a.label("events", "イベント"), hookEvents(a, &h.Hook)),
		plain(a.label("runs on", "実行場所"), string(h.Hook.Where)),
		plain(a.label("time-out", "制限時間"), span(h.Hook.Timeout)),
		plain(a.label("calls here", "実行回数"), fmt.Sprintf(a.label("%d, %d failed, %d lost", "%d、失敗 %d、通知漏れ %d"), h.State.Done, h.State.Failed, h.State.Lost)),
		{{text: a.label("now", "現在")}, a.hookNow(h)},
	}
	a.table(a.term.Out, "  ", rows)
	if l := h.State.Last; l != nil {
		a.showRun(l)
	}
}

// showRun shows a call with the end of what the program printed.
func (a *app) showRun(r *api.HookRun) {
	result := a.label("good", "正常")
	if r.Reason.Code != "" {
		result = a.reason(r.Reason)
	}
	a.table(a.term.Out, "  ", [][]cell{
		plain(a.label("last call", "最新の実行"), fmt.Sprintf("%s, %s, %s", r.Event, a.clock(r.At.UnixMilli()), roughly(r.Took))),
		plain(a.label("result", "結果"), result),
	})
	for line := range strings.Lines(r.Output) {
		a.printf("    %s\n", strings.TrimRight(line, "\n"))
	}
}

type hookSetCmd struct {
	Hook    string        `arg:"" help:"Name."`
	Program []string      `arg:"" optional:"" help:"Absolute path of the program on each node, with arguments." passthrough:""`
	On      []string      `help:"Events that it is told of; all: everything. See hook events." placeholder:"EVENT"`
	Where   string        `help:"Run it on the node that leads, or on all: leader, all." placeholder:"WHERE"`
	Timeout time.Duration `help:"It is ended with all that it started after this; default 30s."`
}

func (c hookSetCmd) Run(ctx context.Context, a *app) error {
	hooks, err := a.client().Hooks(ctx)
	if err != nil {
		return err
	}
	h := cluster.Hook{Where: cluster.HookLeader, Timeout: cluster.HookTimeout}
	for i := range hooks {
		if hooks[i].Hook.Name == c.Hook {
			h = hooks[i].Hook
		}
	}
	if len(c.Program) > 0 {
		h.Argv = c.Program
	}
	if len(c.On) > 0 {
		if h.Events = c.On; len(c.On) == 1 && c.On[0] == "all" {
			h.Events = nil
		}
	}
	if c.Where != "" {
		h.Where = cluster.HookWhere(c.Where)
	}
	if c.Timeout != 0 {
		h.Timeout = c.Timeout
	}
	h.Name = c.Hook
	if r := h.Check(); r.Code != "" { // before it is cut to whole seconds
		return message.Reason{Code: r.Code, Args: r.Args}.Err()
	}
	d, err := a.client().SetHook(ctx, c.Hook, api.HookChange{Argv: h.Argv, Events: h.Events, Where: h.Where, TimeoutSeconds: int(h.Timeout / time.Second)})
	return a.done(ctx, d, err, message.AskedHook, c.Hook)
}

type hookTestCmd struct {
	Hook string `arg:"" help:"Name."`
}

func (c hookTestCmd) Run(ctx context.Context, a *app) error {
	r, err := a.client().TestHook(ctx, c.Hook)
	if err != nil {
		return err
	}
	if a.JSON {
		err = a.printJSON(r)
	} else {
		a.showRun(&r)
	}
	if err == nil && r.Reason.Code != "" {
		return silent(exitFailed)
	}
	return err
}

type hookEventsCmd struct{}

func (hookEventsCmd) Run(_ context.Context, a *app) error {
	var names []string
	rows := [][]cell{}
	for _, k := range cluster.Kinds() {
		names = append(names, k.Event())
		rows = append(rows, plain(k.Event(), wording.Word(a.lang, k)))
	}
	if a.JSON {
		return a.printJSON(names)
	}
	a.table(a.term.Out, "", rows)
	return nil
}

type hookDeleteCmd struct {
	Hook string `arg:"" help:"Name."`
}

func (c hookDeleteCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().DeleteHook(ctx, c.Hook)
	return a.done(ctx, d, err, message.AskedHookDelete, c.Hook)
}
