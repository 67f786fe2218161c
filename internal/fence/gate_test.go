package fence

import (
	"errors"
	"net/netip"
	"slices"
	"testing"

	"github.com/perdure-ha/perdure/internal/message"
)

func TestNoGateSaysThatItIsWeaker(t *testing.T) {
	g := NewNoGate(message.New(message.GateUnavailable, "test"))
	a, b := netip.MustParseAddr("192.0.2.1"), netip.MustParseAddr("2001:db8::1")
	if err := errors.Join(g.Protect(b, "eth1"), g.Protect(a, "eth0"), g.Open([]netip.Addr{a}, Window{Forever: true})); err != nil {
		t.Fatal(err)
	}
	if got := g.Protected(); !slices.Equal(got, []Guarded{{a, "eth0"}, {b, "eth1"}}) {
		t.Errorf("protected %v", got)
	}
	d := g.Describe()
	if d.KernelTimeout || len(d.Weaker) != 1 || !errors.Is(d.Weaker[0], message.New(message.GateUnavailable)) {
		t.Errorf("it describes itself as %+v", d)
	}
}
