package cli

import (
	"context"

	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/message"
)

type maintainCmd struct {
	Begin maintainBeginCmd `cmd:"" help:"Begin maintenance: nothing is monitored, recovered, started or moved. Without a flag: of the whole cluster."`
	End   maintainEndCmd   `cmd:"" help:"End it; everything is checked at once."`
	List  maintainListCmd  `cmd:"" help:"What is in maintenance or drained."`
}

// level says what a maintenance is of.
type level struct {
	Node      string `help:"Of a node: what it has isn't monitored, and nothing is brought in service there." placeholder:"NODE"`
	Hierarchy string `short:"H" help:"Of a hierarchy." placeholder:"NAME"`
	Resource  string `short:"r" help:"Of a resource: NAME or HIERARCHY/NAME." placeholder:"NAME"`
}

type maintainBeginCmd struct{ level }

func (c maintainBeginCmd) Run(ctx context.Context, a *app) error { return c.set(ctx, a, true) }

type maintainEndCmd struct{ level }

func (c maintainEndCmd) Run(ctx context.Context, a *app) error { return c.set(ctx, a, false) }

func (c level) set(ctx context.Context, a *app, on bool) error {
	word := func(begin, end string) string {
		if on {
			return begin
		}
		return end
	}
	switch {
	case c.Node != "" && c.Hierarchy+c.Resource != "", c.Hierarchy != "" && c.Resource != "":
		return message.New(message.CommandLine, "--node, --hierarchy, --resource: one at a time")
	case c.Node != "":
		d, err := a.client().SetMaintenance(ctx, c.Node, on)
		return a.done(ctx, d, err, word(message.AskedMaintenance, message.AskedMaintenanceEnd), c.Node)
	case c.Hierarchy != "":
		d, err := a.client().SetHierarchyMaintenance(ctx, c.Hierarchy, on)
		return a.done(ctx, d, err, word(message.AskedHierarchyMaintenance, message.AskedHierarchyMaintenanceEnd), c.Hierarchy)
	case c.Resource != "":
		h, r, err := a.findResource(ctx, "", c.Resource)
		if err != nil {
			return err
		}
		d, err := a.client().SetResourceMaintenance(ctx, h.Name, r.Name, on)
		return a.done(ctx, d, err, word(message.AskedResourceMaintenance, message.AskedResourceMaintenanceEnd), h.Name+"/"+r.Name)
	}
	d, err := a.client().SetClusterMaintenance(ctx, on)
	return a.done(ctx, d, err, word(message.AskedClusterMaintenance, message.AskedClusterMaintenanceEnd))
}

type maintainListCmd struct{}

func (maintainListCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	type row struct {
		Level string `json:"level"`
		Name  string `json:"name"`
	}
	all := []row{}
	add := func(on bool, level, name string) {
		if on {
			all = append(all, row{level, name})
		}
	}
	add(v.State.Maintenance, "cluster", v.State.Name)
	for i := range v.State.Nodes {
		n := &v.State.Nodes[i]
		add(n.Maintenance, "node", n.Name)
		add(n.Drain, "drain", n.Name)
	}
	for i := range v.State.Hierarchies {
		h := &v.State.Hierarchies[i]
		add(h.Policy.Maintenance, "hierarchy", h.Name)
		for j := range h.Resources {
			add(h.Resources[j].Maintenance, "resource", h.Name+"/"+h.Resources[j].Name)
		}
	}
	if a.JSON {
		return a.printJSON(all)
	}
	rows := [][]cell{heads(a.label("level", "対象"), a.label("name", "名前"))}
	for _, r := range all {
		rows = append(rows, plain(wording.Word(a.lang, r.Level), r.Name))
	}
	a.table(a.term.Out, "", rows)
	return nil
}
