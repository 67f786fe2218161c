package libvirt

import (
	"path"
	"regexp"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the libvirt kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Claimer         = Kit{}
	_ kit.Resource        = (*Domain)(nil)
	_ kit.Validator       = (*Domain)(nil)
	_ kit.Standby         = (*Domain)(nil)
	_ kit.Adopter         = (*Domain)(nil)
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "libvirt" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "a virtual machine of libvirt", JA: "libvirt の仮想マシン"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "domain", Type: kit.String, Required: true, Example: "shop-vm",
			Help: kit.Text{EN: "the machine's name", JA: "仮想マシンの名前"}},
		{Name: "uri", Type: kit.String, Default: "qemu:///system", Example: "qemu:///system",
			Help: kit.Text{EN: "how libvirt is reached on the node", JA: "ノード上の libvirt への接続"}},
		{Name: "config", Type: kit.String, Example: "/srv/vm/shop-vm.xml",
			Help: kit.Text{EN: "its definition, read before each start; otherwise it must be defined on every node", JA: "定義ファイル。起動のたびに読み込む。省略時はすべてのノードに定義が必要"}},
		{Name: "stop.mode", Type: kit.Enum, Default: "shutdown", Values: []string{"shutdown", "off"}, Example: "off",
			Help: kit.Text{EN: "shutdown: the guest is asked, and turned off when it isn't done in time; off: turned off at once", JA: "shutdown はゲストに停止を求め、時間内に終わらなければ電源を切る。off は直ちに電源を切る"}},
		{Name: "guest.ping", Type: kit.Bool, Default: "no", Example: "yes",
			Help: kit.Text{EN: "deep checks ask the guest agent inside", JA: "詳細な監視でゲストエージェントに問い合わせる"}},
		{Name: "check.interval", Type: kit.Duration, Default: "3s", Min: "50ms", Max: "1h", Example: "1s",
			Help: kit.Text{EN: "time between light checks, which ask libvirt", JA: "軽い監視の間隔。libvirt に問い合わせる"}},
		{Name: "stop.timeout", Type: kit.Duration, Default: "3m", Min: "100ms", Max: "24h", Example: "5m",
			Help: kit.Text{EN: "after three quarters of it the machine is turned off", JA: "この 4 分の 3 を過ぎたら電源を切る"}},
	}
}

var domainName = regexp.MustCompile(`^[A-Za-z0-9_.:+][A-Za-z0-9_.:+-]{0,127}$`)

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	if d := v.String("domain"); !domainName.MatchString(d) {
		return message.New(message.SettingText, k.Name(), "domain", d, 128)
	}
	if c := v.String("config"); c != "" && (!path.IsAbs(c) || path.Clean(c) != c) {
		return message.New(message.SettingPath, k.Name(), "config", c, "/srv/vm/shop-vm.xml")
	}
	return nil
}

// Claims implements [kit.Claimer].
func (Kit) Claims(v kit.Values) []string { return []string{"virtual machine " + v.String("domain")} }

// New implements [kit.Kit].
func (Kit) New(in kit.Instance) (kit.Resource, error) { return &Domain{in: in}, nil }
