package netns

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/space"
)

// station is a namespace on the public network that is no node.
type station struct {
	space *space.Space
	link  *netlink.Handle
}

func newStation(sysctls ...string) (*station, error) {
	s, err := space.New(0, func() error {
		return space.Sysctl(append(sysctls, "net/ipv6/conf/default/accept_dad", "0")...)
	})
	if err != nil {
		return nil, err
	}
	link, err := space.Handle(s)
	if err == nil {
		err = space.StartLoopback(link)
	}
	if err != nil {
		if link != nil {
			link.Close()
		}
		s.Close()
		return nil, err
	}
	return &station{space: s, link: link}, nil
}

func (s *station) close() {
	s.link.Close()
	s.space.Close()
}

// makeStations makes the outside client and the prober.
func (l *Lab) makeStations() (err error) {
	if l.out, err = newStation(); err != nil {
		return fmt.Errorf("make the outside client's namespace: %w", err)
	}
	err = l.fabric.plug(l.out.space, l.out.link, cable{
		network: l.opts.Networks[0], port: portName(outside, l.opts.Networks[0]), device: "eth0", mac: mac(0, hostOut),
		addrs: []netip.Prefix{netip.PrefixFrom(ip4(0, hostOut), 24), netip.PrefixFrom(ip6(0, hostOut), 64)},
	})
	if err != nil {
		return err
	}
	// Each device answers ARP for its own address only, and takes replies
	// although the route back prefers another one.
	l.probes, err = newStation("net/ipv4/conf/all/arp_ignore", "1", "net/ipv4/conf/all/rp_filter", "0",
		"net/ipv4/conf/default/rp_filter", "0")
	if err != nil {
		return fmt.Errorf("make the prober's namespace: %w", err)
	}
	for i, n := range l.nodes {
		if err := l.addDoor(i, n); err != nil {
			return fmt.Errorf("make the probe of %s: %w", n.Name, err)
		}
	}
	return nil
}

// addDoor gives the prober a device whose only neighbour is one node: the
// service's address leads there, whoever holds it.
func (l *Lab) addDoor(i int, n *Node) error {
	addr := whole(l.opts.ip(0, hostProbe+i))
	err := l.fabric.plug(l.probes.space, l.probes.link, cable{
		network: l.opts.Networks[0], port: portName(probePrefix, n.Name), device: n.Name, mac: mac(0, hostProbe+i),
		addrs: []netip.Prefix{addr},
	})
	if err != nil {
		return err
	}
	device, err := l.probes.link.LinkByName(n.Name)
	if err != nil {
		return err
	}
	vip := l.VIP().Addr()
	route := &netlink.Route{LinkIndex: device.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: space.IPNet(whole(vip)), Priority: i + 1}
	if !l.opts.IPv6 { // which takes the device's own address anyway, and refuses one that came a moment ago
		route.Src = net.IP(addr.Addr().AsSlice())
	}
	err = l.probes.link.RouteAdd(route)
	if err != nil {
		return fmt.Errorf("add route: %w", err)
	}
	family := netlink.FAMILY_V4
	if l.opts.IPv6 {
		family = netlink.FAMILY_V6
	}
	err = l.probes.link.NeighAdd(&netlink.Neigh{LinkIndex: device.Attrs().Index, Family: family,
		State: netlink.NUD_PERMANENT, IP: vip.AsSlice(), HardwareAddr: mac(0, n.host)})
	if err != nil {
		return fmt.Errorf("add neighbour: %w", err)
	}
	return nil
}

// Dial connects to the service from outside, as anybody would.
func (l *Lab) Dial(ctx context.Context) (net.Conn, error) {
	return l.out.space.Dial(ctx, "", l.Service())
}

// Doors lead to the service's address on each node, past address resolution
// and past every cut.
func (l *Lab) Doors() []client.Door {
	doors := make([]client.Door, 0, len(l.nodes))
	for _, n := range l.nodes {
		doors = append(doors, client.Door{Node: n.Name, Dial: func(ctx context.Context) (net.Conn, error) {
			return l.probes.space.Dial(ctx, n.Name, l.Service())
		}})
	}
	return doors
}
