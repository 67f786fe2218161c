package cli

import (
	"context"
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type hierarchyExtendCmd struct {
	Hierarchy string `arg:"" help:"Name."`
	Node      string `arg:"" help:"Node to add."`
	At        int    `help:"Its place in the order, from 1; default: the last." placeholder:"N"`
	NoWait    bool   `help:"Don't wait for what the node says."`
}

func (c hierarchyExtendCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().Extend(ctx, c.Hierarchy, c.Node, c.At)
	if err != nil || c.NoWait {
		return a.done(ctx, d, err, message.AskedExtend, c.Hierarchy, c.Node)
	}
	id, err := a.nodeID(ctx, c.Node)
	if err != nil {
		return err
	}
	return a.follow(ctx, operation{hierarchy: c.Hierarchy, entry: d.Entry, cancel: "perdure hierarchy unextend " + c.Hierarchy + " " + c.Node,
		judge: func(h *cluster.Hierarchy) (outcome, cluster.Reason) {
			switch {
			case slices.Contains(h.Nodes, id):
				return succeeded, cluster.Reason{}
			case slices.ContainsFunc(h.Extending, func(e cluster.Extension) bool { return e.Node == id }):
				return goesOn, cluster.Reason{}
			}
			return failed, cluster.Reason{} // its last entry says why
		},
		say: func() { a.print(message.ExtendedTo, c.Hierarchy, c.Node) }})
}

type hierarchyUnextendCmd struct {
	Hierarchy string `arg:"" help:"Name."`
	Node      string `arg:"" help:"Node to take away."`
}

func (c hierarchyUnextendCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().Unextend(ctx, c.Hierarchy, c.Node)
	return a.done(ctx, d, err, message.AskedUnextend, c.Hierarchy, c.Node)
}

type resourceDependCmd struct {
	Parent    string `arg:"" help:"Resource that shall depend on the other: NAME or HIERARCHY/NAME."`
	Child     string `arg:"" help:"Resource on which it shall depend."`
	Hierarchy string `short:"H" help:"Hierarchy, if the name alone doesn't say which." placeholder:"NAME"`
}

func (c resourceDependCmd) Run(ctx context.Context, a *app) error { return c.set(ctx, a, true) }

func (c resourceDependCmd) set(ctx context.Context, a *app, on bool) error {
	h, r, err := a.findResource(ctx, c.Hierarchy, c.Parent)
	if err != nil {
		return err
	}
	d, err := a.client().SetDependency(ctx, h.Name, r.Name, c.Child, on)
	code := message.AskedIndepend
	if on {
		code = message.AskedDepend
	}
	return a.done(ctx, d, err, code, h.Name, r.Name, c.Child)
}

type resourceUndependCmd struct {
	Parent    string `arg:"" help:"Resource that depends on the other: NAME or HIERARCHY/NAME."`
	Child     string `arg:"" help:"Resource on which it depends."`
	Hierarchy string `short:"H" help:"Hierarchy, if the name alone doesn't say which." placeholder:"NAME"`
}

func (c resourceUndependCmd) Run(ctx context.Context, a *app) error {
	return resourceDependCmd(c).set(ctx, a, false)
}
