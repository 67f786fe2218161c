package vm

import (
	"fmt"
	"net"
	"net/netip"
	"slices"
)

// The networks of a host, in the order of a guest's cards. The names are those of
// the switches too.
const (
	Mgmt        = "mgmt"
	Public      = "public"
	Heartbeat   = "heartbeat"
	Replication = "repl"
	SANA        = "sana"
	SANB        = "sanb"
	NAS         = "nas"
)

// Networks are all of them: a guest's eth0, eth1 and so on.
func Networks() []string {
	return []string{Mgmt, Public, Heartbeat, Replication, SANA, SANB, NAS}
}

// paths are the networks that become comm paths.
var paths = []string{Public, Heartbeat}

// Kind is a kind of machine.
type Kind string

// The kinds.
const (
	UML  Kind = "uml"
	QEMU Kind = "qemu"
)

// Options describe a lab.
type Options struct {
	// Nodes are the names of the nodes; default n1, n2, n3. Node i lives on host
	// i modulo the number of hosts.
	Nodes []string
	// Hosts are the names of the hypervisors; default h1, h2, h3.
	Hosts []string
	// Kind is that of all machines; default UML.
	Kind Kind
	// Perdure is the path of the static binary that guests run, as their agent too.
	Perdure string
	// Cache is where images are; empty for the default of package image.
	Cache string
	// Systemd boots guests with systemd as process 1.
	Systemd bool
	// Watchdog loads the guests' watchdog.
	Watchdog bool
	// Storage adds a SAN with a portal at each of its switches, which every node
	// sees, and a NAS.
	Storage bool
	// MemoryMiB is a guest's memory; 0 for what its kind needs.
	MemoryMiB int
	// Keep leaves the directory with its logs in place at Close.
	Keep bool
	// Say hears what is being done, for people. May be nil.
	Say func(string)
}

func (o Options) withDefaults() Options {
	if len(o.Nodes) == 0 {
		o.Nodes = []string{"n1", "n2", "n3"}
	}
	if len(o.Hosts) == 0 {
		o.Hosts = []string{"h1", "h2", "h3"}
	}
	if o.Kind == "" {
		o.Kind = UML
	}
	if o.MemoryMiB == 0 {
		o.MemoryMiB = map[Kind]int{UML: 224, QEMU: 320}[o.Kind]
	}
	if o.Say == nil {
		o.Say = func(string) {}
	}
	return o
}

// diskMiB is the size of a node's disk, most of it a hole: with perdure's state, or
// with all that a guest under systemd changes.
func (o Options) diskMiB() int64 {
	if o.Systemd {
		return 512
	}
	return 96
}

// nasDiskMiB is the size of the NAS's disk.
const nasDiskMiB = 1024

// maxNodes keeps the numbers of addresses apart.
const maxNodes = 16

// nasName is the NAS's as a station of the lab.
const nasName = "nas"

func (o Options) check() error {
	if o.Kind != UML && o.Kind != QEMU {
		return fmt.Errorf("lab: no machines of kind %q: the kinds are %s and %s", o.Kind, UML, QEMU)
	}
	if len(o.Nodes) > maxNodes || len(o.Hosts) > maxNodes {
		return fmt.Errorf("lab of %d nodes on %d hosts: at most %d", len(o.Nodes), len(o.Hosts), maxNodes)
	}
	if o.Perdure == "" {
		return fmt.Errorf("lab: which perdure shall the guests run?")
	}
	seen := []string{"client", "probe", "up", "san", nasName}
	for _, name := range slices.Concat(o.Nodes, o.Hosts) {
		if name == "" || len(name) > 5 || slices.Contains(seen, name) {
			return fmt.Errorf("lab: the name %q is empty, taken, or longer than 5 letters", name)
		}
		seen = append(seen, name)
	}
	return nil
}

// Addresses exist only inside the lab's namespaces. Nodes have host numbers
// from 11, the service's address is 100, probes from 131, the client 200.
const (
	hostNode  = 11
	hostVIP   = 100
	hostProbe = 131
	hostOut   = 200
	hostSAN   = 210
	hostNAS   = 211
)

// prefixBits is the length of a network's prefix.
const prefixBits = 24

func ip4(network, host int) netip.Addr {
	return netip.AddrFrom4([4]byte{10, 78, byte(network), byte(host)})
}

func ip6(network, host int) netip.Addr {
	return netip.AddrFrom16([16]byte{0xfd, 0x00, 0x00, 0x78, 0, byte(network), 15: byte(host)})
}

// mac is the hardware address of a station. It stays over boots and migrations.
func mac(network, host int) net.HardwareAddr {
	return net.HardwareAddr{0x02, 0x70, 0x76, byte(network), 0, byte(host)}
}

func networkIndex(name string) int { return slices.Index(Networks(), name) }

// networksOf returns the named network, or all for the empty name.
func networksOf(name string) ([]string, error) {
	if name == "" {
		return Networks(), nil
	}
	if networkIndex(name) < 0 {
		return nil, fmt.Errorf("the lab has no network %q: the networks are %v", name, Networks())
	}
	return []string{name}, nil
}

// portName is a station's port in a network.
func portName(station, network string) string { return station + "." + network }
