package postgresql

import (
	"path"
	"runtime"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the postgresql kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Claimer         = Kit{}
	_ kit.Resource        = (*Server)(nil)
	_ kit.Validator       = (*Server)(nil)
	_ kit.Watcher         = (*Server)(nil)
	_ kit.Guarded         = (*Server)(nil)
	_ kit.Standby         = (*Server)(nil)
	_ kit.Adopter         = (*Server)(nil)
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "postgresql" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a PostgreSQL server", JA: "PostgreSQL サーバー"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "data", Type: kit.String, Required: true, Example: "/srv/pg/data",
			Help: kit.Text{EN: "the data directory, on the disk that moves", JA: "データディレクトリー。移動するディスク上に置く"}},
		{Name: "bin", Type: kit.String, Example: "/usr/lib/postgresql/15/bin",
			Help: kit.Text{EN: "where pg_ctl and psql are; otherwise the usual place for the version of the data", JA: "pg_ctl と psql の場所。省略時はデータのバージョンに応じた標準の場所"}},
		{Name: "config", Type: kit.String, Example: "/etc/postgresql/15/main/postgresql.conf",
			Help: kit.Text{EN: "the configuration file; otherwise the one in the data directory", JA: "設定ファイル。省略時はデータディレクトリー内のもの"}},
		{Name: "options", Type: kit.CommandLine, Example: "-c port=5433",
			Help: kit.Text{EN: "further options of the server", JA: "サーバーの追加オプション"}},
		{Name: "user", Type: kit.String, Default: "postgres", Example: "postgres",
			Help: kit.Text{EN: "the system's user that runs it, and that queries it over its socket", JA: "サーバーの実行とソケット経由の問い合わせに使うシステムユーザー"}},
		{Name: "role", Type: kit.String, Example: "monitor",
			Help: kit.Text{EN: "the server's role for deep checks; otherwise the user's name. A password comes from the user's ~/.pgpass", JA: "詳細な監視で使うロール。省略時はユーザー名。パスワードはユーザーの ~/.pgpass に置く"}},
		{Name: "database", Type: kit.String, Default: "postgres", Example: "shop",
			Help: kit.Text{EN: "the database for deep checks", JA: "詳細な監視で使うデータベース"}},
		{Name: "query", Type: kit.String, Default: "SELECT pg_logical_emit_message(true, 'perdure', 'check')", Example: "SELECT count(*) FROM orders WHERE id = 1",
			Help: kit.Text{EN: "what deep checks ask; the default writes some bytes of log and waits until the disk has them", JA: "詳細な監視の問い合わせ。既定値は数バイトのログを書き込みディスクへの反映を待つ"}},
		{Name: "stop.mode", Type: kit.Enum, Default: "fast", Values: []string{"smart", "fast", "immediate"}, Example: "smart",
			Help: kit.Text{EN: "how it is asked to stop. smart waits for clients, fast ends them, immediate leaves a recovery to the next start; what isn't done in time is stopped immediately", JA: "停止方法。smart はクライアントを待ち、fast は切断し、immediate は次回起動時の復旧に任せる。時間内に終わらない場合は immediate で停止する"}},
		{Name: "start.timeout", Type: kit.Duration, Default: "5m", Min: "100ms", Max: "24h", Example: "30m",
			Help: kit.Text{EN: "bringing in service has failed when it takes longer; a recovery after a crash counts", JA: "起動の制限時間。クラッシュ後の復旧を含む"}},
		{Name: "stop.timeout", Type: kit.Duration, Default: "1m", Min: "100ms", Max: "24h", Example: "5m",
			Help: kit.Text{EN: "taking out of service has failed when it takes longer", JA: "停止の制限時間。超えた場合は停止失敗とする"}},
	}
}

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	for _, name := range []string{"data", "bin", "config"} {
		if p := v.String(name); p != "" && (!path.IsAbs(p) || path.Clean(p) != p || p == "/") {
			return message.New(message.SettingPath, k.Name(), name, p, "/srv/pg/data")
		}
	}
	return nil
}

// Claims implements [kit.Claimer].
func (Kit) Claims(v kit.Values) []string { return []string{"directory " + v.String("data")} }

// New implements [kit.Kit].
func (k Kit) New(in kit.Instance) (kit.Resource, error) {
	if runtime.GOOS != "linux" {
		return nil, message.New(message.KitNotHere, k.Name(), runtime.GOOS)
	}
	return &Server{in: in}, nil
}
