package outside

import (
	"context"
	"fmt"
	"net"
	"net/netip"

	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/space"
)

// Names of the stations on the public network.
const (
	// Client is the outside client; a port of that name leads to it.
	Client = "client"
	// ProbePrefix begins the ports of the prober's doors.
	ProbePrefix = "probe"
)

// Cable is a connection to the public network.
type Cable struct {
	// Port is the name at the network's side, Device the one at the station's.
	Port, Device string
	MAC          net.HardwareAddr
	Addrs        []netip.Prefix
}

// Plug connects a station to the public network.
type Plug func(s *space.Space, link *netlink.Handle, c Cable) error

// Node is a node as seen from the public network.
type Node struct {
	Name string
	MAC  net.HardwareAddr
	// Probe is the prober's own address at this node's door.
	Probe    netip.Addr
	ProbeMAC net.HardwareAddr
}

// Config describes who looks at what.
type Config struct {
	Plug Plug
	// Service is the protected service's address; all are of its family.
	Service netip.AddrPort
	// ClientAddrs and ClientMAC are the client's own.
	ClientAddrs []netip.Prefix
	ClientMAC   net.HardwareAddr
	Nodes       []Node
}

// Outside is the client and the prober.
type Outside struct {
	cfg         Config
	out, probes *station
}

// New makes both. The caller must Close.
func New(cfg Config) (o *Outside, err error) {
	o = &Outside{cfg: cfg}
	defer func() {
		if err != nil {
			o.Close()
		}
	}()
	if o.out, err = newStation(); err != nil {
		return nil, fmt.Errorf("make the outside client's namespace: %w", err)
	}
	err = cfg.Plug(o.out.space, o.out.link, Cable{Port: Client, Device: "eth0", MAC: cfg.ClientMAC, Addrs: cfg.ClientAddrs})
	if err != nil {
		return nil, err
	}
	// Each device answers ARP for its own address only, and takes replies
	// although the route back prefers another one.
	o.probes, err = newStation("net/ipv4/conf/all/arp_ignore", "1", "net/ipv4/conf/all/rp_filter", "0",
		"net/ipv4/conf/default/rp_filter", "0")
	if err != nil {
		return nil, fmt.Errorf("make the prober's namespace: %w", err)
	}
	for i, n := range cfg.Nodes {
		if err := o.addDoor(i, n); err != nil {
			return nil, fmt.Errorf("make the probe of %s: %w", n.Name, err)
		}
	}
	return o, nil
}

// Close ends both.
func (o *Outside) Close() {
	for _, s := range []*station{o.out, o.probes} {
		if s != nil {
			s.link.Close()
			s.space.Close()
		}
	}
}

// Dial connects to the service from outside, as anybody would.
func (o *Outside) Dial(ctx context.Context) (net.Conn, error) {
	return o.out.space.Dial(ctx, "", o.cfg.Service)
}

// Doors lead to the service's address on each node.
func (o *Outside) Doors() []client.Door {
	var doors []client.Door
	for _, n := range o.cfg.Nodes {
		doors = append(doors, client.Door{Node: n.Name, Dial: func(ctx context.Context) (net.Conn, error) {
			return o.probes.space.Dial(ctx, n.Name, o.cfg.Service)
		}})
	}
	return doors
}

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

// whole is the prefix of one address.
func whole(a netip.Addr) netip.Prefix { return netip.PrefixFrom(a, a.BitLen()) }

// addDoor gives the prober a device whose only neighbour is one node: the
// service's address leads there, whoever holds it.
func (o *Outside) addDoor(i int, n Node) error {
	link := o.probes.link
	err := o.cfg.Plug(o.probes.space, link, Cable{Port: ProbePrefix + "." + n.Name, Device: n.Name, MAC: n.ProbeMAC,
		Addrs: []netip.Prefix{whole(n.Probe)}})
	if err != nil {
		return err
	}
	device, err := link.LinkByName(n.Name)
	if err != nil {
		return err
	}
	vip, family := o.cfg.Service.Addr(), netlink.FAMILY_V6
	route := &netlink.Route{LinkIndex: device.Attrs().Index, Scope: netlink.SCOPE_LINK, Dst: space.IPNet(whole(vip)), Priority: i + 1}
	if vip.Is4() { // IPv6 takes the device's own address anyway, and refuses one that came a moment ago
		route.Src, family = n.Probe.AsSlice(), netlink.FAMILY_V4
	}
	if err := link.RouteAdd(route); err != nil {
		return fmt.Errorf("add route: %w", err)
	}
	err = link.NeighAdd(&netlink.Neigh{LinkIndex: device.Attrs().Index, Family: family,
		State: netlink.NUD_PERMANENT, IP: vip.AsSlice(), HardwareAddr: n.MAC})
	if err != nil {
		return fmt.Errorf("add neighbour: %w", err)
	}
	return nil
}
