package ip

import (
	"net/netip"
	"testing"

	"github.com/perdure-ha/perdure/internal/kit"
)

func TestNetsh(t *testing.T) {
	for _, c := range []struct {
		argv []string
		want string
	}{
		{netshAdd("Ethernet 2", netip.MustParsePrefix("192.0.2.10/24")),
			`netsh interface ipv4 add address "name=Ethernet 2" address=192.0.2.10 mask=255.255.255.0 store=active skipassource=true`},
		{netshAdd("LAN", netip.MustParsePrefix("2001:db8::10/64")),
			`netsh interface ipv6 add address interface=LAN address=2001:db8::10/64 store=active skipassource=true`},
		{netshDelete("Ethernet 2", netip.MustParsePrefix("192.0.2.10/24")),
			`netsh interface ipv4 delete address "name=Ethernet 2" address=192.0.2.10 store=active`},
		{netshDelete("LAN", netip.MustParsePrefix("2001:db8::10/64")),
			`netsh interface ipv6 delete address interface=LAN address=2001:db8::10 store=active`},
	} {
		if got := kit.JoinWords(c.argv); got != c.want {
			t.Errorf("got  %s\nwant %s", got, c.want)
		}
	}
}

func TestSettings(t *testing.T) {
	for _, c := range []struct {
		address, gateway string
		ok               bool
	}{
		{"192.0.2.10/24", "", true},
		{"192.0.2.10", "192.0.2.1", true},
		{"2001:db8::10/64", "fe80::1", true},
		{"2001:db8::/64", "", true},
		{"10.0.0.0/31", "", true},
		{"192.0.2.0/24", "", false},
		{"192.0.2.255/24", "", false},
		{"0.0.0.0/8", "", false},
		{"224.0.0.1", "", false},
		{"255.255.255.255", "", false},
		{"ff02::1", "", false},
		{"::", "", false},
		{"192.0.2.10/24", "2001:db8::1", false},
		{"192.0.2.10/33", "", false},
		{"192.0.2.10/0", "", false},
		{"host.example", "", false},
		{"fe80::1%eth0", "", false},
	} {
		_, err := kit.Parse(Kit{}, map[string]string{"address": c.address, "gateway": c.gateway})
		if (err == nil) != c.ok {
			t.Errorf("address=%s gateway=%s: %v", c.address, c.gateway, err)
		}
	}
}
