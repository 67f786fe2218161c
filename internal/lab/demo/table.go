package demo

import (
	"fmt"
	"io"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// The columns of the table, in cells of a terminal: 80 with the blanks.
const (
	widthTitle   = 36
	widthWhat    = 19
	widthOutage  = 8
	widthDouble  = 7
	widthVerdict = 6
	widthAll     = widthTitle + widthWhat + widthOutage + widthDouble + widthVerdict + 4
)

var words = map[string]Text{
	"fault":   {"fault", "障害"},
	"what":    {"what happened", "結果"},
	"outage":  {"outage", "停止時間"},
	"double":  {"double", "二重"},
	"verdict": {"", "判定"},
	"stayed":  {"stays on %s", "%s で継続"},
	"moved":   {"%s → %s", "%s → %s"},
	"silent":  {"not back", "復旧せず"},
	"none":    {"none", "なし"},
	"ok":      {"ok", "合格"},
	"bad":     {"BAD", "不合格"},

	// Goals and waits of the live line.
	"goal " + string(Ready):  {"waits until the cluster is whole", "クラスターの回復待ち"},
	"goal " + string(Served): {"waits for service", "サービスの応答待ち"},
	"goal " + string(Moved):  {"waits for service on another node", "他ノードでの応答待ち"},
	"goal watch":             {"watches", "監視中"},

	"confined": {"Nodes are processes on loopback addresses, without a virtual address: %v.", "ノードはループバックアドレス上のプロセスとして動作し、仮想アドレスはありません: %v"},
	"skipped": {"Not here, because these need root, network namespaces and nftables (sudo make demo): %s.",
		"root 権限、ネットワーク名前空間、nftables が必要なため省略 (sudo make demo): %s"},
	"founds":   {"nodes join one by one", "ノードの参加"},
	"protects": {"the service is brought up", "サービスの起動"},
	"awaits":   {"all nodes are to be whole", "全ノードの準備待ち"},

	// Why a scenario can't be played on a stage, and what is said of several rounds.
	"no-workers":  {"the server has no processes beside its main one", "サーバーに子プロセスがないため"},
	"no-gate":     {"these kernels have no address gate", "カーネルにアドレスゲートがないため"},
	"no-watchdog": {"it needs machines with a watchdog (lab up --watchdog)", "ウォッチドッグ付きの VM が必要 (lab up --watchdog)"},
	"no-means":    {"%s is not possible here", "%s を実行できないため"},
	"no-witness":  {"it needs two nodes and a witness", "2 ノードとウィットネスが必要"},
	"not-three":   {"it needs three nodes without a witness", "ウィットネスなしの 3 ノードが必要"},
	"few-votes":   {"it needs three votes", "3 票が必要"},
	"not-here":    {"Not on this lab (perdure lab run --list says why): %s.", "このラボでは省略 (理由: perdure lab run --list): %s"},
	"stopped":     {"Stopped: the cluster isn't whole.", "クラスターが回復していないため中断しました。"},
	"round":       {"round %d of %d", "%d/%d 回目"},
	"runs":        {"runs", "回数"},
	"survived":    {"survived", "合格"},
	"median":      {"median", "中央値"},
	"longest":     {"longest", "最長"},
	"rounds":      {"%d of %d rounds were played.", "%d/%d 回を実行しました。"},

	"kept":           {"logs and state of the nodes: %s", "ノードのログと状態: %s"},
	"stay":           {"The cluster stays up until Ctrl-C. Each script runs perdure on its node:", "クラスターは Ctrl-C まで動作します。各スクリプトはそのノードで perdure を実行します:"},
	"try-status":     {"see it live", "状態の監視"},
	"try-switchover": {"move the service", "サービスの移動"},
	"try-why":        {"how it came to be there", "経緯の表示"},
}

// WriteTable writes the results for people, in at most 80 columns, with what
// was wrong below.
func WriteTable(w io.Writer, lang string, results []Result) error {
	var b strings.Builder
	say := func(key string) string { return words[key].In(lang) }
	row := func(title, what, outage, double, verdict string) {
		line := cell(title, widthTitle, false) + " " + cell(what, widthWhat, false) + " " +
			cell(outage, widthOutage, true) + " " + cell(double, widthDouble, true) + " " + cell(verdict, widthVerdict, true)
		b.WriteString(strings.TrimRight(line, " ") + "\n")
	}
	row(say("fault"), say("what"), say("outage"), say("double"), say("verdict"))
	b.WriteString(strings.Repeat("─", widthAll) + "\n")
	for _, r := range results {
		verdict := "ok"
		if !r.Survived() {
			verdict = "bad"
		}
		row(titleOf(r.Name, r.Title, lang), whatHappened(r, lang), outageOf(r, lang), doubleOf(r, lang), say(verdict))
	}
	for _, r := range results {
		for _, problem := range r.Problems {
			fmt.Fprintf(&b, "\n%s: %s\n", r.Name, problem)
		}
	}
	_, err := io.WriteString(w, b.String())
	return err
}

func titleOf(name, title, lang string) string {
	if found, err := Find([]string{name}); err == nil {
		return found[0].Title.In(lang)
	}
	return title
}

func whatHappened(r Result, lang string) string {
	switch {
	case r.Verdict.Open():
		return words["silent"].In(lang)
	case r.After == r.Owner:
		return fmt.Sprintf(words["stayed"].In(lang), r.Owner)
	}
	return fmt.Sprintf(words["moved"].In(lang), r.Owner, r.After)
}

func outageOf(r Result, lang string) string {
	if r.Verdict.Longest == 0 {
		return words["none"].In(lang)
	}
	return seconds(r.Verdict.Longest)
}

func doubleOf(r Result, lang string) string {
	if len(r.Verdict.Doubles) == 0 {
		return words["none"].In(lang)
	}
	return seconds(r.Verdict.DoubleTime)
}

func seconds(d time.Duration) string { return fmt.Sprintf("%.2f s", d.Seconds()) }

// cell fits text into a column.
func cell(text string, width int, right bool) string {
	text = truncate(text, width)
	blanks := strings.Repeat(" ", max(0, width-message.Width(text)))
	if right {
		return blanks + text
	}
	return text + blanks
}

// Wrap breaks text at blanks into lines of at most width cells.
func Wrap(text string, width int) string {
	var lines []string
	line := ""
	for _, word := range strings.Fields(text) {
		if line != "" && message.Width(line)+1+message.Width(word) > width {
			lines = append(lines, line)
			line = ""
		}
		if line != "" {
			line += " "
		}
		line += word
	}
	return strings.Join(append(lines, line), "\n")
}

// truncate cuts text to a width in cells.
func truncate(text string, width int) string {
	if message.Width(text) <= width {
		return text
	}
	runes := []rune(text)
	for len(runes) > 0 && message.Width(string(runes)+"…") > width {
		runes = runes[:len(runes)-1]
	}
	return string(runes) + "…"
}
