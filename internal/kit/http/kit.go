package http

import (
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the http kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Resource        = (*Check)(nil)
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "http" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a check that a web server answers; it starts and stops nothing", JA: "Web サーバーの応答確認。起動や停止は行わない"}
}

// Probes: it looks at the server below it, and has nothing of its own.
func (Kit) Probes() bool { return true }

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "url", Type: kit.URL, Required: true, Example: "http://192.0.2.10/health",
			Help: kit.Text{EN: "what is asked for, on a new connection each time; redirections are not followed", JA: "毎回新しい接続で問い合わせる URL。リダイレクトには従わない"}},
		{Name: "status", Type: kit.String, Default: "200-399", Example: "200,204",
			Help: kit.Text{EN: "statuses of a good answer", JA: "正常とみなすステータス"}},
		{Name: "contains", Type: kit.String, Example: "ready",
			Help: kit.Text{EN: "must be in the first MiB of the answer", JA: "応答の先頭 1 MiB に含まれるべき文字列"}},
		{Name: "connect", Type: kit.HostPort, Example: "127.0.0.1:8080",
			Help: kit.Text{EN: "connect here instead of to the host of the URL", JA: "URL のホストの代わりに接続する先"}},
		{Name: "host", Type: kit.String, Example: "www.example.com",
			Help: kit.Text{EN: "sent as the Host header instead of the host of the URL", JA: "URL のホストの代わりに送る Host ヘッダー"}},
		{Name: "tls.verify", Type: kit.Bool, Default: "yes", Example: "no",
			Help: kit.Text{EN: "whether the certificate must be trusted", JA: "証明書を検証するか"}},
		{Name: "failures", Type: kit.Int, Default: "2", Min: "1", Max: "100", Example: "1",
			Help: kit.Text{EN: "it has failed after this many bad answers in a row; before that it is degraded", JA: "この回数続けて異常な場合に障害とする。それまでは性能低下とする"}},
		{Name: "check.timeout", Type: kit.Duration, Default: "1s", Min: "10ms", Max: "10m", Example: "500ms",
			Help: kit.Text{EN: "an answer that takes longer is a bad one", JA: "応答の制限時間。超えた場合は異常とする"}},
		{Name: "deep.interval", Type: kit.Duration, Default: "0s", Min: "0s", Max: "24h", Example: "0s",
			Help: kit.Text{EN: "not needed: every check asks", JA: "不要。すべての監視で問い合わせる"}},
	}
}

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	if _, err := kit.ParseStatuses(v.Text("status")); err != nil {
		return message.New(message.SettingStatuses, k.Name(), "status", v.Text("status"), "200,204-299")
	}
	return nil
}

// New implements [kit.Kit].
func (Kit) New(in kit.Instance) (kit.Resource, error) {
	v := in.Values
	statuses, err := kit.ParseStatuses(v.Text("status"))
	if err != nil {
		return nil, err
	}
	return &Check{failures: v.Int("failures"), timeout: v.Duration("check.timeout"), probe: kit.Probe{
		URL: v.URL("url"), Statuses: statuses, Contains: v.String("contains"), Connect: v.String("connect"),
		Host: v.String("host"), SkipVerify: !v.Bool("tls.verify"),
	}}, nil
}
