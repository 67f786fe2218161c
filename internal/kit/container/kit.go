package container

import (
	"regexp"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the container kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Resource        = (*Container)(nil)
	_ kit.Validator       = (*Container)(nil)
	_ kit.Watcher         = (*Container)(nil)
	_ kit.Guarded         = (*Container)(nil)
	_ kit.Standby         = (*Container)(nil)
	_ kit.Adopter         = (*Container)(nil)
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "container" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a container of podman or docker", JA: "podman または docker のコンテナー"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "image", Type: kit.String, Required: true, Example: "registry.example/shop:1.4",
			Help: kit.Text{EN: "the image; it must be on every node, a start fetches nothing", JA: "イメージ。すべてのノードに必要。起動時には取得しない"}},
		{Name: "engine", Type: kit.CommandLine, Default: "podman", Example: "docker",
			Help: kit.Text{EN: "podman or docker, with global options", JA: "podman または docker。グローバルオプションを含めてもよい"}},
		{Name: "name", Type: kit.String, Example: "shop",
			Help: kit.Text{EN: "the container's name; otherwise perdure-HIERARCHY-RESOURCE", JA: "コンテナー名。省略時は perdure-リソース階層-リソース"}},
		{Name: "options", Type: kit.CommandLine, Example: "--network host -v /srv/shop:/data",
			Help: kit.Text{EN: "further options of run", JA: "run の追加オプション"}},
		{Name: "command", Type: kit.CommandLine, Example: "serve --port 8080",
			Help: kit.Text{EN: "what it runs; otherwise what the image says", JA: "実行するコマンド。省略時はイメージの定義"}},
		{Name: "check.command", Type: kit.CommandLine, Example: "/bin/healthy",
			Help: kit.Text{EN: "deep checks run it inside the container, and it must end with 0", JA: "詳細な監視でコンテナー内で実行するコマンド。0 で終われば正常"}},
		{Name: "stop.grace", Type: kit.Duration, Default: "10s", Min: "0s", Max: "1h", Example: "30s",
			Help: kit.Text{EN: "time to end by itself; then it is killed", JA: "自身で終了するまでの時間。過ぎたら強制終了する"}},
	}
}

var containerName = regexp.MustCompile(`^[a-zA-Z0-9][a-zA-Z0-9_.-]{0,127}$`)

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	if n := v.String("name"); n != "" && !containerName.MatchString(n) {
		return message.New(message.SettingText, k.Name(), "name", n, 128)
	}
	return nil
}

// New implements [kit.Kit].
func (Kit) New(in kit.Instance) (kit.Resource, error) { return &Container{in: in}, nil }
