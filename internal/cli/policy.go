package cli

import (
	"cmp"
	"context"
	"strings"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// onFailure are the flags about what failures of a resource, or on a node, lead
// to.
type onFailure struct {
	NotifyOnly      *bool   `help:"Report failures and do nothing." negatable:""`
	FailoverBlocked *bool   `help:"Recover locally, and never fail over." negatable:""`
	Targets         *string `help:"Nodes to which its failures may lead; empty: all." placeholder:"A,B"`
}

func (f *onFailure) empty() bool {
	return f.NotifyOnly == nil && f.FailoverBlocked == nil && f.Targets == nil
}

func (f *onFailure) targets() *[]string { return names(f.Targets) }

// names are those of a list with commas; nil: it wasn't given.
func names(list *string) *[]string {
	if list == nil {
		return nil
	}
	out := []string{}
	for _, n := range strings.Split(*list, ",") {
		if n = strings.TrimSpace(n); n != "" {
			out = append(out, n)
		}
	}
	return &out
}

// failurePolicy is what differs from the default, in words; empty: nothing.
func (a *app) failurePolicy(v *api.View, p *cluster.FailurePolicy) string {
	var parts []string
	if p.NotifyOnly {
		parts = append(parts, a.label("notify only", "通知のみ"))
	}
	if p.FailoverBlocked {
		parts = append(parts, a.label("no failover", "フェイルオーバーなし"))
	}
	if len(p.Targets) > 0 {
		var to []string
		for _, id := range p.Targets {
			to = append(to, v.State.NodeName(id))
		}
		parts = append(parts, a.label("to ", "移動先: ")+strings.Join(to, ", "))
	}
	return a.list(parts)
}

type hierarchyConfirmCmd struct {
	Hierarchy string `arg:"" help:"Name."`
	Block     bool   `help:"It doesn't fail over: it waits for its node."`
	NoWait    bool   `help:"Don't wait until it is over."`
}

func (c hierarchyConfirmCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().Confirm(ctx, c.Hierarchy, api.Decision{Proceed: !c.Block})
	code := message.AskedConfirm
	if c.Block {
		code = message.AskedBlock
	}
	if err != nil || c.Block || c.NoWait {
		return a.done(ctx, d, err, code, c.Hierarchy)
	}
	return a.follow(ctx, operation{hierarchy: c.Hierarchy, entry: d.Entry, judge: inServiceOn(0),
		cancel: "perdure hierarchy confirm " + c.Hierarchy + " --block"})
}

type nodeSetCmd struct {
	Node string `arg:"" help:"Name."`
	onFailure
	Shutdown *string `help:"What becomes of its services when it is shut down: move (to other nodes) or stay (until it is back)." placeholder:"WORD"`
	Host     *string `help:"The machine under this virtual one, where the hypervisor doesn't say it." placeholder:"NAME"`
}

func (c nodeSetCmd) Run(ctx context.Context, a *app) error {
	if c.empty() && c.Shutdown == nil && c.Host == nil {
		return message.New(message.NothingToChange)
	}
	d, err := a.client().SetNode(ctx, c.Node, api.NodeChange{NotifyOnly: c.NotifyOnly, FailoverBlocked: c.FailoverBlocked,
		Targets: c.targets(), Shutdown: c.Shutdown, Host: c.Host})
	return a.done(ctx, d, err, message.AskedChange, c.Node)
}

type nodeClearCmd struct {
	Node string `arg:"" help:"Name."`
}

func (c nodeClearCmd) Run(ctx context.Context, a *app) error {
	d, err := a.client().ClearNode(ctx, c.Node)
	return a.done(ctx, d, err, message.AskedNodeClear, c.Node)
}

type quorumLossCmd struct {
	Action string `arg:"" optional:"" help:"out-of-service (default), reboot or power-off, at once."`
}

func (c quorumLossCmd) Run(ctx context.Context, a *app) error {
	if c.Action != "" {
		d, err := a.client().SetQuorumLoss(ctx, c.Action)
		return a.done(ctx, d, err, message.AskedQuorumLoss, c.Action)
	}
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	how := string(cmp.Or(v.State.QuorumLoss, cluster.LossOutOfService))
	if a.JSON {
		return a.printJSON(map[string]string{"action": how})
	}
	a.printf("%s\n", how)
	return nil
}
