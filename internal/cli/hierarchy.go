package cli

import (
	"context"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/message"
)

type hierarchyCmd struct {
	List   hierarchyListCmd   `cmd:"" help:"List hierarchies."`
	Show   hierarchyShowCmd   `cmd:"" help:"Show one with its resources."`
	Create hierarchyCreateCmd `cmd:"" help:"Create one, out of service and without resources."`
	Set    hierarchySetCmd    `cmd:"" help:"Change nodes, policy or class."`
	Start  hierarchyStartCmd  `cmd:"" aliases:"in-service" help:"Bring one in service."`
	Stop   hierarchyStopCmd   `cmd:"" aliases:"out-of-service" help:"Take one out of service; it stays so until it is started."`
	Clear  hierarchyClearCmd  `cmd:"" help:"Remove failure marks, so that it may start there again."`
	Delete hierarchyDeleteCmd `cmd:"" help:"Delete one that is out of service."`

	Confirm  hierarchyConfirmCmd  `cmd:"" help:"Decide that a failover goes on, or (--block) doesn't."`
	Extend   hierarchyExtendCmd   `cmd:"" help:"Add a node: NAME NODE, after it was looked whether everything could run there."`
	Unextend hierarchyUnextendCmd `cmd:"" help:"Take a node away: NAME NODE."`
}

type hierarchyListCmd struct{}

func (hierarchyListCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(v.Report.Hierarchies)
	}
	rows := [][]cell{heads(a.label("hierarchy", "リソース階層"), a.label("status", "状態"), a.label("on", "ノード"),
		a.label("wanted", "要求"), a.label("nodes", "対象ノード"))}
	for _, h := range v.Report.Hierarchies {
		rows = append(rows, []cell{{h.Name, strong}, {wording.Word(a.lang, h.Status), statusMark(h.Status)}, {text: dash(h.Node)},
			{text: wording.Word(a.lang, h.Want)}, {text: join(h.Nodes)}})
	}
	a.table(a.term.Out, "", rows)
	return nil
}

type hierarchyShowCmd struct {
	Hierarchy string `arg:"" help:"Name."`
}

func (c hierarchyShowCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	for i := range v.Report.Hierarchies {
		h := &v.Report.Hierarchies[i]
		if h.Name != c.Hierarchy {
			continue
		}
		if a.JSON {
			return a.printJSON(h)
		}
		s := statusPage{app: a, w: a.term.Out, v: &v}
		s.hierarchy(h, true)
		return nil
	}
	return a.near(ctx, message.New(message.RefusedNotFound, c.Hierarchy))
}

type hierarchyCreateCmd struct {
	Name       string   `arg:"" help:"Name."`
	Nodes      []string `help:"Nodes that may have it, preferred first; default: all." placeholder:"A,B"`
	Class      string   `help:"How its data is guarded: ${enum}." enum:"self-guarding,shared-data,watchdog-only,unfenced" default:"self-guarding"`
	Switchback bool     `help:"Return to the first node by itself."`
	NotifyOnly bool     `help:"Report failures and do nothing."`
}

func (c hierarchyCreateCmd) Run(ctx context.Context, a *app) error {
	h := api.NewHierarchy{Name: c.Name, Nodes: c.Nodes, Class: c.Class}
	h.Policy.Switchback, h.Policy.NotifyOnly = c.Switchback, c.NotifyOnly
	d, err := a.client().CreateHierarchy(ctx, h)
	if err := a.done(ctx, d, err, message.AskedCreate, c.Name); err != nil || a.JSON {
		return err
	}
	a.print(message.NextAddResources, c.Name)
	return nil
}

type hierarchySetCmd struct {
	Hierarchy       string   `arg:"" help:"Name."`
	Nodes           []string `help:"Nodes that may have it, preferred first." placeholder:"A,B"`
	Class           string   `help:"How its data is guarded: self-guarding, shared-data, watchdog-only, unfenced." placeholder:"CLASS"`
	Switchback      *bool    `help:"Return to the first node by itself." negatable:""`
	NotifyOnly      *bool    `help:"Report failures and do nothing." negatable:""`
	Maintenance     *bool    `help:"Suspend monitoring and moves." negatable:""`
	ConfirmFailover *bool    `help:"Ask a person before a failover." negatable:""`
	ConfirmSeconds  *int     `help:"How long to wait for that person." placeholder:"N"`
	ConfirmDefault  *string  `help:"What to do then: proceed or block." placeholder:"WORD"`
	FailoverBlocked *bool    `help:"Try it again on its node, and on no other by itself." negatable:""`
	Targets         *string  `help:"Nodes to which it may fail over; empty: all." placeholder:"A,B"`
	MovesPerHour    *int     `help:"Failovers because of failures within an hour; 0: the default, 10; -1: no bound." placeholder:"N"`
}

func (c hierarchySetCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().SetHierarchy(ctx, c.Hierarchy, api.HierarchyChange{
		Nodes: c.Nodes, Class: c.Class, NotifyOnly: c.NotifyOnly, Switchback: c.Switchback, Maintenance: c.Maintenance,
		ConfirmFailover: c.ConfirmFailover, ConfirmSeconds: c.ConfirmSeconds, ConfirmDefault: c.ConfirmDefault,
		FailoverBlocked: c.FailoverBlocked, Targets: names(c.Targets), MovesPerHour: c.MovesPerHour,
	})
	return a.done(ctx, d, err, message.AskedChange, c.Hierarchy)
}

type hierarchyStartCmd struct {
	Hierarchy string `arg:"" help:"Name."`
	NoWait    bool   `help:"Don't wait until it is over."`
}

func (c hierarchyStartCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().InService(ctx, c.Hierarchy, true)
	if err != nil || c.NoWait {
		return a.done(ctx, d, err, message.AskedInService, c.Hierarchy)
	}
	return a.follow(ctx, operation{hierarchy: c.Hierarchy, entry: d.Entry, judge: inServiceOn(0),
		cancel: "perdure hierarchy stop " + c.Hierarchy})
}

type hierarchyStopCmd struct {
	Hierarchy string `arg:"" help:"Name."`
	NoWait    bool   `help:"Don't wait until it is over."`
}

func (c hierarchyStopCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().InService(ctx, c.Hierarchy, false)
	if err != nil || c.NoWait {
		return a.done(ctx, d, err, message.AskedOutOfService, c.Hierarchy)
	}
	return a.follow(ctx, operation{hierarchy: c.Hierarchy, entry: d.Entry, judge: outOfService,
		cancel: "perdure hierarchy start " + c.Hierarchy})
}

type hierarchyClearCmd struct {
	Hierarchy string `arg:"" help:"Name."`
	Node      string `help:"Only the mark of this node." placeholder:"NODE"`
}

func (c hierarchyClearCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().ClearFailures(ctx, c.Hierarchy, c.Node)
	return a.done(ctx, d, err, message.AskedClear, c.Hierarchy)
}

type hierarchyDeleteCmd struct {
	Hierarchy string `arg:"" help:"Name."`
}

func (c hierarchyDeleteCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().DeleteHierarchy(ctx, c.Hierarchy)
	return a.done(ctx, d, err, message.AskedDelete, c.Hierarchy)
}
