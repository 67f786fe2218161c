package ip

import (
	"context"
	"net"
	"net/netip"
)

// network is this node's devices and addresses.
type network interface {
	// Links lists the devices.
	Links() ([]link, error)
	// Addresses lists the addresses of all devices.
	Addresses() ([]address, error)
	// Add adds an address; one that is there already is no error.
	Add(ctx context.Context, l link, p netip.Prefix, prefixRoute bool) error
	// Delete removes an address; one that isn't there is no error.
	Delete(ctx context.Context, l link, p netip.Prefix) error
	// Changes calls back after links or addresses changed, often for nothing,
	// until the context ends. ready is called once when nothing is missed any
	// more.
	Changes(ctx context.Context, ready, changed func()) error
	// Send sends Ethernet frames on a device, without waiting.
	Send(l link, frames ...[]byte) error
	// Listen calls back for each ARP frame or neighbour message that comes in,
	// until the context ends. ready is called once when nothing is missed any
	// more.
	Listen(ctx context.Context, l link, v4 bool, ready func(), got func(frame []byte)) error
}

// link is a network device.
type link struct {
	Name  string
	Index int
	MAC   net.HardwareAddr
	// Up reports whether it is switched on, Carrier whether there is a signal.
	Up, Carrier bool
	// Frames reports whether it carries Ethernet frames with ARP.
	Frames bool
}

// address is an address on a device.
type address struct {
	Prefix netip.Prefix
	Index  int // of the device
	// Duplicate says that the kernel found somebody else with it, and
	// Tentative that it is still looking; either way it doesn't answer.
	Duplicate, Tentative bool
}
