package why

import "github.com/perdure-ha/perdure/internal/api/wording"

// titles say what an episode was.
var titles = map[What]wording.Label{
	Failover:      {EN: "failover from {from} to {to}", JA: "フェイルオーバー ({from} → {to})"},
	Switchover:    {EN: "switchover from {from} to {to}", JA: "スイッチオーバー ({from} → {to})"},
	Handover:      {EN: "handed over from {from} to {to}", JA: "ノード停止に伴う移動 ({from} → {to})"},
	LocalRecovery: {EN: "local recovery on {to}", JA: "ローカルリカバリー ({to})"},
	Restart:       {EN: "in service again on {to}", JA: "{to} で再稼働"},
	Start:         {EN: "brought in service on {to}", JA: "{to} で稼働開始"},
	Stop:          {EN: "taken out of service", JA: "停止"},
	NotOver:       {EN: "not over yet", JA: "継続中"},
	Reported:      {EN: "change of status on {to}", JA: "状態変化 ({to})"},
}

var phases = map[string]wording.Label{
	PhaseSilence:  {EN: "silence, until the lease of {node} was surely over", JA: "無通信 ({node} のリースが確実に終わるまで)"},
	PhaseFence:    {EN: "until {node} was fenced", JA: "{node} のフェンシング完了まで"},
	PhaseRecover:  {EN: "local recovery on {node}", JA: "{node} でのローカルリカバリー"},
	PhaseStop:     {EN: "taking out of service on {node}", JA: "{node} での停止処理"},
	PhaseGiveUp:   {EN: "stopping what was left on {node}", JA: "{node} での後始末"},
	PhaseBackoff:  {EN: "waiting before the next attempt", JA: "再試行までの待機"},
	PhaseDecision: {EN: "decision", JA: "判断"},
	PhaseStart:    {EN: "bringing in service on {node}", JA: "{node} での起動"},
	PhaseTry:      {EN: "attempt on {node} that failed", JA: "{node} での起動失敗"},
	PhaseReboot:   {EN: "restart of {node}", JA: "{node} の再起動"},
}

var (
	labelOutage   = wording.Label{EN: "without service for", JA: "停止時間"}
	labelUnknown  = wording.Label{EN: "time without service not known", JA: "停止時間は不明"}
	labelBefore   = wording.Label{EN: "in service on {node} since {time}", JA: "{time} から {node} で稼働"}
	labelSeen     = wording.Label{EN: "seen", JA: "観測"}
	labelRule     = wording.Label{EN: "rule", JA: "規則"}
	labelRuledOut = wording.Label{EN: "ruled out", JA: "除外理由"}
	labelTook     = wording.Label{EN: "took", JA: "所要"}
	labelBecause  = wording.Label{EN: "because of", JA: "原因"}
	labelBy       = wording.Label{EN: "by", JA: "要求者"}
	labelCost     = wording.Label{EN: "Where the time went", JA: "時間の内訳"}
	labelTotal    = wording.Label{EN: "in all", JA: "合計"}
	labelClocks   = wording.Label{EN: "clocks differ", JA: "時計の差"}
	labelNow      = wording.Label{EN: "Now", JA: "現在"}
	labelOn       = wording.Label{EN: "{status} on {node}", JA: "{node} で{status}"}
	labelSince    = wording.Label{EN: " since {time}", JA: " ({time} から)"}
	labelWants    = wording.Label{EN: "wanted {status}", JA: "要求: {status}"}
	labelMarks    = wording.Label{EN: "not started on {node} until cleared", JA: "解除するまで {node} では起動しません"}
	labelNext     = wording.Label{EN: "Next", JA: "対処"}
	labelLater    = wording.Label{EN: "A newer episode follows.", JA: "この後に新しい出来事があります。"}
	labelClockRow = wording.Label{EN: "Times are of the wall clocks of the nodes that reported ({zone}).", JA: "時刻は報告したノードの時計によります ({zone})。"}
)
