package cli

import (
	"context"
	"errors"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type nodeCmd struct {
	List   nodeListCmd   `cmd:"" help:"List nodes."`
	Show   nodeShowCmd   `cmd:"" help:"Show one."`
	Stop   nodeStopCmd   `cmd:"" help:"Stop this node's daemon; its services move to other nodes first."`
	Remove nodeRemoveCmd `cmd:"" help:"Remove another node from the cluster for good."`

	API         nodeAPICmd         `cmd:"" name:"api" help:"Set where a node answers users and access tokens."`
	Health      nodeHealthCmd      `cmd:"" help:"Show what is wrong with the machines, or set the thresholds."`
	Drain       nodeDrainCmd       `cmd:"" help:"Move everything away from a node and keep it empty."`
	Maintenance nodeMaintenanceCmd `cmd:"" help:"Begin or end maintenance: what is there isn't monitored, and nothing is brought in service there."`
	Set         nodeSetCmd         `cmd:"" help:"Change its policies: what failures there and its shutdown lead to."`
	Clear       nodeClearCmd       `cmd:"" help:"Forget its past losses and end its quarantine."`
	Fenced      nodeFencedCmd      `cmd:"" help:"Confirm that an evicted or unmanaged node is powered off."`
}

type nodeListCmd struct{}

func (nodeListCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(v.Report.Nodes)
	}
	s := statusPage{app: a, w: a.term.Out, v: &v}
	rows := [][]cell{heads(a.label("node", "ノード"), "id", a.label("role", "役割"), a.label("presence", "状態"), a.label("software", "ソフトウェア"), "")}
	for i := range v.Report.Nodes {
		n := &v.Report.Nodes[i]
		rows = append(rows, []cell{{n.Name, strong}, {text: n.ID.String()}, {text: wording.Word(a.lang, n.Role)},
			s.presence(n), {text: dash(n.Software)}, {text: s.aboutNode(n)}})
	}
	a.table(a.term.Out, "", rows)
	return nil
}

type nodeShowCmd struct {
	Node string `arg:"" help:"Name."`
}

func (c nodeShowCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	n := v.State.NodeByName(c.Node)
	if n == nil {
		return a.near(ctx, message.New(message.RefusedUnknownNode, c.Node))
	}
	if a.JSON {
		return a.printJSON(n)
	}
	s := statusPage{app: a, w: a.term.Out, v: &v}
	rows := [][]cell{
		plain(a.label("role", "役割"), wording.Word(a.lang, n.Role)),
		plain(a.label("presence", "状態"), wording.Word(a.lang, n.Presence)),
		plain(a.label("generation", "世代"), fmt.Sprint(n.Generation)),
		plain(a.label("software", "ソフトウェア"), dash(n.Software)),
	}
	if n.WatchdogSeconds > 0 {
		rows = append(rows, plain(a.label("watchdog", "ウォッチドッグ"), span(time.Duration(n.WatchdogSeconds)*time.Second)))
	}
	if n.Host != "" {
		rows = append(rows, plain(a.label("host", "ホスト"), n.Host))
	}
	rows = append(rows, plain(a.label("shutdown", "シャットダウン時"), string(api.StopAsSet(v.State, n.ID))))
	if words := a.failurePolicy(&v, &n.OnFailure); words != "" {
		rows = append(rows, plain(a.label("on failure", "障害時"), words))
	}
	if len(n.Falls) > 0 {
		rows = append(rows, plain(a.label("lost within an hour", "1 時間以内の障害"), fmt.Sprint(len(n.Falls))))
	}
	for _, p := range n.Paths {
		rows = append(rows, plain(a.label("comm path", "コミュニケーションパス"), p.Network+" "+p.Address))
	}
	for i := range v.Report.Nodes {
		if r := &v.Report.Nodes[i]; r.ID == n.ID {
			a.printf("%s  %s\n", a.mark(strong, n.Name), s.aboutNode(r))
		}
	}
	a.table(a.term.Out, "  ", rows)
	return nil
}

type nodeStopCmd struct {
	Node       string `arg:"" optional:"" help:"This node's name, to be sure."`
	Keep       bool   `help:"Leave its services running, unmanaged: for an upgrade of the daemon." xor:"how"`
	Stop       bool   `help:"Take its services out of service; they don't start elsewhere." xor:"how"`
	Move       bool   `help:"Move its services to other nodes, whatever its shutdown strategy says." xor:"how"`
	Stay       bool   `help:"Stop its services; they start here again when the node is back." xor:"how"`
	NoWait     bool   `help:"Don't wait until it has stopped."`
	OnShutdown bool   `help:"Called by the system's shutdown." hidden:""`
}

func (c nodeStopCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if c.OnShutdown && (message.Has(err, message.DaemonNotRunning) || message.Has(err, message.StateNotLoaded)) {
		return nil // nothing runs that could be stopped
	}
	if err != nil {
		return err
	}
	self := v.State.NodeName(v.Report.Self)
	if c.Node != "" && c.Node != self {
		if v.State.NodeByName(c.Node) == nil {
			return a.near(ctx, message.New(message.RefusedUnknownNode, c.Node))
		}
		return message.New(message.StopElsewhere, c.Node, self)
	}
	mode := api.StopAsSet(v.State, v.Report.Self)
	switch {
	case c.Move:
		mode = api.StopMove
	case c.Stay:
		mode = api.StopStay
	case c.Keep:
		mode = api.StopKeep
	case c.Stop:
		mode = api.StopStop
	}
	if err := a.client().StopNode(ctx, mode); err != nil {
		// The answer may be lost with the daemon that gave it.
		if !message.Has(err, message.StreamEnded) {
			return err
		}
	}
	if !c.NoWait {
		if err := a.followStop(ctx, v.Report.Self, self); err != nil {
			return err
		}
	}
	if a.JSON {
		return a.printJSON(map[string]string{"node": self, "mode": string(mode)})
	}
	if c.NoWait {
		a.print(message.NodeStopping, self)
	} else {
		a.print(message.NodeStopped, self)
	}
	return nil
}

// followStop shows what leaves the node until the daemon is gone.
func (a *app) followStop(ctx context.Context, self cluster.NodeID, name string) error {
	began := time.Now()
	last := ""
	err := a.client().Events(ctx, api.EventsFrom{Now: true}, func(api.Event) error {
		v, err := a.client().View(ctx)
		if err != nil {
			return err
		}
		var left []string
		for i := range v.State.Hierarchies {
			if h := &v.State.Hierarchies[i]; h.Owner == self {
				left = append(left, h.Name)
			}
		}
		if now := strings.Join(left, ", "); now != last && now != "" && !a.JSON {
			last = now
			a.table(a.term.Out, "", [][]cell{{{fmt.Sprintf("%8s", roughly(time.Since(began))), faint},
				{text: message.Text(a.lang, message.StopWaitsFor, name, now)}}})
		}
		return nil
	})
	switch {
	case ctx.Err() != nil:
		return ctx.Err()
	case message.Has(err, message.StreamEnded), message.Has(err, message.DaemonNotRunning), errors.Is(err, context.Canceled):
		return nil
	}
	return err
}

type nodeRemoveCmd struct {
	Node string `arg:"" help:"Name."`
	Yes  bool   `short:"y" help:"Don't ask."`
}

func (c nodeRemoveCmd) Run(ctx context.Context, a *app) error {
	if err := a.isNode(ctx, c.Node); err != nil {
		return err
	}
	if !c.Yes && !a.confirm(message.ConfirmRemove, c.Node) {
		return message.New(message.NotConfirmed)
	}
	d, err := a.client().RemoveNode(ctx, c.Node)
	if err := a.done(ctx, d, err, message.AskedRemove, c.Node); err != nil || a.JSON {
		return err
	}
	for _, n := range d.Notes {
		a.note(n.Code, anys(n.Args)...)
	}
	return nil
}

// isNode refuses a name that no node has, before anybody is asked about it.
func (a *app) isNode(ctx context.Context, name string) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	if v.State.NodeByName(name) == nil {
		return a.near(ctx, message.New(message.RefusedUnknownNode, name))
	}
	return nil
}

// confirm asks a person; anything but yes is no.
func (a *app) confirm(code string, args ...any) bool {
	_, _ = fmt.Fprint(a.term.Err, message.Text(a.lang, code, args...)+" [yes/no] ")
	var answer string
	if _, err := fmt.Fscanln(a.term.In, &answer); errors.Is(err, io.EOF) {
		_, _ = fmt.Fprintln(a.term.Err) // nobody ended the line
	}
	return answer == "yes" || answer == "y"
}

func anys(args []string) []any {
	out := make([]any, len(args))
	for i, s := range args {
		out[i] = s
	}
	return out
}
