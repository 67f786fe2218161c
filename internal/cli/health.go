package cli

import (
	"context"
	"fmt"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type nodeHealthCmd struct {
	CPU    *int `name:"cpu" help:"Set the threshold of busy processors, in percent; 0: the default 95, 101: never."`
	Memory *int `help:"Set the threshold of taken memory; 0: the default 95, 101: never."`
	Disk   *int `help:"Set the threshold of full disks; 0: the default 90, 101: never."`
}

func (c nodeHealthCmd) Run(ctx context.Context, a *app) error {
	h, err := a.client().Health(ctx)
	if err != nil {
		return err
	}
	if c.CPU != nil || c.Memory != nil || c.Disk != nil {
		l := h.Limits
		for _, v := range []struct {
			at  *int
			set *int
		}{{&l.CPU, c.CPU}, {&l.Memory, c.Memory}, {&l.Disk, c.Disk}} {
			if v.set != nil {
				*v.at = *v.set
			}
		}
		d, err := a.client().SetLimits(ctx, l)
		f := l.Filled()
		return a.done(ctx, d, err, message.AskedLimits, f.CPU, f.Memory, f.Disk)
	}
	if a.JSON {
		return a.printJSON(h)
	}
	for _, n := range h.Nodes {
		if len(n.Marks) == 0 {
			a.table(a.term.Out, "", [][]cell{{{n.Node, strong}, {a.label("healthy", "正常"), good}}})
		}
		for _, m := range n.Marks {
			a.table(a.term.Out, "", [][]cell{{{n.Node, strong}, {a.reason(m.Reason), warn}}})
		}
	}
	if v := h.Vitals; v != nil {
		a.printf("%s\n", a.label("This node's machine", "このノードのマシン"))
		rows := [][]cell{plain(a.label("processor", "CPU"), percent(v.CPU)), plain(a.label("memory", "メモリー"), percent(v.Memory))}
		for _, p := range sortedKeys(v.Disks) {
			rows = append(rows, plain(a.label("disk ", "ディスク ")+p, percent(v.Disks[p])))
		}
		for _, p := range sortedKeys(v.Links) {
			rows = append(rows, plain(a.label("link ", "リンク ")+p, a.upDown(v.Links[p])))
		}
		for _, p := range sortedKeys(v.Gateways) {
			answers := a.label("no answer", "応答なし")
			if v.Gateways[p] {
				answers = a.label("answers", "応答あり")
			}
			rows = append(rows, plain(a.label("gateway ", "ゲートウェイ ")+p, answers))
		}
		a.table(a.term.Out, "  ", rows)
	}
	l := h.Limits
	a.printf(a.label("Thresholds: processor %s, memory %s, disk %s\n", "しきい値: CPU %s、メモリー %s、ディスク %s\n"), limit(l.CPU), limit(l.Memory), limit(l.Disk))
	return nil
}

func (a *app) upDown(up bool) string {
	if up {
		return a.label("up", "接続")
	}
	return a.label("down", "切断")
}

func percent(v float64) string {
	if v < 0 {
		return "-"
	}
	return fmt.Sprintf("%.0f %%", v)
}

func limit(v int) string {
	if v >= cluster.LimitOff {
		return "-"
	}
	return fmt.Sprintf("%d %%", v)
}
