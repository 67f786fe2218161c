package space

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"strings"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Handle opens netlink in a namespace.
func Handle(s *Space) (*netlink.Handle, error) {
	h, err := netlink.NewHandleAt(netns.NsHandle(int(s.Net().Fd())))
	if err != nil {
		return nil, fmt.Errorf("open netlink in namespace: %w", err)
	}
	return h, nil
}

// IPNet is a prefix in the form that netlink takes.
func IPNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// StartLoopback starts lo, which is down in a new namespace.
func StartLoopback(link *netlink.Handle) error {
	lo, err := link.LinkByName("lo")
	if err != nil {
		return fmt.Errorf("find lo: %w", err)
	}
	if err := link.LinkSetUp(lo); err != nil {
		return fmt.Errorf("start lo: %w", err)
	}
	return nil
}

// Sysctl sets kernel parameters of the calling thread's network namespace,
// given as name, value, name, value…
func Sysctl(pairs ...string) error {
	for i := 0; i+1 < len(pairs); i += 2 {
		if err := os.WriteFile("/proc/sys/"+pairs[i], []byte(pairs[i+1]), 0o600); err != nil {
			return fmt.Errorf("set %s: %w", strings.ReplaceAll(pairs[i], "/", "."), err)
		}
	}
	return nil
}
