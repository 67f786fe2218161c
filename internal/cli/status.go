package cli

import (
	"bytes"
	"context"
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/api"
	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

type statusCmd struct {
	Long  bool `short:"l" help:"Also votes, lease, comm paths with counters, and reasons."`
	Watch bool `short:"w" help:"Show it again whenever something changes."`
	Quiet bool `short:"q" help:"Only the first line. Exit code 1 if not safe."`
}

func (c statusCmd) Run(ctx context.Context, a *app) error {
	if c.Watch {
		return a.watchStatus(ctx, c.Long)
	}
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	switch {
	case a.JSON && c.Long:
		return a.printJSON(v)
	case a.JSON:
		return a.printJSON(v.Report)
	}
	s := statusPage{app: a, w: a.term.Out, v: &v}
	if c.Quiet {
		s.headline()
		if !v.Report.Safe {
			return silent(exitFailed)
		}
		return nil
	}
	s.page(c.Long)
	return nil
}

// statusPage lays the status out.
type statusPage struct {
	*app
	w io.Writer
	v *api.View
}

func (s *statusPage) page(long bool) {
	s.headline()
	s.nodes(long)
	s.hierarchies(long)
	s.detection(long)
	s.paths(long)
	if long {
		s.local()
	}
	s.findings()
}

// headline is the one line for whoever has time for one: safe, or not and what
// to do about it.
func (s *statusPage) headline() {
	r := &s.v.Report
	if r.Safe {
		_, _ = fmt.Fprintln(s.w, s.mark(good, s.label("SAFE", "安全"))+": "+message.Text(s.lang, message.AllSafe))
		return
	}
	f := r.Findings[0]
	word := s.label("NOT SAFE", "安全ではありません")
	line := word + ": " + f.Text.In(s.lang)
	fix := ""
	if f.Fix != "" {
		fix = s.label("fix: ", "対処: ") + f.Fix
	}
	if fix != "" && message.Width(line+" — "+fix) <= s.width {
		line, fix = line+" — "+fix, ""
	}
	for i, l := range wording.Break(line, s.width) {
		if i == 0 {
			l = s.mark(bad, word) + strings.TrimPrefix(l, word)
		}
		_, _ = fmt.Fprintln(s.w, l)
	}
	if fix != "" {
		_, _ = fmt.Fprintln(s.w, "  — "+fix)
	}
}

func (s *statusPage) head(en, ja, rest string) {
	line := s.mark(strong, s.label(en, ja))
	if rest != "" {
		line += "  " + rest
	}
	_, _ = fmt.Fprintf(s.w, "\n%s\n", line)
}

func (s *statusPage) nodes(long bool) {
	r := &s.v.Report
	q := r.Quorum
	rest := fmt.Sprintf(s.label("cluster %s, %d of %d votes answer, %d needed", "クラスター %s、投票 %d/%d 応答、%d 必要"),
		r.Name, q.Answering, q.Voters, q.Majority)
	if !q.Held {
		rest += s.label(", ", "、") + s.mark(bad, s.label("no quorum", "クォーラムなし"))
	}
	s.head("Nodes", "ノード", rest)
	var rows [][]cell
	for i := range r.Nodes {
		n := &r.Nodes[i]
		row := []cell{{n.Name, strong}, s.presence(n)}
		if long {
			row = append(row, cell{text: n.ID.String()}, cell{text: n.Software})
		}
		rows = append(rows, append(row, cell{text: s.aboutNode(n)}))
	}
	s.table(s.w, "  ", rows)
}

// presence is what the cluster has agreed on about a node. A witness is never
// admitted, because it serves nothing: it votes or is silent.
func (s *statusPage) presence(n *api.NodeReport) cell {
	switch {
	case n.Role != cluster.RoleNode && n.Presence == cluster.Joining && n.Voter && n.Heard:
		return cell{s.label("votes", "投票中"), good}
	case n.Role != cluster.RoleNode && n.Presence == cluster.Joining && n.Voter:
		return cell{s.label("silent", "無通信"), bad}
	case n.Presence != cluster.Present || !n.Heard:
		return cell{wording.Word(s.lang, n.Presence), bad}
	}
	return cell{wording.Word(s.lang, n.Presence), good}
}

// aboutNode is what there is to say of a node besides its presence.
func (s *statusPage) aboutNode(n *api.NodeReport) string {
	var parts []string
	if n.Role != cluster.RoleNode {
		parts = append(parts, wording.Word(s.lang, n.Role))
	}
	if n.Leader {
		parts = append(parts, s.label("leader", "リーダー"))
	}
	switch {
	case n.Self:
		parts = append(parts, s.label("this node", "このノード"))
	case n.Ago < 0:
		parts = append(parts, s.label("never heard", "通信なし"))
	case !n.Heard:
		parts = append(parts, s.label("silent for ", "無通信 ")+roughly(n.Ago))
	}
	if !n.Voter {
		parts = append(parts, s.label("no vote", "投票権なし"))
	}
	if n.Maintenance {
		parts = append(parts, s.label("maintenance", "メンテナンス中"))
	}
	if n.Quarantine {
		parts = append(parts, s.label("quarantine", "隔離中"))
	}
	if n.Drain {
		parts = append(parts, s.label("drained", "ドレイン"))
	}
	if len(n.Hierarchies) > 0 {
		parts = append(parts, s.label("has ", "所有: ")+strings.Join(n.Hierarchies, ", "))
	}
	return s.list(parts)
}

// list joins words as the language does.
func (a *app) list(parts []string) string { return strings.Join(parts, a.label(", ", "、")) }

func (s *statusPage) hierarchies(long bool) {
	s.head("Hierarchies", "リソース階層", "")
	if len(s.v.Report.Hierarchies) == 0 {
		_, _ = fmt.Fprintln(s.w, "  "+s.label("none; perdure hierarchy create NAME makes one", "なし (perdure hierarchy create NAME で作成)"))
	}
	for i := range s.v.Report.Hierarchies {
		h := &s.v.Report.Hierarchies[i]
		s.hierarchy(h, long)
	}
}

func (s *statusPage) hierarchy(h *api.HierarchyReport, long bool) {
	status := s.mark(statusMark(h.Status), wording.Word(s.lang, h.Status))
	if h.Node != "" {
		status = s.label(status+" on "+h.Node, h.Node+" で"+status)
	}
	if h.MovingTo != "" {
		status += s.label(", moving to "+h.MovingTo, "、"+h.MovingTo+" へ移動中")
	}
	if h.Want == cluster.WantOutOfService {
		status += s.label(" (as asked)", " (要求どおり)")
	}
	_, _ = fmt.Fprintf(s.w, "  %s  %s\n", s.mark(strong, h.Name), status)
	s.reasonLines("    ", h.Reason, long || !h.Status.Serving() && h.Want == cluster.WantInService)
	standby := s.label("no standby could take it over", "引き継げる待機系なし")
	if len(h.Standbys) > 0 {
		standby = s.label("standby ", "待機系 ") + strings.Join(h.Standbys, ", ")
	}
	if h.Want == cluster.WantInService {
		for _, l := range wording.Break(standby+"; "+s.outage(h), s.width-4) {
			_, _ = fmt.Fprintln(s.w, "    "+l)
		}
	}
	if len(h.Failures) > 0 {
		_, _ = fmt.Fprintln(s.w, "    "+s.mark(bad, s.label("failed on ", "障害マーク: ")+strings.Join(h.Failures, ", ")))
	}
	if long {
		_, _ = fmt.Fprintf(s.w, "    %s %s; %s %s\n", s.label("order", "順序"), strings.Join(h.Nodes, ", "),
			s.label("class", "種別"), wording.Word(s.lang, h.Class))
	}
	s.table(s.w, "    ", s.tree(h.Resources, long))
}

// outage is what a power loss of its node would cost.
func (s *statusPage) outage(h *api.HierarchyReport) string {
	about := s.label("power loss of its node: ", "稼働系ノードの電源断時: ")
	if h.Endless {
		return about + s.label("waits until the node is fenced", "フェンシング完了まで待機")
	}
	if h.StartTook == 0 {
		return about + roughly(h.Outage) + s.label(" + its start", " + 起動時間")
	}
	return about + s.label("about ", "約 ") + roughly(h.Outage)
}

func (s *statusPage) reasonLines(indent string, r cluster.Reason, show bool) {
	if !show || r.Code == "" {
		return
	}
	for _, l := range wording.Break(s.reason(r)+" ("+r.Code+")", s.width-len(indent)) {
		_, _ = fmt.Fprintln(s.w, indent+l)
	}
}

func (s *statusPage) detection(long bool) {
	d := &s.v.Report.Detection
	profile := ""
	if d.Profile != "" {
		profile = " (" + d.Profile + ")"
	}
	text := s.label(span(d.Detection)+profile+"; takeover begins "+span(d.Eviction.Round(1e7))+" after a power loss",
		span(d.Detection)+profile+"。電源断の "+span(d.Eviction.Round(1e7))+" 後に引き継ぎ開始")
	s.head("Detection", "検出時間", text)
	if !long {
		return
	}
	for _, l := range wording.Break(s.arithmetic(d.Detection), s.width-2) {
		_, _ = fmt.Fprintln(s.w, "  "+l)
	}
}

// arithmetic shows how the other times follow from the detection time.
func (a *app) arithmetic(d time.Duration) string {
	t := cluster.TimingFor(d)
	return message.Text(a.lang, message.DetectionArithmetic, d, t.Heartbeat, t.GateSlack, t.Gate(), t.Margin.Round(1e5), t.Promise().Round(1e5))
}

func (s *statusPage) findings() {
	r := &s.v.Report
	rest := r.Findings
	if !r.Safe {
		rest = rest[1:]
	}
	if len(rest) == 0 {
		return
	}
	s.head("Also", "その他", "")
	for _, f := range rest {
		word, m := s.label("info", "情報"), faint
		switch f.Severity {
		case api.SeverityDown:
			word, m = s.label("down", "停止中"), bad
		case api.SeverityUnsafe:
			word, m = s.label("not safe", "危険"), bad
		case api.SeverityWarning:
			word, m = s.label("warning", "警告"), warn
		}
		text, fix := f.Text.In(s.lang), ""
		if f.Fix != "" {
			// A command is never broken: it will be copied.
			if fix = "— " + f.Fix; message.Width(text+" "+fix) <= s.width-12 {
				text, fix = text+" "+fix, ""
			}
		}
		for i, l := range wording.Break(text, s.width-12) {
			if i > 0 {
				word = ""
			}
			_, _ = fmt.Fprintln(s.w, "  "+s.mark(m, wording.Pad(word, 8))+"  "+l)
		}
		if fix != "" {
			_, _ = fmt.Fprintln(s.w, "            "+fix)
		}
	}
}

// statusText is the status as a text.
func (a *app) statusText(v *api.View, long bool) string {
	var b bytes.Buffer
	s := statusPage{app: a, w: &b, v: v}
	s.page(long)
	return b.String()
}
