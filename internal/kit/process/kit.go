package process

import (
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the process kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Resource        = (*Process)(nil)
	_ kit.Validator       = (*Process)(nil)
	_ kit.Watcher         = (*Process)(nil)
	_ kit.Guarded         = (*Process)(nil)
	_ kit.Standby         = (*Process)(nil)
	_ kit.Adopter         = (*Process)(nil)
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "process" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a program that is supervised directly and restarted at once",
		JA: "直接監視し、終了時にただちに再起動するプログラム"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "command", Type: kit.CommandLine, Required: true, Example: `/usr/sbin/nginx -g "daemon off;"`,
			Help: kit.Text{EN: "the program and its arguments; it stays in the foreground. There is no shell", JA: "プログラムと引数。フォアグラウンドで動作すること。シェルは介さない"}},
		{Name: "directory", Type: kit.String, Example: "/srv/app",
			Help: kit.Text{EN: "working directory; otherwise the root directory", JA: "作業ディレクトリ。省略時はルートディレクトリ"}},
		{Name: "user", Type: kit.String, Example: "www-data",
			Help: kit.Text{EN: "the user that runs it; otherwise the daemon's", JA: "実行ユーザー。省略時はデーモンのユーザー"}},
		{Name: "env", Type: kit.Pairs, Example: `PORT=8080 MODE="a b"`,
			Help: kit.Text{EN: "added to a minimal environment", JA: "最小限の環境変数に追加する値"}},
		{Name: "stop.signal", Type: kit.Enum, Default: "TERM", Values: []string{"TERM", "INT", "QUIT", "HUP", "USR1", "USR2", "WINCH", "KILL"}, Example: "QUIT",
			Help: kit.Text{EN: "the signal that asks it to end", JA: "終了を要求するシグナル"}},
		{Name: "stop.grace", Type: kit.Duration, Default: "10s", Min: "0s", Max: "1h", Example: "5s",
			Help: kit.Text{EN: "time to end by itself; then all its processes are killed", JA: "自ら終了するまでの猶予。過ぎると全プロセスを強制終了する"}},
		{Name: "ready.tcp", Type: kit.HostPort, Example: "127.0.0.1:8080",
			Help: kit.Text{EN: "it is in service when this address accepts connections; asked again by deep checks", JA: "このアドレスが接続を受け付けた時点で稼働とみなす。詳細な監視でも確認する"}},
		{Name: "ready.url", Type: kit.URL, Example: "http://127.0.0.1:8080/health",
			Help: kit.Text{EN: "it is in service when this URL answers with a status of 200 to 399; asked again by deep checks", JA: "この URL がステータス 200～399 を返した時点で稼働とみなす。詳細な監視でも確認する"}},
		{Name: "ready.after", Type: kit.Duration, Default: "0s", Min: "0s", Max: "10m", Example: "200ms",
			Help: kit.Text{EN: "it must live this long before it is in service", JA: "稼働とみなすまでに動作し続けるべき時間"}},
		{Name: "pidless", Type: kit.Bool, Default: "no", Example: "yes",
			Help: kit.Text{EN: "the command goes into the background; it is in service as long as any process of its group lives. Needs cgroups", JA: "コマンドがバックグラウンドに移行する場合に指定。グループ内にプロセスが残っている間は稼働とみなす。cgroup が必要"}},
	}
}

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	if v.Duration("stop.grace") >= v.Duration("stop.timeout") {
		return message.New(message.SettingsContradict, k.Name(),
			"stop.grace="+v.Text("stop.grace"), "stop.timeout="+v.Text("stop.timeout"))
	}
	return nil
}

// New implements [kit.Kit].
func (Kit) New(in kit.Instance) (kit.Resource, error) {
	return newProcess(in), nil
}
