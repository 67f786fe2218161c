package fence

import (
	"errors"
	"net/netip"
	"time"
)

// Gate lets protected addresses answer for a bounded time. An address that isn't
// protected is none of its business.
type Gate interface {
	// Protect puts an address behind the gate, closed if it was not behind it
	// before. The device is the one that carries it.
	Protect(addr netip.Addr, device string) error
	// Unprotect takes addresses from behind the gate. They must be off their
	// devices.
	Unprotect(addrs ...netip.Addr) error
	// Open opens exactly these protected addresses for the window; all others
	// are closed. It replaces the earlier window, also by a shorter one. With
	// [ErrRebuilt] everything is closed and the call must be made again.
	Open(addrs []netip.Addr, w Window) error
	// Close closes all addresses at once.
	Close() error
	// Check looks whether the gate is still whole, and builds it again, closed,
	// if it isn't ([ErrRebuilt]).
	Check() error
	// Protected is what is behind the gate, sorted; after a start also what an
	// earlier process left there.
	Protected() []Guarded
	// Reset removes the gate as a whole. Nothing may be in service.
	Reset() error
	// Describe says what this gate is able to do.
	Describe() Description
}

// ErrRebuilt: somebody else had removed the gate or a part of it. It is there
// again and every address is closed.
var ErrRebuilt = errors.New("the gate had been removed by another program; it was built again, closed")

// Guarded is an address behind the gate.
type Guarded struct {
	Addr netip.Addr
	// Device is empty if an earlier process put the address there and it is not
	// known on which device.
	Device string
}

// Window is how long an opening lasts.
type Window struct {
	// Timeout is counted by the kernel from the call.
	Timeout time.Duration
	// Wall is the latest time by the wall clock, read before the clock from
	// which Timeout was computed. It holds when the process stood still between
	// that reading and the call, so that Timeout is too long. Zero: not used.
	// A wall clock that is set forward closes early, until the next renewal;
	// set backward, Timeout alone counts.
	Wall time.Time
	// Forever: no time-out at all, for an unmanaged node.
	Forever bool
}

// Description says what a gate covers.
type Description struct {
	// Name is shown to people: "nftables table perdure-a".
	Name string
	// KernelTimeout reports whether addresses fall silent without userland.
	KernelTimeout bool
	// ARP reports whether ARP and neighbour discovery are covered.
	ARP bool
	// RawFrames reports whether frames of programs that bypass the IP stack are
	// covered, on the devices that exist.
	RawFrames bool
	// WallClock reports whether [Window.Wall] is enforced.
	WallClock bool
	// Weaker names what is missing, as message codes with arguments.
	Weaker []error
}

// Options of [NewGate].
type Options struct {
	// Instance tells the gates of one machine apart.
	Instance string
	// KeepOpen keeps what an earlier process left open: its services run
	// unmanaged. Otherwise everything is closed at once.
	KeepOpen bool
	// NetNS is the file descriptor of a network namespace; 0: the present one.
	NetNS int
}
