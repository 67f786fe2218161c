package cli

import (
	"context"

	"github.com/perdure-ha/perdure/internal/message"
)

type nodeMaintenanceCmd struct {
	Node string `arg:"" help:"Name."`
	How  string `arg:"" enum:"on,off" help:"on: nothing is brought in service there any more; off: it is eligible again."`
}

func (c nodeMaintenanceCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().SetMaintenance(ctx, c.Node, c.How == "on")
	code := message.AskedMaintenanceEnd
	if c.How == "on" {
		code = message.AskedMaintenance
	}
	return a.done(ctx, d, err, code, c.Node)
}

type nodeFencedCmd struct {
	Node string `arg:"" help:"Name."`
	Yes  bool   `short:"y" help:"Don't ask."`
}

// Run takes a person's word for what no machine could find out. A wrong word
// corrupts shared data, so it is asked for twice.
func (c nodeFencedCmd) Run(ctx context.Context, a *app) error {
	if err := a.isNode(ctx, c.Node); err != nil {
		return err
	}
	if !c.Yes && !a.confirm(message.ConfirmFenced, c.Node) {
		return message.New(message.NotConfirmed)
	}
	d, err := a.client().Fenced(ctx, c.Node)
	return a.done(ctx, d, err, message.AskedFenced, c.Node)
}

type nodeAPICmd struct {
	Node   string `arg:"" help:"Name."`
	Listen string `arg:"" help:"default: on its comm paths, port 7443, once there are users or access tokens; off; or IP:PORT, separated by commas."`
}

func (c nodeAPICmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().SetAPI(ctx, c.Node, c.Listen)
	return a.done(ctx, d, err, message.AskedAPI, c.Node, c.Listen)
}
