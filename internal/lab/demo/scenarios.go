package demo

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// startTime is what the web server and its address need to come up, measured
// from outside on a machine that does other things as well. It is part of every
// outage that ends with a start.
const startTime = 300 * time.Millisecond

// takeover is the longest outage when the owner is lost: the detection time
// with the margin for clocks (2 %) and the decision, and the start. It is 3.0 s
// under the default and 0.84 s under the fast profile.
var takeover = Span{Detections: 1.08, Plus: startTime}

func stays(outage Span) func(cluster.Timing) Expectation {
	return func(cluster.Timing) Expectation { return Expectation{Place: Stays, Outage: outage} }
}

func moves(outage Span) func(cluster.Timing) Expectation {
	return func(cluster.Timing) Expectation { return Expectation{Place: Moves, Outage: outage} }
}

func anywhere(outage Span) func(cluster.Timing) Expectation {
	return func(cluster.Timing) Expectation { return Expectation{Place: Anywhere, Outage: outage} }
}

// unnoticed: nothing moves, and nothing is lost that a stall of a small machine
// (up to 0.2 s, seen on two busy cores) doesn't explain.
var unnoticed = stays(Span{Plus: 300 * time.Millisecond})

// watch is how long a state is watched in which nothing should happen: a lease
// ends after one detection time, and whoever wanted to take over wrongly would
// do so within the margin and a decision after it.
var watch = Span{Detections: 1.4}

// Scenarios is the list, in the order of the demo: from the ordinary to the
// nasty.
func Scenarios() []Scenario {
	all := processScenarios()
	all = append(all, nodeScenarios()...)
	all = append(all, networkScenarios()...)
	all = append(all, freezeScenarios()...)
	all = append(all, quorumScenarios()...)
	return append(all, machineScenarios()...)
}

func processScenarios() []Scenario {
	return []Scenario{
		{
			Name: "server-killed", Title: Text{"server killed", "サーバープロセスの強制終了"},
			Steps:  []Step{{Do: "kill owner nginx", Await: Served}},
			Expect: stays(Span{Plus: startTime}),
		},
		{
			Name: "server-main-killed", Title: Text{"server's main process killed", "親プロセスのみの強制終了"},
			Steps:  []Step{{Do: "kill-main owner nginx", Wait: Span{Plus: time.Second}, Await: Served}},
			Expect: stays(Span{Plus: 2 * startTime}),
		},
		{
			// Found by the HTTP check: interval 200 ms, time-out 1 s.
			Name: "server-hung", Title: Text{"server hung", "サーバープロセスのハング"},
			Steps:  []Step{{Do: "hang owner nginx", Await: Served}},
			Expect: stays(Span{Plus: 2*time.Second + startTime}),
		},
		{
			// The main process lives, so that only the HTTP check can tell.
			Name: "server-mute", Title: Text{"server accepts, but doesn't answer", "接続は受けるが応答しないサーバー"},
			Steps:  []Step{{Do: "hang-workers owner nginx", Await: Served}},
			Expect: stays(Span{Plus: 4*time.Second + startTime}), Workers: true,
		},
		{
			Name: "start-fails", Title: Text{"start fails on one node", "1 ノードでの起動失敗"},
			Steps:  []Step{{Do: "fail-start owner nginx"}, {Do: "kill owner nginx", Await: Moved}},
			Expect: moves(Span{Plus: 5 * time.Second}),
		},
		{
			Name: "fails-everywhere", Title: Text{"start fails on every node for 10 s", "全ノードで 10 秒間の起動失敗"},
			Steps: []Step{
				{Do: "fail-start owner nginx"}, {Do: "fail-start standby nginx"}, {Do: "fail-start third nginx"},
				{Do: "kill owner nginx", Wait: Span{Plus: 10 * time.Second}},
				{Do: "mend-start owner nginx"}, {Do: "mend-start standby nginx"}, {Do: "mend-start third nginx", Await: Served},
			},
			// Back-off: in 10 s plus the wait for the next try there are at most
			// the local recoveries of each node, and a few rounds.
			Expect: func(cluster.Timing) Expectation {
				return Expectation{Place: Anywhere, Outage: Span{Plus: 60 * time.Second}, Starts: 30}
			},
		},
		{
			Name: "daemon-killed", Title: Text{"daemon killed with -9", "デーモンの強制終了 (-9)"},
			Steps:  []Step{{Do: "kill-daemon owner", Wait: watch}},
			Expect: unnoticed,
		},
		{
			Name: "guardian-killed", Title: Text{"guardian killed with -9, started", "ガーディアン強制終了 (-9) と再起動"},
			Steps:  []Step{{Do: "kill-guardian owner"}, {Do: "start-daemon owner", Wait: watch}},
			Expect: anywhere(takeover),
		},
		{
			Name: "planned-stop", Title: Text{"perdure stopped for an upgrade", "更新のための計画停止 (サービス継続)"},
			Steps:  []Step{{Do: "keep-stop owner", Wait: watch}, {Do: "start-daemon owner", Await: Ready}},
			Expect: unnoticed,
		},
	}
}

func nodeScenarios() []Scenario {
	return []Scenario{
		{
			Name: "switchover", Title: Text{"switchover", "スイッチオーバー"},
			Steps:  []Step{{Do: "switchover standby web", Await: Moved}},
			Expect: moves(Span{Plus: 300*time.Millisecond + 2*startTime}),
		},
		{
			Name: "clean-stop", Title: Text{"node stopped cleanly", "ノードの正常停止"},
			Steps:  []Step{{Do: "stop-daemon owner", Await: Served}},
			Expect: anywhere(Span{Plus: 300*time.Millisecond + 2*startTime}),
		},
		{
			Name: "power-loss", Title: Text{"node powered off", "ノードの電源断"},
			Steps:  []Step{{Do: "power-off owner", Await: Moved}},
			Expect: moves(takeover),
		},
		{
			Name: "standby-power-loss", Title: Text{"standby powered off", "待機系ノードの電源断"},
			Steps:  []Step{{Do: "power-off standby", Wait: watch}},
			Expect: unnoticed,
		},
		{
			Name: "stale-rejoin", Title: Text{"old state restored: back as new", "古い状態に復元: 新しい ID で再参加"},
			Steps: []Step{
				{Do: "save-state standby"}, {Do: "switchover third web", Await: Moved},
				{Do: "switchover owner web", Await: Served}, {Do: "power-off standby"},
				{Do: "revert-state standby"}, {Do: "power-on standby", Wait: watch},
			},
			Expect: stays(Span{Plus: 300*time.Millisecond + 2*startTime}),
		},
		{
			Name: "lost-state", Title: Text{"state lost: removed, joined as new", "状態喪失: 削除後、新規に再参加"},
			Steps: []Step{
				{Do: "power-off standby"}, {Do: "lose-state standby"}, {Do: "power-on standby"}, {Do: "join-anew standby", Wait: watch},
			},
			Expect: unnoticed,
		},
		{
			Name: "corrupt-state", Title: Text{"log damaged: back under a new id", "ログ破損: 新しい ID で再参加"},
			Steps:  []Step{{Do: "power-off standby"}, {Do: "corrupt-state standby"}, {Do: "power-on standby", Wait: watch}},
			Expect: unnoticed,
		},
	}
}

func networkScenarios() []Scenario {
	return []Scenario{
		{
			Name: "one-path-cut", Title: Text{"one of two paths cut", "2 経路のうち 1 経路の切断"},
			Steps:  []Step{{Do: "isolate owner on heartbeat", Wait: watch}},
			Expect: unnoticed,
		},
		{
			Name: "one-carrier-lost", Title: Text{"cable of one path pulled", "1 経路のケーブル抜け"},
			Steps:  []Step{{Do: "link-down owner on heartbeat", Wait: watch}},
			Expect: unnoticed,
		},
		{
			Name: "both-paths-lost", Title: Text{"two of two paths, one by one", "2 経路を 1 つずつ喪失"},
			Steps: []Step{
				{Do: "isolate owner on heartbeat", Wait: Span{Detections: 0.6}}, {Do: "isolate owner on public", Await: Moved},
			},
			Expect: moves(takeover),
		},
		{
			// Its node is healthy and heard over the other path; only its clients
			// can't reach it any more.
			Name: "service-carrier-lost", Title: Text{"service's network cable pulled", "サービス側ケーブルの抜け"},
			Steps:  []Step{{Do: "link-down owner on public", Await: Moved}},
			Expect: moves(takeover),
		},
		{
			Name: "two-nodes-cut", Title: Text{"paths cut, a third sees both", "2 ノード間の切断 (第三者は通信可)"},
			Steps:  []Step{{Do: "cut owner standby", Wait: watch}},
			Expect: unnoticed,
		},
		{
			Name: "one-way-loss", Title: Text{"one-way loss between two nodes", "2 ノード間の片方向の損失"},
			Steps:  []Step{{Do: "one-way owner standby", Wait: watch}},
			Expect: unnoticed,
		},
		{
			Name: "deaf-owner", Title: Text{"owner heard, but hears nobody", "稼働系ノードが受信のみ不能"},
			Steps:  []Step{{Do: "one-way standby owner"}, {Do: "one-way third owner", Await: Moved}},
			Expect: moves(takeover),
		},
		{
			Name: "mute-owner", Title: Text{"owner hears, but is not heard", "稼働系ノードが送信のみ不能"},
			Steps:  []Step{{Do: "one-way owner standby"}, {Do: "one-way owner third", Await: Moved}},
			Expect: moves(takeover),
		},
		{
			Name: "isolated", Title: Text{"owner isolated from everybody", "稼働系ノードの完全な孤立"},
			Steps:  []Step{{Do: "isolate owner", Await: Moved, Wait: watch}},
			Expect: moves(takeover),
		},
	}
}

func freezeScenarios() []Scenario {
	return []Scenario{
		{
			Name: "frozen-2s", Title: Text{"owner frozen for 2 s", "稼働系ノードの 2 秒間の停止"},
			Steps: []Step{{Do: "freeze owner for 2s", Await: Served}},
			Expect: func(t cluster.Timing) Expectation {
				if t.Gate() > 2*time.Second+2*t.Heartbeat {
					// Shorter than the lease: it stays, silent for as long.
					return Expectation{Place: Stays, Outage: Span{Plus: 2*time.Second + 200*time.Millisecond}}
				}
				if t.Promise() > 2*time.Second {
					return Expectation{Place: Anywhere, Outage: takeover}
				}
				return Expectation{Place: Moves, Outage: takeover}
			},
		},
		{
			Name: "frozen-20s", Title: Text{"owner frozen for 20 s, then thawed", "稼働系ノードの 20 秒間の停止と復帰"},
			Steps: []Step{{Do: "freeze owner for 20s", Await: Served, Wait: watch}}, Gate: true,
			Expect: func(t cluster.Timing) Expectation {
				if t.Gate() > 20*time.Second {
					return Expectation{Place: Stays, Outage: Span{Plus: 21 * time.Second}}
				}
				return Expectation{Place: Moves, Outage: takeover}
			},
		},
		{
			Name: "standby-frozen", Title: Text{"standby frozen for 6 s", "待機系ノードの 6 秒間の停止"},
			Steps:  []Step{{Do: "freeze standby for 6s"}},
			Expect: unnoticed,
		},
	}
}

func quorumScenarios() []Scenario {
	// While two of three voters are away nobody may serve; what is out then is
	// out rightly. The boot and the joining come on top.
	return []Scenario{
		{
			Name: "two-off-one-back", Title: Text{"two nodes off, one comes back alone", "2 ノードの電源断、1 ノードのみ復帰"},
			Steps: []Step{
				{Do: "power-off third", Wait: watch}, {Do: "power-off owner", Wait: watch}, {Do: "power-on third", Await: Moved},
			},
			Expect: moves(Span{Detections: 6, Plus: 5 * time.Second}),
		},
		{
			Name: "all-off", Title: Text{"all nodes powered off and on again", "全ノードの電源断と再投入"},
			Steps: []Step{
				{Do: "power-off owner"}, {Do: "power-off standby"}, {Do: "power-off third", Wait: Span{Plus: time.Second}},
				{Do: "power-on standby"}, {Do: "power-on third"}, {Do: "power-on owner", Await: Served},
			},
			Expect: anywhere(Span{Detections: 4, Plus: 6 * time.Second}),
		},
		{
			Name: "witness-lost", Title: Text{"witness lost", "ウィットネスの喪失"}, Witness: true,
			Steps:  []Step{{Do: "power-off third", Wait: watch}},
			Expect: unnoticed,
		},
		{
			Name: "witness-node-lost", Title: Text{"owner lost, a witness decides", "稼働系の喪失をウィットネスが判定"}, Witness: true,
			Steps:  []Step{{Do: "power-off owner", Await: Moved}},
			Expect: moves(takeover),
		},
		{
			// With one of three votes left nobody can prove that the other side
			// is silent: the service waits for a second vote, safely.
			Name: "witness-then-node", Title: Text{"witness lost, then the owner", "ウィットネス、次に稼働系の喪失"}, Witness: true,
			Steps: []Step{
				{Do: "power-off third", Wait: watch}, {Do: "power-off owner", Wait: watch}, {Do: "power-on third", Await: Served},
			},
			Expect: anywhere(Span{Detections: 6, Plus: 5 * time.Second}),
		},
	}
}
