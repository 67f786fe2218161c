package vm

import (
	"errors"
	"fmt"
	"net"
	"sync"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/lab/outside"
	"github.com/perdure-ha/perdure/internal/lab/space"
)

// site is a namespace with a bridge for each network: a host, or the fabric with
// the switches.
type site struct {
	name    string
	space   *space.Space
	link    *netlink.Handle
	bridges map[string]int

	mu    sync.Mutex
	rules *nftables.Conn
	chain *nftables.Chain
}

func newSite(name string) (s *site, err error) {
	s = &site{name: name, bridges: map[string]int{}}
	// Bridges have no part in what they carry.
	if s.space, err = space.New(0, func() error { return space.Sysctl("net/ipv6/conf/default/disable_ipv6", "1") }); err != nil {
		return nil, fmt.Errorf("make the namespace of %s: %w", name, err)
	}
	defer func() {
		if err != nil {
			s.close()
		}
	}()
	if s.link, err = space.Handle(s.space); err != nil {
		return nil, err
	}
	off := false
	for _, network := range Networks() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = network
		// Without snooping, multicast flows from the first frame.
		bridge := &netlink.Bridge{LinkAttrs: attrs, MulticastSnooping: &off}
		if err := s.link.LinkAdd(bridge); err != nil {
			return nil, fmt.Errorf("make bridge %s of %s: %w", network, name, err)
		}
		if err := s.link.LinkSetUp(bridge); err != nil {
			return nil, fmt.Errorf("start bridge %s of %s: %w", network, name, err)
		}
		s.bridges[network] = bridge.Index
	}
	return s, s.makeCuts()
}

func (s *site) close() {
	if s.rules != nil {
		_ = s.rules.CloseLasting()
	}
	if s.link != nil {
		s.link.Close()
	}
	s.space.Close()
}

// makeCuts makes the chain in which frames are lost.
func (s *site) makeCuts() error {
	conn, err := nftables.New(nftables.WithNetNSFd(int(s.space.Net().Fd())), nftables.AsLasting())
	if err != nil {
		return fmt.Errorf("open nftables of %s: %w", s.name, err)
	}
	table := conn.AddTable(&nftables.Table{Family: nftables.TableFamilyBridge, Name: "cuts"})
	s.chain = conn.AddChain(&nftables.Chain{Name: "forward", Table: table, Type: nftables.ChainTypeFilter,
		Hooknum: nftables.ChainHookForward, Priority: nftables.ChainPriorityFilter})
	s.rules = conn
	if err := conn.Flush(); err != nil {
		return fmt.Errorf("make the table of cuts of %s: %w", s.name, err)
	}
	return nil
}

// loss is what is lost: every frame of a station, wherever it stands, on its way
// out of a port. A broadcast is lost at this port only.
type loss struct {
	from net.HardwareAddr
	port string
}

// etherSource is where a frame has its sender: bytes 6 to 11 of its header.
const etherSource = 6

// lose adds losses, all at the same moment. Ports that this site doesn't have do
// no harm: a machine may come there.
func (s *site) lose(losses []loss) error {
	s.mu.Lock()
	defer s.mu.Unlock()
	for _, l := range losses {
		name := make([]byte, 16) // IFNAMSIZ
		copy(name, l.port)
		s.rules.AddRule(&nftables.Rule{Table: s.chain.Table, Chain: s.chain, Exprs: []expr.Any{
			&expr.Meta{Key: expr.MetaKeyOIFNAME, Register: 1},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: name},
			&expr.Payload{DestRegister: 1, Base: expr.PayloadBaseLLHeader, Offset: etherSource, Len: uint32(len(l.from))},
			&expr.Cmp{Op: expr.CmpOpEq, Register: 1, Data: l.from},
			&expr.Counter{},
			&expr.Verdict{Kind: expr.VerdictDrop},
		}})
	}
	if err := s.rules.Flush(); err != nil {
		return fmt.Errorf("cut at %s: %w", s.name, err)
	}
	return nil
}

// heal ends all losses.
func (s *site) heal() error {
	s.mu.Lock()
	defer s.mu.Unlock()
	s.rules.FlushChain(s.chain)
	if err := s.rules.Flush(); err != nil {
		return fmt.Errorf("heal at %s: %w", s.name, err)
	}
	return nil
}

// uplink connects a host's bridges to the fabric's.
func (fabric *site) uplink(host *site) error {
	for _, network := range Networks() {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = portName(host.name, network)
		attrs.MasterIndex = fabric.bridges[network]
		veth := &netlink.Veth{LinkAttrs: attrs, PeerName: portName("up", network), PeerNamespace: netlink.NsFd(int(host.space.Net().Fd()))}
		if err := fabric.link.LinkAdd(veth); err != nil {
			return fmt.Errorf("make the uplink of %s to %s: %w", host.name, network, err)
		}
		if err := fabric.setPort(attrs.Name, true); err != nil {
			return err
		}
		if err := host.enslave(portName("up", network), network); err != nil {
			return err
		}
	}
	return nil
}

// enslave puts a device into a network's bridge and starts it.
func (s *site) enslave(device, network string) error {
	l, err := s.link.LinkByName(device)
	if err != nil {
		return fmt.Errorf("find %s on %s: %w", device, s.name, err)
	}
	if err := s.link.LinkSetMasterByIndex(l, s.bridges[network]); err != nil {
		return fmt.Errorf("put %s into %s on %s: %w", device, network, s.name, err)
	}
	return s.setPort(device, true)
}

// setPort switches a port. Whoever is behind it goes on to see a carrier if it is
// a machine, and loses it if it is a namespace.
func (s *site) setPort(name string, up bool) error {
	l, err := s.link.LinkByName(name)
	if err != nil {
		return fmt.Errorf("find port %s of %s: %w", name, s.name, err)
	}
	set := s.link.LinkSetDown
	if up {
		set = s.link.LinkSetUp
	}
	if err := set(l); err != nil {
		return fmt.Errorf("switch port %s of %s: %w", name, s.name, err)
	}
	return nil
}

// addTap makes a machine's port in a network.
func (s *site) addTap(name, network string) error {
	// A tap is made through a file of the calling thread's namespace.
	err := s.space.Do(func() error {
		attrs := netlink.NewLinkAttrs()
		attrs.Name = name
		return netlink.LinkAdd(&netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP, Flags: netlink.TUNTAP_NO_PI})
	})
	if err != nil {
		return fmt.Errorf("make tap %s on %s: %w", name, s.name, err)
	}
	return s.enslave(name, network)
}

// removePort removes a machine's port; one that isn't there is fine.
func (s *site) removePort(name string) error {
	l, err := s.link.LinkByName(name)
	if missing := (netlink.LinkNotFoundError{}); errors.As(err, &missing) {
		return nil
	}
	if err != nil {
		return fmt.Errorf("find port %s of %s: %w", name, s.name, err)
	}
	if err := s.link.LinkDel(l); err != nil {
		return fmt.Errorf("remove port %s of %s: %w", name, s.name, err)
	}
	return nil
}

// plug connects a station's namespace to one of the fabric's switches.
func (fabric *site) plug(network string, s *space.Space, link *netlink.Handle, c outside.Cable) error {
	attrs := netlink.NewLinkAttrs()
	attrs.Name = c.Port
	attrs.MasterIndex = fabric.bridges[network]
	veth := &netlink.Veth{LinkAttrs: attrs, PeerName: c.Device, PeerHardwareAddr: c.MAC, PeerNamespace: netlink.NsFd(int(s.Net().Fd()))}
	if err := fabric.link.LinkAdd(veth); err != nil {
		return fmt.Errorf("make cable %s: %w", c.Port, err)
	}
	if err := fabric.setPort(c.Port, true); err != nil {
		return err
	}
	device, err := link.LinkByName(c.Device)
	if err != nil {
		return fmt.Errorf("find %s of %s: %w", c.Device, c.Port, err)
	}
	for _, addr := range c.Addrs {
		if err := link.AddrAdd(device, &netlink.Addr{IPNet: space.IPNet(addr)}); err != nil {
			return fmt.Errorf("give %s to %s of %s: %w", addr, c.Device, c.Port, err)
		}
	}
	if err := link.LinkSetUp(device); err != nil {
		return fmt.Errorf("start %s of %s: %w", c.Device, c.Port, err)
	}
	return nil
}
