package cli

import (
	"context"
	"errors"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/message"
)

// watchAgain is how long to wait before a daemon that went away is asked again.
const watchAgain = time.Second

// watchStatus shows the status again whenever something changes, until it is
// interrupted. A daemon that goes away is waited for.
func (a *app) watchStatus(ctx context.Context, long bool) error {
	first := true
	for {
		err := a.client().Events(ctx, api.EventsFrom{Now: true}, func(e api.Event) error {
			if e.Alive {
				return nil
			}
			v, err := a.client().View(ctx)
			if err != nil {
				return err
			}
			first = false
			if a.JSON {
				return a.printJSON(v.Report)
			}
			a.redraw(a.statusText(&v, long))
			return nil
		})
		switch {
		case ctx.Err() != nil:
			return nil
		case first:
			return err
		}
		if !a.JSON {
			a.redraw(message.Render(a.lang, err, a.width))
		}
		if wait(ctx, watchAgain) != nil {
			return nil
		}
	}
}

// redraw replaces the screen on a terminal, and appends anywhere else.
func (a *app) redraw(page string) {
	head := time.Now().In(a.zone).Format("15:04:05") + "\n"
	if a.color {
		a.printf("\x1b[H\x1b[2J%s%s", head, page)
		return
	}
	a.printf("%s%s\n", head, page)
}

// wait returns after a while, or with the context's error.
func wait(ctx context.Context, d time.Duration) error {
	t := time.NewTimer(d)
	defer t.Stop()
	select {
	case <-ctx.Done():
		return ctx.Err()
	case <-t.C:
		return nil
	}
}

var errDone = errors.New("done")
