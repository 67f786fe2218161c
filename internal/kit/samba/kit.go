package samba

import (
	"path"
	"runtime"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the samba kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Claimer         = Kit{}
	_ kit.Resource        = (*Samba)(nil)
	_ kit.Validator       = (*Samba)(nil)
	_ kit.Watcher         = (*Samba)(nil)
	_ kit.Guarded         = (*Samba)(nil)
	_ kit.Standby         = (*Samba)(nil)
	_ kit.Adopter         = (*Samba)(nil)
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "samba" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a Samba file server", JA: "Samba ファイルサーバー"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "config", Type: kit.String, Required: true, Example: "/srv/share/smb.conf",
			Help: kit.Text{EN: "the smb.conf, best on the disk that moves; with directories of its own (private, state, cache, lock, pid) several servers live on one node", JA: "smb.conf。移動するディスク上に置くことを推奨。ディレクトリー (private、state、cache、lock、pid) を分ければ 1 ノードで複数稼働できる"}},
		{Name: "address", Type: kit.HostPort, Default: "127.0.0.1:445", Example: "192.0.2.10:445",
			Help: kit.Text{EN: "where it is asked whether it serves", JA: "応答を確認するアドレス"}},
		{Name: "bin", Type: kit.String, Default: "smbd", Example: "/usr/sbin/smbd",
			Help: kit.Text{EN: "the server's program", JA: "サーバーのプログラム"}},
		{Name: "options", Type: kit.CommandLine, Example: "--debuglevel=1",
			Help: kit.Text{EN: "further options of the server", JA: "サーバーの追加オプション"}},
		{Name: "check.timeout", Type: kit.Duration, Default: "3s", Min: "10ms", Max: "10m", Example: "1s",
			Help: kit.Text{EN: "a light check looks at the process; one that takes longer is unknown", JA: "軽い監視はプロセスのみを確認する。超えた場合は不明とする"}},
		{Name: "deep.timeout", Type: kit.Duration, Default: "5s", Min: "10ms", Max: "10m", Example: "2s",
			Help: kit.Text{EN: "a negotiation of the protocol that takes longer has failed", JA: "プロトコルのネゴシエーションの制限時間。超えた場合は障害とする"}},
	}
}

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	if p := v.String("config"); !path.IsAbs(p) || path.Clean(p) != p {
		return message.New(message.SettingPath, k.Name(), "config", p, "/srv/share/smb.conf")
	}
	return nil
}

// Claims implements [kit.Claimer].
func (Kit) Claims(v kit.Values) []string { return []string{"file " + v.String("config")} }

// New implements [kit.Kit].
func (k Kit) New(in kit.Instance) (kit.Resource, error) {
	if runtime.GOOS != "linux" {
		return nil, message.New(message.KitNotHere, k.Name(), runtime.GOOS)
	}
	return &Samba{Server: kit.Server{In: in}, in: in}, nil
}
