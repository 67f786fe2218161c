package cli

import (
	"context"

	"github.com/perdure-ha/perdure/internal/api/why"
)

type whyCmd struct {
	Hierarchy string `arg:"" help:"Name of the hierarchy."`
	All       bool   `help:"Every episode that is still known, oldest first."`
	Entry     uint64 `help:"The episode with this entry of the timeline (see perdure events)." placeholder:"ID"`
	UTC       bool   `name:"utc" help:"Times in UTC."`
}

func (c whyCmd) Run(ctx context.Context, a *app) error {
	stories, err := a.client().Why(ctx, c.Hierarchy, why.Options{Entry: c.Entry, All: c.All})
	if err != nil {
		return a.near(ctx, err)
	}
	if a.JSON {
		return a.printJSON(stories)
	}
	style := why.Style{Lang: a.lang, Width: a.width, Zone: a.zone,
		Strong: func(s string) string { return a.mark(strong, s) },
		Faint:  func(s string) string { return a.mark(faint, s) }}
	if c.UTC {
		style.Zone = nil
	}
	for i := range stories {
		if i > 0 {
			a.printf("\n\n")
		}
		if err := stories[i].Print(a.term.Out, style); err != nil {
			return err
		}
	}
	return nil
}
