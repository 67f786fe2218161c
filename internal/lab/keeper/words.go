package keeper

import "github.com/perdure-ha/perdure/internal/lab/demo"

// text is said to people in their language.
type text demo.Text

// In returns it in a language.
func (t text) In(lang string) string { return demo.Text(t).In(lang) }

// words are the longer texts of the commands, as in package demo.
var words = map[string]text{
	"phase " + string(Begins): {"starting", "開始中"},
	"phase " + string(Images): {"images of the machines", "マシンイメージの準備"},
	"phase " + string(Boots):  {"booting", "起動中"},
	"phase " + string(Forms):  {"forming the cluster", "クラスターの構成"},
	"phase " + string(Serves): {"in service", "稼働中"},
	"phase " + string(Closes): {"ending", "終了処理中"},
	"phase " + string(Closed): {"ended", "終了"},
	"left":                    {"about %v left", "残り約 %v"},

	"in-service": {"In service after %.0f s: http://%s/ answers, from node %s.", "%.0f 秒で稼働しました: http://%s/ がノード %s から応答しています。"},
	"node":       {"node", "ノード"},
	"host":       {"host", "ホスト"},
	"kind":       {"kind", "種類"},
	"state":      {"state", "状態"},
	"public":     {"public", "public"},
	"heartbeat":  {"heartbeat", "heartbeat"},
	"witness":    {"witness", "ウィットネス"},
	"next":       {"Next:", "次の操作:"},
	"try-ssh":    {"a shell on a node", "ノードのシェル"},
	"try-status": {"how it goes, seen from outside", "外部から見た状態"},
	"try-run":    {"take the power from the owner", "稼働系ノードの電源断"},
	"try-list":   {"what else can be done to it", "実行できる障害の一覧"},
	"try-down":   {"the end", "終了"},
	"two-nodes":  {"Two nodes without a witness don't fail over: each fault is yours (--nodes 3, or --witness).", "ウィットネスのない 2 ノードではフェイルオーバーしません (--nodes 3 または --witness)。"},
	"foreground": {"The lab stays up until Ctrl-C.", "ラボは Ctrl-C まで動作します。"},

	"state on":       {"on", "オン"},
	"state off":      {"off", "オフ"},
	"state down":     {"down", "停止"},
	"state changing": {"changing", "変更中"},

	"lab":         {"%d machines (%s) since %s, keeper %d: %s", "マシン %d 台 (%s)、開始 %s、キーパー %d: %s"},
	"busy":        {"being done: %s", "実行中: %s"},
	"serves":      {"service %s: answers, from node %s", "サービス %s: ノード %s から応答中"},
	"silent":      {"service %s: no answer for %.1f s, the last from node %s", "サービス %s: %.1f 秒間応答なし、最後の応答はノード %s"},
	"never":       {"service %s: no answer yet", "サービス %s: まだ応答なし"},
	"counters":    {"client, last %v: %d requests, %d lost, %d outages, longest %.2f s", "クライアント (過去 %v): 要求 %d、失敗 %d、停止 %d 回、最長 %.2f 秒"},
	"double":      {"two nodes answered at once for %.2f s", "2 ノードが同時に応答した時間: %.2f 秒"},
	"outage":      {"  %s  %6.2f s  %s → %s", "  %s  %6.2f 秒  %s → %s"},
	"outage-open": {"  %s  %6.2f s  %s → not back yet", "  %s  %6.2f 秒  %s → 未復旧"},

	"scenarios":  {"Scenarios: perdure lab run NAME…", "シナリオ: perdure lab run NAME…"},
	"faults":     {"Single faults: perdure lab run -- 'power-off n1' (operands: docs/lab.md)", "個別の障害: perdure lab run -- 'power-off n1' (引数: docs/lab.md)"},
	"cant":       {"not on this lab: %s", "このラボでは不可: %s"},
	"cant-list":  {"Not with this kind of machine: %s.", "この種類のマシンでは不可: %s"},
	"no-lab":     {"No lab is up: what each kind of machine can't do is in docs/lab.md.", "起動中のラボはありません。マシンの種類ごとの制限: docs/lab.md"},
	"not-kind":   {"machines of kind %s can't do it", "種類 %s のマシンでは実行できません"},
	"fault-done": {"done: %s (%.1f s)", "実行しました: %s (%.1f 秒)"},
	"fault-end":  {"to end it: perdure lab run -- '%s'", "元に戻すには: perdure lab run -- '%s'"},

	"down-none":    {"no lab is up; nothing to do", "起動中のラボはありません。対処は不要です"},
	"down-done":    {"The lab is down: %d machines and their networks are gone.", "ラボを終了しました: マシン %d 台とネットワークを削除しました。"},
	"down-kept":    {"Logs stay in %s", "ログは %s にあります"},
	"down-killed":  {"The keeper, process %d, didn't end by itself and was killed.", "キーパー (プロセス %d) は自分で終了しなかったため、強制終了しました。"},
	"down-dead":    {"The keeper, process %d, died without cleaning up.", "キーパー (プロセス %d) は後始末をせずに終了していました。"},
	"down-removed": {"removed: %s", "削除: %s"},
	"stale":        {"An earlier lab's keeper (process %d) died without cleaning up; what it left is removed.", "以前のラボのキーパー (プロセス %d) は後始末をせずに終了していました。残りを削除します。"},
	"interrupted":  {"interrupted: ending the lab", "中断: ラボを終了しています"},
}
