package cli

import (
	"cmp"
	"context"
	"fmt"
	"strings"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type quorumCmd struct {
	Status    quorumStatusCmd `cmd:"" help:"Show the votes."`
	Add       quorumAddCmd    `cmd:"" help:"Add a third vote for two nodes."`
	Remove    quorumRemoveCmd `cmd:"" help:"Take a witness or storage witness out."`
	Loss      quorumLossCmd   `cmd:"" help:"Show or change what a node with services does on loss of quorum: out-of-service, reboot, power-off."`
	Detection detectionCmd    `cmd:"" help:"Show or change the detection time: fast, balanced, wide, or a duration."`
}

type quorumStatusCmd struct{}

func (quorumStatusCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	q := v.Report.Quorum
	if a.JSON {
		return a.printJSON(q)
	}
	held := a.mark(good, a.label("yes", "あり"))
	if !q.Held {
		held = a.mark(bad, a.label("no", "なし"))
	}
	leader := "-"
	if v.Report.Leader != 0 {
		leader = v.State.NodeName(v.Report.Leader)
	}
	var voters []string
	for i := range v.Report.Nodes {
		if n := &v.Report.Nodes[i]; n.Voter {
			word := n.Name
			if !n.Heard {
				word += a.label(" (silent)", " (無通信)")
			}
			voters = append(voters, word)
		}
	}
	a.table(a.term.Out, "", [][]cell{
		plain(a.label("quorum", "クォーラム"), held),
		plain(a.label("voters", "投票メンバー"), strings.Join(voters, ", ")),
		plain(a.label("answer", "応答"), fmt.Sprintf(a.label("%d of %d, %d needed", "%d/%d (%d 必要)"), q.Answering, q.Voters, q.Majority)),
		plain(a.label("may still fail", "許容できる障害数"), fmt.Sprint(max(q.Spare, 0))),
		plain(a.label("leader", "リーダー"), leader),
		plain(a.label("on loss", "喪失時"), string(cmp.Or(v.State.QuorumLoss, cluster.LossOutOfService))),
	})
	return nil
}

type detectionCmd struct {
	Value string `arg:"" optional:"" help:"fast (0.5 s), balanced (2.5 s), wide (10 s), or a duration such as 4s."`
}

func (c detectionCmd) Run(ctx context.Context, a *app) error {
	if c.Value == "" {
		v, err := a.client().View(ctx)
		if err != nil {
			return err
		}
		if a.JSON {
			return a.printJSON(v.Report.Detection)
		}
		a.detectionTable(&v)
		return nil
	}
	if _, err := api.DetectionOf(c.Value); err != nil {
		return err
	}
	d, err := a.client().SetDetection(ctx, c.Value)
	if err := a.done(ctx, d, err, message.AskedDetection, d.Was, d.Detection); err != nil || a.JSON {
		return err
	}
	a.table(a.term.Out, "", [][]cell{plain(a.arithmetic(d.Detection))})
	return nil
}

func (a *app) detectionTable(v *api.View) {
	d := &v.Report.Detection
	profile := span(d.Detection)
	if d.Profile != "" {
		profile += " (" + d.Profile + ")"
	}
	a.table(a.term.Out, "", [][]cell{
		plain(a.label("detection time", "検出時間"), profile),
		plain(a.label("heartbeat every", "ハートビート間隔"), span(d.Heartbeat)),
		plain(a.label("gate closes at", "ゲート閉鎖"), span(d.Gate)),
		plain(a.label("takeover begins at", "引き継ぎ開始"), span(d.Eviction)),
		plain(a.label("slowest round trip", "最大往復時間"), roughly(d.WorstRTT)),
	})
	for _, h := range v.Report.Hierarchies {
		s := statusPage{app: a, w: a.term.Out, v: v}
		for _, l := range wording.Break(h.Name+": "+s.outage(&h), a.width) {
			a.printf("%s\n", l)
		}
	}
}
