package service

import (
	"regexp"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the service kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Claimer         = Kit{}
	_ kit.Resource        = (*Service)(nil)
	_ kit.Validator       = (*Service)(nil)
	_ kit.Watcher         = (*Service)(nil)
	_ kit.Guarded         = (*Service)(nil)
	_ kit.Standby         = (*Service)(nil)
	_ kit.Adopter         = (*Service)(nil)
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "service" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a systemd unit, or a Windows service; it is set to manual start", JA: "systemd ユニットまたは Windows サービス。手動起動に設定される"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "unit", Type: kit.String, Required: true, Example: "postgresql@15-main.service",
			Help: kit.Text{EN: "the unit (.service if it has no ending), or the Windows service by its short name", JA: "ユニット名 (拡張子省略時は .service)。Windows ではサービスの短い名前"}},
		{Name: "restart", Type: kit.Enum, Default: "cluster", Values: []string{"cluster", "system"}, Example: "system",
			Help: kit.Text{EN: "who restarts it after a failure. cluster: Restart=no is set for as long as the node is up; system: as the unit says", JA: "障害時に再起動する主体。cluster はノードの稼働中 Restart=no を設定する。system はユニットの設定に従う"}},
		{Name: "stop.timeout", Type: kit.Duration, Default: "2m", Min: "100ms", Max: "24h", Example: "30s",
			Help: kit.Text{EN: "it is killed a little before this time is over; systemd's own TimeoutStopSec counts as well", JA: "この時間の少し前に強制終了する。systemd の TimeoutStopSec も適用される"}},
		{Name: "start.timeout", Type: kit.Duration, Default: "2m", Min: "100ms", Max: "24h", Example: "30s",
			Help: kit.Text{EN: "bringing in service has failed when it takes longer", JA: "起動の制限時間。超えた場合は起動失敗とする"}},
		{Name: "deep.interval", Type: kit.Duration, Default: "0s", Min: "0s", Max: "24h", Example: "0s",
			Help: kit.Text{EN: "not needed: the manager tells each change at once, and light checks ask it", JA: "不要。変化は直ちに通知され、軽い監視でも確認する"}},
	}
}

// unitName is what systemd takes and what is safe in a path below /run.
var unitName = regexp.MustCompile(`^[A-Za-z0-9:_.@\\-]{1,200}$`)

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	if u := v.String("unit"); !unitName.MatchString(u) || u[0] == '.' || u[0] == '-' {
		return message.New(message.SettingUnit, k.Name(), u)
	}
	return nil
}

// Claims implements [kit.Claimer]: one resource has a unit on all nodes.
func (Kit) Claims(v kit.Values) []string { return []string{"unit " + fullName(v.String("unit"))} }

// New implements [kit.Kit].
func (k Kit) New(in kit.Instance) (kit.Resource, error) {
	return newService(in, system(in.Log)), nil
}
