package ip

import (
	"net"
	"net/netip"
	"strconv"
)

// The commands that change addresses on Windows. They are text, so that they
// are tested on every system. store=active: nothing may survive a boot.
// skipassource: not chosen for the node's own connections.

func netshAdd(device string, p netip.Prefix) []string {
	if p.Addr().Is4() {
		mask := net.IP(net.CIDRMask(p.Bits(), 32)).String()
		return []string{"netsh", "interface", "ipv4", "add", "address", "name=" + device,
			"address=" + p.Addr().String(), "mask=" + mask, "store=active", "skipassource=true"}
	}
	return []string{"netsh", "interface", "ipv6", "add", "address", "interface=" + device,
		"address=" + p.Addr().String() + "/" + strconv.Itoa(p.Bits()), "store=active", "skipassource=true"}
}

func netshDelete(device string, p netip.Prefix) []string {
	if p.Addr().Is4() {
		return []string{"netsh", "interface", "ipv4", "delete", "address", "name=" + device,
			"address=" + p.Addr().String(), "store=active"}
	}
	return []string{"netsh", "interface", "ipv6", "delete", "address", "interface=" + device,
		"address=" + p.Addr().String(), "store=active"}
}
