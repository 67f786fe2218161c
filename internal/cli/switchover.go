package cli

import (
	"context"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type switchoverCmd struct {
	Hierarchy string `arg:"" help:"Name of the hierarchy."`
	To        string `help:"Node that shall take it; default: the next eligible one." placeholder:"NODE"`
	Cancel    bool   `help:"Cancel the switchover that is going on." xor:"cancel"`
	NoWait    bool   `help:"Don't wait until it is over."`
}

func (c switchoverCmd) Run(ctx context.Context, a *app) error {
	if c.Cancel {
		d, err := a.client().CancelSwitchover(ctx, c.Hierarchy)
		return a.done(ctx, d, err, message.AskedCancel, c.Hierarchy)
	}
	d, err := a.client().Switchover(ctx, c.Hierarchy, c.To)
	if err != nil {
		return a.near(ctx, err)
	}
	if c.NoWait {
		return a.done(ctx, d, nil, message.AskedSwitchover, c.Hierarchy, d.To)
	}
	to, err := a.nodeID(ctx, d.To)
	if err != nil {
		return err
	}
	return a.follow(ctx, operation{hierarchy: c.Hierarchy, entry: d.Entry, judge: inServiceOn(to),
		cancel: "perdure switchover " + c.Hierarchy + " --cancel"})
}

func (a *app) nodeID(ctx context.Context, name string) (cluster.NodeID, error) {
	v, err := a.client().View(ctx)
	if err != nil {
		return 0, err
	}
	n := v.State.NodeByName(name)
	if n == nil {
		return 0, message.New(message.RefusedUnknownNode, name)
	}
	return n.ID, nil
}

// done ends a command that was carried out at once.
func (a *app) done(ctx context.Context, d any, err error, code string, args ...any) error {
	if err != nil {
		return a.near(ctx, err)
	}
	if a.JSON {
		return a.printJSON(d)
	}
	a.print(code, args...)
	return nil
}
