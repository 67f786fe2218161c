package script

import (
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the script kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Resource        = (*Script)(nil)
	_ kit.Validator       = (*Script)(nil)
	_ kit.Guarded         = (*Script)(nil)
	_ kit.Standby         = (*Script)(nil)
	_ kit.Adopter         = (*Script)(nil)
	_ kit.Recoverer       = recoverable{}
)

// Exit codes of the check command. 0 and 7 are those of OCF agents; 8 is free
// here, because there are no promoted instances; 75 is EX_TEMPFAIL of
// sysexits.h. Every other code means failed.
const (
	exitInService    = 0
	exitOutOfService = 7
	exitDegraded     = 8
	exitUnknown      = 75
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "script" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "anything that your own commands can start, stop and check", JA: "独自のコマンドで起動、停止、監視できるもの"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "check", Type: kit.CommandLine, Required: true, Example: "/etc/perdure/app check",
			Help: kit.Text{EN: "looks at it: exit code 0 in service, 7 out of service, 8 degraded, 75 unknown, any other failed", JA: "状態を確認する。終了コード 0 は稼働、7 は停止、8 は性能低下、75 は不明、その他は障害"}},
		{Name: "start", Type: kit.CommandLine, Example: "/etc/perdure/app start",
			Help: kit.Text{EN: "brings it in service and ends with 0 when it is, also if it was before; what it leaves running belongs to the resource", JA: "稼働させ、稼働したら 0 で終わる。すでに稼働中でも 0 とする。残したプロセスはリソースに属する"}},
		{Name: "stop", Type: kit.CommandLine, Example: "/etc/perdure/app stop",
			Help: kit.Text{EN: "takes it out of service and ends with 0 when it is, also if it was before; needed with start", JA: "停止させ、停止したら 0 で終わる。すでに停止中でも 0 とする。start を指定する場合は必須"}},
		{Name: "recover", Type: kit.CommandLine, Example: "/etc/perdure/app recover",
			Help: kit.Text{EN: "repairs it in place and ends with 0 if it could; otherwise it is stopped and started", JA: "その場で復旧し、成功したら 0 で終わる。省略時は停止して起動し直す"}},
		{Name: "ready", Type: kit.CommandLine, Example: "/etc/perdure/app ready",
			Help: kit.Text{EN: "on a standby node: ends with 0 if it could be started here", JA: "待機系ノードで起動可能であれば 0 で終わる"}},
		{Name: "user", Type: kit.String, Example: "postgres",
			Help: kit.Text{EN: "the user that runs the commands; otherwise the daemon's", JA: "コマンドの実行ユーザー。省略時はデーモンのユーザー"}},
		{Name: "directory", Type: kit.String, Example: "/srv/app",
			Help: kit.Text{EN: "working directory; otherwise the root directory", JA: "作業ディレクトリ。省略時はルートディレクトリ"}},
		{Name: "env", Type: kit.Pairs, Example: `PORT=8080 MODE="a b"`,
			Help: kit.Text{EN: "added to a minimal environment", JA: "最小限の環境変数に追加する値"}},
	}
}

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	if v.Has("start") && !v.Has("stop") {
		return message.New(message.SettingMissing, k.Name(), "stop", "/etc/perdure/app stop")
	}
	return nil
}

// New implements [kit.Kit].
func (Kit) New(in kit.Instance) (kit.Resource, error) {
	s := &Script{in: in}
	if in.Values.Has("recover") {
		return recoverable{s}, nil
	}
	return s, nil
}
