package cli

import (
	"fmt"
	"slices"
	"time"

	"github.com/perdure-ha/perdure/internal/api/wording"
	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// tree lists resources with parents above the children on which they depend. A
// child of several parents stands under the first and is named under the rest.
func (s *statusPage) tree(all []cluster.Resource, long bool) [][]cell {
	t := resourceTree{page: s, all: all, long: long}
	for i := range all {
		if !slices.ContainsFunc(all, func(r cluster.Resource) bool { return slices.Contains(r.DependsOn, all[i].Name) }) {
			t.add(&all[i], "", "")
		}
	}
	return t.rows
}

type resourceTree struct {
	page *statusPage
	all  []cluster.Resource
	long bool
	seen []string
	rows [][]cell
}

func (t *resourceTree) add(r *cluster.Resource, branch, below string) {
	s := t.page
	if slices.Contains(t.seen, r.Name) {
		t.rows = append(t.rows, []cell{{text: branch + r.Name}, {s.label("see above", "上記参照"), faint}, {}})
		return
	}
	t.seen = append(t.seen, r.Name)
	status := cell{wording.Word(s.lang, r.Status), statusMark(r.Status)}
	why := ""
	if r.Reason.Code != "" && (t.long || r.Status != cluster.InService && r.Status != cluster.OutOfService) {
		why = s.reason(r.Reason)
	}
	t.rows = append(t.rows, []cell{{text: branch + r.Name}, {r.Kit, faint}, status, {text: why}})
	for i, name := range r.DependsOn {
		j := slices.IndexFunc(t.all, func(o cluster.Resource) bool { return o.Name == name })
		if j < 0 {
			continue
		}
		if i == len(r.DependsOn)-1 {
			t.add(&t.all[j], below+"└─ ", below+"   ")
		} else {
			t.add(&t.all[j], below+"├─ ", below+"│  ")
		}
	}
}

func (s *statusPage) paths(long bool) {
	l := &s.v.Local
	if len(l.Paths) == 0 {
		s.head("Comm paths", "コミュニケーションパス", s.label("none to another node", "他ノードへのパスなし"))
		return
	}
	var parts []string
	for _, n := range s.v.Report.Networks {
		parts = append(parts, fmt.Sprintf(s.label("%s %d of %d up", "%s %d/%d 正常"), n.Network, n.Up, n.Paths))
	}
	s.head("Comm paths", "コミュニケーションパス", s.list(parts))
	if long {
		s.pathTable("  ")
	}
}

// pathTable lays out this node's comm paths with their counters: a table where
// there is room for it, else a few lines for each path.
func (s *statusPage) pathTable(indent string) {
	if rows := s.pathRows(); tableWidth(rows)+len(indent) <= s.width {
		s.table(s.w, indent, rows)
		return
	}
	for _, p := range s.v.Local.Paths {
		_, _ = fmt.Fprintln(s.w, indent+s.mark(strong, p.Network)+s.label(" to ", " → ")+s.v.State.NodeName(p.Peer)+"  "+
			s.mark(pathMark(p.State), wording.Word(s.lang, p.State)))
		for _, text := range []string{
			p.Local + " → " + p.Remote,
			fmt.Sprintf(s.label("RTT p50 %s, p99 %s; %d sent, %d received, %d lost", "RTT p50 %s、p99 %s、送信 %d、受信 %d、損失 %d"),
				roughly(p.RTT), roughly(p.Worst), p.Sent, p.Received, p.Lost),
		} {
			for _, l := range wording.Break(text, s.width-len(indent)-2) {
				_, _ = fmt.Fprintln(s.w, indent+"  "+l)
			}
		}
	}
}

func pathMark(state string) mark {
	if state == "up" {
		return good
	}
	return bad
}

func (s *statusPage) pathRows() [][]cell {
	rows := [][]cell{heads(s.label("network", "ネットワーク"), s.label("to", "相手"), s.label("state", "状態"),
		s.label("here", "自アドレス"), s.label("there", "相手アドレス"), "RTT p50", "p99",
		s.label("sent", "送信"), s.label("received", "受信"), s.label("lost", "損失"))}
	for _, p := range s.v.Local.Paths {
		rows = append(rows, []cell{{text: p.Network}, {text: s.v.State.NodeName(p.Peer)}, {wording.Word(s.lang, p.State), pathMark(p.State)},
			{text: p.Local}, {text: p.Remote}, {text: roughly(p.RTT)}, {text: roughly(p.Worst)},
			{text: fmt.Sprint(p.Sent)}, {text: fmt.Sprint(p.Received)}, {text: fmt.Sprint(p.Lost)}})
	}
	return rows
}

// local is what this node knows by itself.
func (s *statusPage) local() {
	l := &s.v.Local
	s.head("This node", "このノード", "")
	lease := s.label("none", "なし")
	if l.LeaseAlive {
		lease = s.label("alive, ", "有効、残り ") + roughly(l.LeaseLeft) + s.label(" left", "")
	}
	leader := s.label("unknown", "不明")
	if l.Leader != 0 {
		leader = s.v.State.NodeName(l.Leader)
	}
	gate, dog := l.Guarded.Gate, l.Guarded.Watchdog
	if gate == "" {
		gate = "-"
	}
	if dog == "" {
		dog = "-"
	}
	rows := [][]cell{
		plain(s.label("software", "ソフトウェア"), l.Software),
		plain(s.label("lease", "リース"), lease),
		plain(s.label("leader", "リーダー"), fmt.Sprintf(s.label("%s, term %d", "%s、任期 %d"), leader, l.Term)),
		plain(s.label("address gate", "アドレスゲート"), gate),
		plain(s.label("watchdog", "ウォッチドッグ"), dog),
		plain(s.label("worst RTT", "最大 RTT"), roughly(l.WorstRTT)),
		plain(s.label("state", "状態"), fmt.Sprintf(s.label("command %d, configuration %d", "コマンド %d、構成 %d"), s.v.State.Applied, s.v.State.Conf)),
	}
	if l.Stopping != "" {
		rows = append(rows, plain(s.label("stopping", "停止処理中"), l.Stopping))
	}
	s.table(s.w, "  ", rows)
}

// line is one entry of the timeline on one line.
func (a *app) entryText(st *cluster.State, e *cluster.Entry) string {
	text := a.reason(e.Reason)
	if e.Reason.Code == "" {
		text = wording.Word(a.lang, e.Kind)
		if e.Node != 0 {
			text += " " + st.NodeName(e.Node)
		}
		if e.Hierarchy != "" {
			text += " " + e.Hierarchy
		}
	}
	if e.By != "" && st.NodeByName(e.By) == nil {
		text += a.label(" by ", " 要求者: ") + e.By
	}
	return text
}

func (a *app) entryRow(st *cluster.State, e *cluster.Entry) []cell {
	code := e.Reason.Code
	if code == "" {
		code = "-"
	}
	at := time.UnixMilli(e.WallMilli).In(a.zone).Format("2006-01-02 15:04:05.000")
	return []cell{{fmt.Sprintf("#%d", e.ID), faint}, {at, faint}, {code, faint}, {text: a.entryText(st, e)}}
}

// codes of errors for which a near name may be known.
var nearCodes = map[string]bool{message.RefusedUnknownNode: true, message.RefusedNotFound: true, message.RefusedNoResource: true}
