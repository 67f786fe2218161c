package cli

import (
	"context"
	"slices"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type eventsCmd struct {
	Follow bool   `short:"f" help:"Go on with what happens."`
	After  uint64 `help:"Only after this entry." placeholder:"ID"`
	Last   int    `short:"n" help:"Only the newest so many." default:"20"`
}

func (c eventsCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	all := v.State.Timeline
	first := 0
	if c.After == 0 {
		first = max(0, len(all)-max(c.Last, 0))
	}
	last := c.After
	for i := first; i < len(all); i++ {
		if all[i].ID > c.After {
			a.event(v.State, &all[i])
		}
		last = max(last, all[i].ID)
	}
	if !c.Follow {
		return nil
	}
	for {
		err := a.client().Events(ctx, api.EventsFrom{After: max(last, 1)}, func(e api.Event) error {
			if e.Entry == nil || e.Entry.ID <= last {
				return nil
			}
			last = e.Entry.ID
			if v, err := a.client().View(ctx); err == nil {
				a.event(v.State, e.Entry)
			}
			return nil
		})
		if ctx.Err() != nil {
			return nil
		}
		if !message.Has(err, message.StreamEnded) && !message.Has(err, message.DaemonNotRunning) {
			return err
		}
		if wait(ctx, watchAgain) != nil {
			return nil
		}
	}
}

func (a *app) event(st *cluster.State, e *cluster.Entry) {
	if a.JSON {
		_ = a.printJSONLine(e)
		return
	}
	a.table(a.term.Out, "", [][]cell{a.entryRow(st, e)})
}

type alarmCmd struct {
	List alarmListCmd `cmd:"" default:"withargs" help:"List what speaks against safety, worst first."`
}

type alarmListCmd struct{}

func (alarmListCmd) Run(ctx context.Context, a *app) error {
	r, err := a.client().Status(ctx)
	if err != nil {
		return err
	}
	r.Findings = slices.DeleteFunc(r.Findings, func(f api.Finding) bool { return f.Severity == api.SeverityInfo })
	if a.JSON {
		return a.printJSON(r.Findings)
	}
	if len(r.Findings) == 0 {
		a.printf("%s\n", a.label("no alarms", "アラームはありません"))
		return nil
	}
	for i, f := range r.Findings {
		if i > 0 {
			a.printf("\n")
		}
		a.printf("%s", message.Render(a.lang, message.Reason{Code: f.Reason.Code, Args: f.Reason.Args}.Err(), a.width))
	}
	return nil
}
