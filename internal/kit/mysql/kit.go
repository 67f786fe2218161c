package mysql

import (
	"path"
	"runtime"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the mysql kit.
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
func (Kit) Name() string { return "mysql" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a MariaDB or MySQL server", JA: "MariaDB または MySQL サーバー"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "data", Type: kit.String, Required: true, Example: "/srv/mysql/data",
			Help: kit.Text{EN: "the data directory, on the disk that moves", JA: "データディレクトリー。移動するディスク上に置く"}},
		{Name: "config", Type: kit.String, Example: "/srv/mysql/my.cnf",
			Help: kit.Text{EN: "the only configuration file that is read; otherwise the usual ones", JA: "読み込む唯一の設定ファイル。省略時は標準のもの"}},
		{Name: "bin", Type: kit.String, Example: "/usr/sbin/mariadbd",
			Help: kit.Text{EN: "the server's program; otherwise mariadbd or mysqld", JA: "サーバーのプログラム。省略時は mariadbd または mysqld"}},
		{Name: "client", Type: kit.String, Example: "/usr/bin/mariadb",
			Help: kit.Text{EN: "the client's program; otherwise mariadb or mysql", JA: "クライアントのプログラム。省略時は mariadb または mysql"}},
		{Name: "socket", Type: kit.String, Default: "/run/mysqld/mysqld.sock", Example: "/srv/mysql/mysqld.sock",
			Help: kit.Text{EN: "its local socket; the directory is made if it isn't there", JA: "ローカルソケット。ディレクトリーがなければ作成する"}},
		{Name: "options", Type: kit.CommandLine, Example: "--port=3307",
			Help: kit.Text{EN: "further options of the server", JA: "サーバーの追加オプション"}},
		{Name: "user", Type: kit.String, Default: "mysql", Example: "mysql",
			Help: kit.Text{EN: "the system's user that runs it", JA: "サーバーを実行するシステムユーザー"}},
		{Name: "client.user", Type: kit.String, Default: "root", Example: "monitor",
			Help: kit.Text{EN: "the system's user that queries it over its socket. A password comes from that user's ~/.my.cnf", JA: "ソケット経由で問い合わせるシステムユーザー。パスワードはそのユーザーの ~/.my.cnf に置く"}},
		{Name: "query", Type: kit.String, Default: "SELECT COUNT(*) FROM mysql.db", Example: "REPLACE INTO perdure.beat VALUES (1, NOW())",
			Help: kit.Text{EN: "what deep checks ask; one that writes also notices a disk that takes nothing", JA: "詳細な監視の問い合わせ。書き込みを含めるとディスクの異常も検知できる"}},
		{Name: "start.timeout", Type: kit.Duration, Default: "5m", Min: "100ms", Max: "24h", Example: "30m",
			Help: kit.Text{EN: "bringing in service has failed when it takes longer; a recovery after a crash counts", JA: "起動の制限時間。クラッシュ後の復旧を含む"}},
		{Name: "stop.timeout", Type: kit.Duration, Default: "2m", Min: "100ms", Max: "24h", Example: "5m",
			Help: kit.Text{EN: "what has not stopped a little before is killed, and recovers at its next start", JA: "この少し前までに停止しない場合は強制終了し、次回起動時に復旧する"}},
	}
}

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	for _, name := range []string{"data", "config", "socket"} {
		if p := v.String(name); p != "" && (!path.IsAbs(p) || path.Clean(p) != p || p == "/") {
			return message.New(message.SettingPath, k.Name(), name, p, "/srv/mysql/data")
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
	return &Server{Server: kit.Server{In: in}, in: in}, nil
}
