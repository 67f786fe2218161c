package kit

import "github.com/perdure-ha/perdure/internal/cluster"

// Common declares the settings that every resource has.
func Common() []Setting {
	return []Setting{
		{Name: "check.interval", Type: Duration, Default: "1s", Min: "50ms", Max: "1h", Example: "500ms",
			Help: Text{"time between light checks", "軽い監視の間隔"}},
		{Name: "check.timeout", Type: Duration, Default: "5s", Min: "10ms", Max: "10m", Example: "2s",
			Help: Text{"a light check that takes longer has failed or is unknown, as the kit says", "軽い監視の制限時間。超えた場合はキットの定めに従い障害または不明とする"}},
		{Name: "deep.interval", Type: Duration, Default: "10s", Min: "0s", Max: "24h", Example: "30s",
			Help: Text{"time between deep checks; 0s: none", "詳細な監視の間隔。0s の場合は行わない"}},
		{Name: "deep.timeout", Type: Duration, Default: "10s", Min: "10ms", Max: "10m", Example: "5s",
			Help: Text{"time-out of a deep check", "詳細な監視の制限時間"}},
		{Name: "start.timeout", Type: Duration, Default: "1m", Min: "100ms", Max: "24h", Example: "30s",
			Help: Text{"bringing in service has failed when it takes longer", "起動の制限時間。超えた場合は起動失敗とする"}},
		{Name: "stop.timeout", Type: Duration, Default: "30s", Min: "100ms", Max: "24h", Example: "20s",
			Help: Text{"taking out of service has failed when it takes longer", "停止の制限時間。超えた場合は停止失敗とする"}},
		{Name: "recovery.max", Type: Int, Default: "3", Min: "0", Max: "100", Example: "1",
			Help: Text{"local recoveries within recovery.within before the hierarchy fails over; 0: none", "recovery.within の間に行うローカルリカバリーの上限。超えるとフェイルオーバーする。0 の場合は行わない"}},
		{Name: "recovery.within", Type: Duration, Default: "10m", Min: "1s", Max: "168h", Example: "1h",
			Help: Text{"the time over which local recoveries are counted", "ローカルリカバリーを数える期間"}},
	}
}

// Common is the values of the common settings, as the replicated state holds
// them. There zero means the default and a negative number none.
func (v Values) Common() cluster.Common {
	c := cluster.Common{
		CheckInterval:  v.Duration("check.interval"),
		CheckTimeout:   v.Duration("check.timeout"),
		DeepInterval:   v.Duration("deep.interval"),
		DeepTimeout:    v.Duration("deep.timeout"),
		StartTimeout:   v.Duration("start.timeout"),
		StopTimeout:    v.Duration("stop.timeout"),
		RecoveryWithin: v.Duration("recovery.within"),
		RecoveryMax:    v.Int("recovery.max"),
	}
	if c.DeepInterval == 0 {
		c.DeepInterval = -1
	}
	if c.RecoveryMax == 0 {
		c.RecoveryMax = -1
	}
	return c
}
