package demo

import (
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// machineScenarios are those that need a kernel and a machine of one's own.
func machineScenarios() []Scenario {
	all := []Scenario{
		{
			Name: "host-power-loss", Title: Text{"owner's hypervisor powered off", "稼働系のホストの電源断"},
			Steps:  []Step{{Do: "power-off-host owner", Await: Moved}},
			Expect: moves(takeover),
		},
		{
			Name: "panic", Title: Text{"owner's kernel panics", "稼働系のカーネルパニック"},
			Steps:  []Step{{Do: "panic owner", Await: Moved}},
			Expect: moves(takeover),
		},
		{
			Name: "nmi", Title: Text{"NMI to the owner", "稼働系への NMI"},
			Steps:  []Step{{Do: "nmi owner", Await: Moved}},
			Expect: moves(takeover),
		},
		{
			// The node sees a carrier and hears its peers over the other path; only
			// its clients can't reach it. The kit's gateway check would tell; without
			// a gateway nothing moves, and nothing may.
			Name: "port-down", Title: Text{"heartbeat switch port down", "ハートビートのスイッチポート停止"},
			Steps:  []Step{{Do: "port-down owner on heartbeat", Wait: watch}},
			Expect: unnoticed,
		},
		{
			Name: "loss", Title: Text{"owner loses 20 % of what it sends", "稼働系の送信の 20 % 損失"},
			Steps: []Step{{Do: "loss owner on heartbeat", Wait: watch}}, Expect: unnoticed,
		},
		{
			Name: "delay", Title: Text{"owner's sending is delayed by 40 ms", "稼働系の送信に 40 ms の遅延"},
			Steps: []Step{{Do: "delay owner on heartbeat", Wait: watch}}, Expect: unnoticed,
		},
		{
			// It wakes knowing how long it was away: shorter than its lease.
			Name: "paused-1s", Title: Text{"owner's machine paused for 1 s", "稼働系 VM の 1 秒間の一時停止"},
			Steps:  []Step{{Do: "pause owner for 1s", Await: Served, Wait: watch}},
			Expect: stays(Span{Plus: 1300 * time.Millisecond}),
		},
		{
			Name: "paused-20s", Title: Text{"owner's machine paused for 20 s", "稼働系 VM の 20 秒間の一時停止"},
			Steps: []Step{{Do: "pause owner for 20s", Await: Served, Wait: watch}},
			Expect: func(t cluster.Timing) Expectation {
				if t.Gate() > 20*time.Second {
					return Expectation{Place: Stays, Outage: Span{Plus: 21 * time.Second}}
				}
				return Expectation{Place: Moves, Outage: takeover}
			},
		},
		{
			// It wakes and believes that no time has passed: nothing but the outage.
			Name: "suspended-1s", Title: Text{"owner and its clock stopped for 1 s", "稼働系 VM とその時計の 1 秒間の停止"},
			Steps:  []Step{{Do: "suspend owner for 1s", Await: Served, Wait: watch}},
			Expect: stays(Span{Plus: 1300 * time.Millisecond}),
		},
		{
			// The node that goes on believes in its lease, and so does its gate, for as
			// long as it had left: at most D - G.
			Name: "suspended-20s", Title: Text{"owner and its clock stopped for 20 s", "稼働系 VM とその時計の 20 秒間の停止"},
			Steps: []Step{{Do: "suspend owner for 20s", Await: Served, Wait: Span{Detections: 1.4, Plus: time.Second}}}, Gate: true,
			Expect: func(t cluster.Timing) Expectation {
				if t.Gate() > 20*time.Second {
					return Expectation{Place: Stays, Outage: Span{Plus: 21 * time.Second}}
				}
				return Expectation{Place: Moves, Outage: takeover, Residue: Span{Plus: t.Gate()}}
			},
		},
		{
			// The gate closes without it, in the kernel; the machine is reset later.
			Name: "guardian-hung", Title: Text{"guardian hangs, watchdog resets", "ガーディアン停止、WD リセット"},
			Steps: []Step{{Do: "hang-guardian owner", Await: Moved}, {Await: Reset}}, Watchdog: true,
			Expect: moves(takeover),
		},
		{
			Name: "machine-hung", Title: Text{"userland hangs, watchdog resets", "ユーザーランド停止、WD リセット"},
			Steps: []Step{{Do: "freeze owner", Await: Moved}, {Await: Reset}}, Watchdog: true, Gate: true,
			Expect: moves(takeover),
		},
		{
			Name: "migrated", Title: Text{"owner migrated to another host", "稼働系のライブマイグレーション"},
			Steps:  []Step{{Do: "migrate owner", Wait: watch}},
			Expect: stays(Span{Plus: 1500 * time.Millisecond}),
		},
		{
			Name: "migrated-all", Title: Text{"owner migrated with its disk", "ディスクを含むライブマイグレーション"},
			Steps:  []Step{{Do: "migrate-all owner", Wait: watch}},
			Expect: stays(Span{Plus: 1500 * time.Millisecond}),
		},
		{
			Name: "disk-moved", Title: Text{"owner's disk moved to other storage", "稼働系のストレージ移行"},
			Steps:  []Step{{Do: "move-disk owner state", Wait: watch}},
			Expect: stays(Span{Plus: time.Second}),
		},
	}
	for i := range all {
		all[i].Machine = true
	}
	return all
}
