package ip

import (
	"net/netip"

	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Kit is the ip kit.
type Kit struct{}

var (
	_ kit.Kit             = Kit{}
	_ kit.SettingsChecker = Kit{}
	_ kit.Claimer         = Kit{}
	_ kit.Resource        = (*IP)(nil)
	_ kit.Validator       = (*IP)(nil)
	_ kit.Watcher         = (*IP)(nil)
	_ kit.Announcer       = (*IP)(nil)
	_ kit.Guarded         = (*IP)(nil)
	_ kit.Standby         = (*IP)(nil)
	_ kit.Adopter         = (*IP)(nil)
)

// Name implements [kit.Kit].
func (Kit) Name() string { return "ip" }

// About implements [kit.Kit].
func (Kit) About() kit.Text {
	return kit.Text{EN: "an IP address that moves with the hierarchy", JA: "リソース階層とともに移動する IP アドレス"}
}

// Settings implements [kit.Kit].
func (Kit) Settings() []kit.Setting {
	return []kit.Setting{
		{Name: "address", Type: kit.Prefix, Required: true, Example: "192.0.2.10/24",
			Help: kit.Text{EN: "the address, IPv4 or IPv6; without /length the length of the device's network", JA: "IPv4 または IPv6 アドレス。/長さ を省略するとデバイスのネットワークに従う"}},
		{Name: "devices", Type: kit.List, Example: "eth0,eth1",
			Help: kit.Text{EN: "network devices, the preferred first; the others are backups for a lost link. Otherwise the device whose network holds the address", JA: "ネットワークデバイス。先頭を優先し、残りはリンク断時の予備とする。省略時はアドレスの属するネットワークのデバイス"}},
		{Name: "gateway", Type: kit.Address, Example: "192.0.2.1",
			Help: kit.Text{EN: "deep checks ask this neighbour by ARP or neighbour solicitation", JA: "詳細な監視で ARP または近隣要請により確認する隣接機器"}},
		{Name: "gateway.silent", Type: kit.Enum, Default: "degraded", Values: []string{"degraded", "failed"}, Example: "failed",
			Help: kit.Text{EN: "what a silent gateway means", JA: "ゲートウェイの無応答をどう扱うか"}},
		{Name: "duplicate.check", Type: kit.Bool, Default: "yes", Example: "no",
			Help: kit.Text{EN: "before a fresh start ask whether somebody else has the address; a takeover never asks", JA: "新規の起動前に他の機器が同じアドレスを使用していないか確認する。引き継ぎの場合は確認しない"}},
		{Name: "duplicate.wait", Type: kit.Duration, Default: "300ms", Min: "50ms", Max: "10s", Example: "1s",
			Help: kit.Text{EN: "how long the duplicate check waits for an answer; it asks three times", JA: "重複確認の応答を待つ時間。3 回問い合わせる"}},
		{Name: "check.timeout", Type: kit.Duration, Default: "2s", Min: "10ms", Max: "10m", Example: "1s",
			Help: kit.Text{EN: "a light check that takes longer is unknown", JA: "軽い監視の制限時間。超えた場合は不明とする"}},
		{Name: "start.timeout", Type: kit.Duration, Default: "15s", Min: "100ms", Max: "24h", Example: "10s",
			Help: kit.Text{EN: "bringing in service has failed when it takes longer", JA: "起動の制限時間。超えた場合は起動失敗とする"}},
		{Name: "stop.timeout", Type: kit.Duration, Default: "10s", Min: "100ms", Max: "24h", Example: "5s",
			Help: kit.Text{EN: "taking out of service has failed when it takes longer", JA: "停止の制限時間。超えた場合は停止失敗とする"}},
	}
}

// CheckSettings implements [kit.SettingsChecker].
func (k Kit) CheckSettings(v kit.Values) error {
	a := v.Prefix("address")
	if !usable(a) {
		return message.New(message.AddressUnusable, v.Text("address"))
	}
	if g := v.Address("gateway"); g.IsValid() && g.Is4() != a.Addr().Is4() {
		return message.New(message.AddressFamilies, a.Addr(), g)
	}
	return nil
}

// usable reports whether an address can be given to a device as one of many: a
// host's own, and not its network's or the broadcast address.
func usable(p netip.Prefix) bool {
	a := p.Addr()
	if a.IsUnspecified() || a.IsMulticast() || a == netip.AddrFrom4([4]byte{255, 255, 255, 255}) {
		return false
	}
	if !a.Is4() || p.Bits() > 30 {
		return true
	}
	return a != p.Masked().Addr() && a != lastOf(p)
}

func lastOf(p netip.Prefix) netip.Addr {
	b := p.Masked().Addr().As4()
	for i := p.Bits(); i < 32; i++ {
		b[i/8] |= 1 << (7 - i%8)
	}
	return netip.AddrFrom4(b)
}

// Claims implements [kit.Claimer].
func (Kit) Claims(v kit.Values) []string {
	return []string{"address " + v.Prefix("address").Addr().String()}
}

// New implements [kit.Kit].
func (Kit) New(in kit.Instance) (kit.Resource, error) {
	return newIP(in, system(in.Runner)), nil
}
