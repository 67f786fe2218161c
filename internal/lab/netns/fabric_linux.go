package netns

import (
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/lab/space"
)

// fabric is the namespace of the bridges: the switches and cables of the lab.
type fabric struct {
	space *space.Space
	link  *netlink.Handle
	// bridges by network.
	bridges map[string]int
	cuts    *cuts
}

func newFabric(networks []string) (f *fabric, err error) {
	f = &fabric{bridges: map[string]int{}}
	// The bridges have no part in what they carry.
	if f.space, err = space.New(0, func() error { return space.Sysctl("net/ipv6/conf/default/disable_ipv6", "1") }); err != nil {
		return nil, fmt.Errorf("make the namespace of the networks: %w", err)
	}
	defer func() {
		if err != nil {
			f.close()
		}
	}()
	if f.link, err = space.Handle(f.space); err != nil {
		return nil, err
	}
	off := false
	for _, network := range networks {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = network
		// Without snooping, multicast flows from the first frame.
		bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}
		if err := f.link.LinkAdd(bridge); err != nil {
			return nil, fmt.Errorf("make bridge %s: %w", network, err)
		}
		if err := f.link.LinkSetUp(bridge); err != nil {
			return nil, fmt.Errorf("start bridge %s: %w", network, err)
		}
		f.bridges[network] = bridge.Index
	}
	f.cuts, err = newCuts(f.space)
	return f, err
}

func (f *fabric) close() {
	if f.cuts != nil {
		f.cuts.close()
	}
	if f.link != nil {
		f.link.Close()
	}
	f.space.Close()
}

// cable describes a station's connection to a network.
type cable struct {
	network, port, device string
	mac                   net.HardwareAddr
	addrs                 []netip.Prefix
}

// plug connects a namespace to a network and gives it its addresses.
func (f *fabric) plug(s *space.Space, link *netlink.Handle, c cable) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = c.port
	attrs.MasterIndex = f.bridges[c.network]
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: c.device, PeerHardwareAddr: c.mac,
		PeerNamespace: netlink.NsFd(int(s.Net().Fd()))}
	if err := f.link.LinkAdd(veth); err != nil {
		return fmt.Errorf("make cable %s: %w", c.port, err)
	}
	if err := f.setLink(c.port, true); err != nil {
		return err
	}
	device, err := link.LinkByName(c.device)
	if err != nil {
		return fmt.Errorf("find %s of %s: %w", c.device, c.port, err)
	}
	for _, addr := range c.addrs {
		if err := link.AddrAdd(device, &netlink.Addr{IPNet: space.IPNet(addr)}); err != nil {
			return fmt.Errorf("give %s to %s of %s: %w", addr, c.device, c.port, err)
		}
	}
	if err := link.LinkSetUp(device); err != nil {
		return fmt.Errorf("start %s of %s: %w", c.device, c.port, err)
	}
	return nil
}

// unplug removes a station's port and with it the device at the other end.
func (f *fabric) unplug(port string) error {
	l, err := f.link.LinkByName(port)
	if err != nil {
		return fmt.Errorf("find port %s: %w", port, err)
	}
	if err := f.link.LinkDel(l); err != nil {
		return fmt.Errorf("remove port %s: %w", port, err)
	}
	return nil
}

// setLink gives or takes the carrier of whoever is plugged in at the port.
func (f *fabric) setLink(port string, up bool) error {
	l, err := f.link.LinkByName(port)
	if err != nil {
		return fmt.Errorf("find port %s: %w", port, err)
	}
	set := f.link.LinkSetDown
	if up {
		set = f.link.LinkSetUp
	}
	if err := set(l); err != nil {
		return fmt.Errorf("switch port %s: %w", port, err)
	}
	return nil
}
