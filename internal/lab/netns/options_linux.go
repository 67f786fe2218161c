package netns

import (
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/perdure-ha/perdure/internal/lab/outside"
)

// Names of networks that the lab treats specially or that callers often need.
const (
	Public    = "public"
	Heartbeat = "heartbeat"
	Mgmt      = "mgmt"
)

// Options describe a lab.
type Options struct {
	// Nodes are the names of the nodes; default n1, n2, n3. A witness is a
	// node like any other for the lab.
	Nodes []string
	// Networks are the networks, in the order of the nodes' eth0, eth1…; the
	// first is the public one. Default Public and Heartbeat.
	Networks []string
	// IPv6 has the service's address and all comm paths speak IPv6.
	IPv6 bool
	// Port is the protected service's; default 80.
	Port uint16
	// Perdure is the path of the binary that nodes run; without it only the
	// lab's own processes can be started.
	Perdure string
	// Keep leaves the directory with its logs in place at Close.
	Keep bool
}

func (o Options) withDefaults() Options {
	if len(o.Nodes) == 0 {
		o.Nodes = []string{"n1", "n2", "n3"}
	}
	if len(o.Networks) == 0 {
		o.Networks = []string{Public, Heartbeat}
	}
	if o.Port == 0 {
		o.Port = 80
	}
	return o
}

// maxInterfaceName is the kernel's limit, IFNAMSIZ without the final zero.
const maxInterfaceName = 15

func (o Options) check() error {
	if len(o.Nodes) > 64 || len(o.Networks) > 8 {
		return fmt.Errorf("lab of %d nodes and %d networks: at most 64 and 8", len(o.Nodes), len(o.Networks))
	}
	for i, node := range o.Nodes {
		if slices.Contains(o.Nodes[:i], node) || node == "" || node == outside.Client || node == outside.ProbePrefix {
			return fmt.Errorf("lab: node name %q is empty, taken or reserved", node)
		}
		for _, network := range append([]string{outside.ProbePrefix}, o.Networks...) {
			if len(portName(node, network)) > maxInterfaceName {
				return fmt.Errorf("lab: %s is too long for an interface name (%d)", portName(node, network), maxInterfaceName)
			}
		}
	}
	for i, network := range o.Networks {
		if slices.Contains(o.Networks[:i], network) || network == "" || network == outside.ProbePrefix {
			return fmt.Errorf("lab: network name %q is empty, taken or reserved", network)
		}
	}
	return nil
}

// portName is a station's port at a network's bridge.
func portName(station, network string) string { return station + "." + network }

// Addresses exist only inside the lab's namespaces. Nodes have host numbers
// from 11, the service's address is 100, the client 200, probes from 131.
const (
	hostNode  = 11
	hostVIP   = 100
	hostProbe = 131
	hostOut   = 200
)

// ip is a station's address in the family that the lab speaks, and whole is how
// many bits it has.
func (o Options) ip(network, host int) netip.Addr {
	if o.IPv6 {
		return ip6(network, host)
	}
	return ip4(network, host)
}

func ip4(network, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 77, byte(network), byte(host)})
}

func ip6(network, host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 0x00, 0x00, 0x77, 0, byte(network), 15: byte(host)})
}

// mac is the hardware address of a station. It stays over boots.
func mac(network, host int) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x70, 0x64, byte(network), 0, byte(host)}
}
