package fence

import (
	"errors"
	"fmt"
	"net/netip"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/platform/sockets"
)

func removeAddress(addr netip.Addr, device string) error {
	family := netlink.FAMILY_V4
	if addr.Is6() {
		family = netlink.FAMILY_V6
	}
	list, err := netlink.AddrList(nil, family)
	for try := 0; try < 5 && errors.Is(err, netlink.ErrDumpInterrupted); try++ {
		list, err = netlink.AddrList(nil, family)
	}
	if err != nil {
		return fmt.Errorf("list addresses to remove %v: %w", addr, err)
	}
	var failed error
	for _, a := range list {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok || ip.Unmap() != addr {
			continue
		}
		link, err := netlink.LinkByIndex(a.LinkIndex)
		if err != nil || device != "" && link.Attrs().Name != device {
			continue
		}
		a.Label = ""
		err = netlink.AddrDel(link, &a)
		if err != nil && !errors.Is(err, unix.EADDRNOTAVAIL) && !errors.Is(err, unix.ENODEV) {
			failed = errors.Join(failed, fmt.Errorf("remove %v from %s: %w", addr, link.Attrs().Name, err))
		}
	}
	// The kernel must not go on sending what the dead have left.
	return errors.Join(failed, sockets.End(addr))
}
