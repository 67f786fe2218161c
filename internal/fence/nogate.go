package fence

import (
	"maps"
	"net/netip"
	"slices"
)

// NoGate is a gate that stops nothing, for tests and for machines without
// nftables. It remembers, so that callers behave the same, and says that it is
// weaker.
type NoGate struct {
	protected map[netip.Addr]string
	opened    map[netip.Addr]Window
	why       error
}

var _ Gate = (*NoGate)(nil)

// NewNoGate returns a gate that stops nothing because of why, a message to people.
func NewNoGate(why error) *NoGate {
	return &NoGate{protected: make(map[netip.Addr]string), opened: make(map[netip.Addr]Window), why: why}
}

func (g *NoGate) Protect(addr netip.Addr, device string) error {
	g.protected[addr] = device
	return nil
}

func (g *NoGate) Unprotect(addrs ...netip.Addr) error {
	for _, a := range addrs {
		delete(g.protected, a)
		delete(g.opened, a)
	}
	return nil
}

func (g *NoGate) Open(addrs []netip.Addr, w Window) error {
	clear(g.opened)
	for _, a := range addrs {
		g.opened[a] = w
	}
	return nil
}

func (g *NoGate) Close() error {
	clear(g.opened)
	return nil
}

func (g *NoGate) Check() error { return nil }

func (g *NoGate) Protected() []Guarded { return sortGuarded(g.protected) }

func (g *NoGate) Reset() error {
	clear(g.protected)
	clear(g.opened)
	return nil
}

func (g *NoGate) Describe() Description {
	return Description{Name: "none", Weaker: []error{g.why}}
}

func sortGuarded(m map[netip.Addr]string) []Guarded {
	out := make([]Guarded, 0, len(m))
	for _, a := range slices.SortedFunc(maps.Keys(m), netip.Addr.Compare) {
		out = append(out, Guarded{Addr: a, Device: m[a]})
	}
	return out
}
