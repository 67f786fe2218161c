package fence

import (
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"os/exec"
	"slices"
	"strings"
	"syscall"
	"testing"
	"time"

	mdl "github.com/mdlayher/netlink"
	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"
)

func TestWithoutGatePeerIsAnswered(t *testing.T) { // the negative control
	p := newPair(t)
	for _, a := range both {
		if !p.pings(a, true) {
			t.Errorf("%v doesn't answer, and nothing forbids it", a)
		}
	}
}

func TestClosedAtFirst(t *testing.T) {
	p := newPair(t)
	p.protected()
	for _, a := range both {
		if p.pings(a, true) || p.resolves(a) {
			t.Errorf("%v answers behind a closed gate", a)
		}
	}
	if !p.pings(netip.MustParseAddr("10.77.0.1"), true) || !p.pings(netip.MustParseAddr("fd77::1"), true) {
		t.Error("an address that isn't protected is silent")
	}
}

// TestSilentWithoutUserland is the point of the gate: after the time-out nobody
// runs, and nothing answers any more: not ARP, ND, ping, nor TCP.
func TestSilentWithoutUserland(t *testing.T) {
	p := newPair(t)
	g := p.protected()
	const lasts = 1500 * time.Millisecond
	began := time.Now()
	if err := g.Open(both, Window{Timeout: lasts}); err != nil {
		t.Fatal(err)
	}
	for _, a := range both {
		if !p.pings(a, true) {
			t.Fatalf("%v is silent behind an open gate", a)
		}
	}
	for _, a := range both {
		eventually(t, 5*time.Second, a.String()+" falls silent", func() bool { return !p.pings(a, false) })
	}
	if took := time.Since(began); took < lasts/2 {
		t.Errorf("silent after %v already", took)
	}
	for _, a := range both {
		if p.resolves(a) {
			t.Errorf("%v still answers ARP or ND", a)
		}
	}
}

func TestWallClockCatchesLateCall(t *testing.T) {
	p := newPair(t)
	g := p.protected()
	if !g.Describe().WallClock {
		t.Skip("SKIP: this kernel's nftables has no wall-clock match")
	}
	// As if the process had stood still between the clock and the call.
	late := Window{Timeout: time.Minute, Wall: time.Now().Add(-time.Second)}
	if err := g.Open(both, late); err != nil {
		t.Fatal(err)
	}
	for _, a := range both {
		if p.pings(a, true) || p.resolves(a) {
			t.Errorf("%v answers after the wall-clock deadline", a)
		}
	}
	if err := g.Open(both, Window{Timeout: time.Minute, Wall: time.Now().Add(time.Minute)}); err != nil {
		t.Fatal(err)
	}
	for _, a := range both {
		if !p.pings(a, true) {
			t.Errorf("%v is silent before the deadline", a)
		}
	}
}

func TestRenewalKeepsOpen(t *testing.T) {
	p := newPair(t)
	g := p.protected()
	renew := time.NewTicker(20 * time.Millisecond)
	defer renew.Stop()
	// A flood over the renewals: no packet may fall into a gap.
	ping := exec.Command("ip", "netns", "exec", p.peer, "ping", "-n", "-i", "0.002", "-c", "500", "-W", "1", service4.String())
	out := make(chan string, 1)
	open := func() {
		if err := g.Open(both, Window{Timeout: 150 * time.Millisecond, Wall: time.Now().Add(150 * time.Millisecond)}); err != nil {
			t.Fatal(err)
		}
	}
	open()
	go func() {
		b, _ := ping.CombinedOutput()
		out <- string(b)
	}()
	for {
		select {
		case <-renew.C:
			open()
		case s := <-out:
			if !strings.Contains(s, " 0% packet loss") {
				t.Errorf("renewals lose packets:\n%s", s[max(0, len(s)-300):])
			}
			return
		}
	}
}

func TestCloseNow(t *testing.T) {
	p := newPair(t)
	g := p.protected()
	if err := g.Open(both, Window{Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if !p.pings(service4, true) {
		t.Fatal("silent while open")
	}
	if err := g.Open([]netip.Addr{service6}, Window{Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if p.pings(service4, false) || !p.pings(service6, true) {
		t.Error("Open doesn't open exactly what it was given")
	}
	if err := g.Close(); err != nil {
		t.Fatal(err)
	}
	if p.pings(service6, false) {
		t.Error("open after Close")
	}
}

// TestEstablishedConnectionFallsSilent: the kernel itself retransmits for a
// connection, whatever userland does. None of it may reach the peer.
func TestEstablishedConnectionFallsSilent(t *testing.T) {
	for _, a := range both {
		t.Run(a.String(), func(t *testing.T) {
			p := newPair(t)
			g := p.protected()
			if err := g.Open(both, Window{Timeout: time.Minute}); err != nil {
				t.Fatal(err)
			}
			l, port := p.listen(a)
			c, err := p.dial(a, port)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = s.Close() }()
			capture := p.capture(p.peer)
			if _, err := s.Write([]byte("before")); err != nil {
				t.Fatal(err)
			}
			eventually(t, 2*time.Second, "a frame of the open connection", func() bool { return capture.from(a) > 0 })
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			left := p.capture(p.peer)
			if _, err := s.Write([]byte("after")); err != nil {
				t.Fatal(err)
			}
			// What the node's kernel tries again is seen to be tried.
			eventually(t, 5*time.Second, "two retransmissions", func() bool { return p.retransmits(a) >= 2 })
			if n := left.from(a); n != 0 {
				t.Errorf("%d frames of the closed address reached the peer", n)
			}
			if _, err := p.dial(a, port); err == nil {
				t.Error("a new connection to a closed address")
			}
		})
	}
}

func TestAnnouncementOfNewOwnerPasses(t *testing.T) {
	p := newPair(t)
	g := p.protected()
	run(t, "ip", "-n", p.node, "addr", "del", service4.String()+"/24", "dev", "eth0")
	run(t, "ip", "-n", p.peer, "addr", "add", service4.String()+"/24", "dev", "eth0")
	out, err := exec.Command("ip", "netns", "exec", p.node, "ping", "-n", "-c", "1", "-W", "1", service4.String()).CombinedOutput()
	if err != nil {
		t.Errorf("a closed node can't be a client of the new owner: %s", out)
	}
	_ = g
}

func TestUnprotect(t *testing.T) {
	p := newPair(t)
	g := p.protected()
	if err := g.Unprotect(service4); err != nil {
		t.Fatal(err)
	}
	if !p.pings(service4, true) || p.pings(service6, true) {
		t.Error("Unprotect took away the wrong address")
	}
	if err := g.Reset(); err != nil {
		t.Fatal(err)
	}
	if rules := run(t, "ip", "netns", "exec", p.node, "nft", "list", "ruleset"); rules != "" {
		t.Errorf("left after Reset:\n%s", rules)
	}
}

func TestNextProcessFindsAndCloses(t *testing.T) {
	p := newPair(t)
	if err := p.protected().Open(both, Window{Timeout: time.Hour}); err != nil {
		t.Fatal(err)
	}
	next := p.gate(false)
	want := []Guarded{{service4, "eth0"}, {service6, "eth0"}}
	if got := next.Protected(); !slices.Equal(got, want) {
		t.Errorf("found %v, want %v", got, want)
	}
	for _, a := range both {
		if p.pings(a, true) {
			t.Errorf("%v is open for the next process", a)
		}
	}
}

func TestNextProcessKeepsUnmanagedOpen(t *testing.T) {
	p := newPair(t)
	if err := p.protected().Open(both, Window{Forever: true}); err != nil {
		t.Fatal(err)
	}
	p.gate(true)
	for _, a := range both {
		if !p.pings(a, true) {
			t.Errorf("%v isn't open any more", a)
		}
	}
}

func TestSomebodyElseInterferes(t *testing.T) {
	for name, act := range map[string][]string{
		"flush ruleset": {"flush", "ruleset"},
		"delete netdev": {"delete", "table", "netdev", "perdure-test"},
		"flush rules":   {"flush", "table", "inet", "perdure-test"},
		"flush set":     {"flush", "set", "netdev", "perdure-test", "guarded4"},
	} {
		t.Run(name, func(t *testing.T) {
			p := newPair(t)
			g := p.protected()
			open := Window{Timeout: time.Minute}
			if err := g.Open(both, open); err != nil {
				t.Fatal(err)
			}
			run(t, "ip", append([]string{"netns", "exec", p.node, "nft"}, act...)...)
			err := g.Open(both, open)
			if err == nil {
				err = g.Check()
			}
			if !errors.Is(err, ErrRebuilt) {
				t.Fatalf("not noticed: %v", err)
			}
			if p.pings(service4, true) || p.pings(service6, true) {
				t.Error("the gate was not built again closed")
			}
			if err := errors.Join(g.Open(both, open), g.Check()); err != nil {
				t.Fatal(err)
			}
			if !p.pings(service4, true) || !p.pings(service6, true) {
				t.Error("it doesn't open any more")
			}
		})
	}
}

func TestDeviceGoesAndComesBack(t *testing.T) {
	p := newPair(t)
	g := p.protected()
	run(t, "ip", "-n", p.node, "link", "del", "eth0")
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	if d := g.Describe(); len(d.Weaker) == 0 {
		t.Error("a missing device isn't described")
	}
	run(t, "ip", "-n", p.node, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", p.peer)
	p.address(p.node, "10.77.0.1/24", service4.String()+"/24", service6.String()+"/64")
	p.address(p.peer, "10.77.0.2/24", "fd77::2/64")
	if err := g.Check(); err != nil {
		t.Fatal(err)
	}
	if d := g.Describe(); len(d.Weaker) != 0 || p.pings(service4, true) {
		t.Errorf("after its return: %v", d.Weaker)
	}
	if err := g.Open(both, Window{Timeout: time.Minute}); err != nil {
		t.Fatal(err)
	}
	if !p.pings(service4, true) || !p.pings(service6, true) {
		t.Error("silent while open")
	}
}

func BenchmarkRenew(b *testing.B) {
	g, stop := benchGate(b)
	defer stop()
	for b.Loop() {
		if err := g.Open(both, Window{Timeout: 2 * time.Second, Wall: time.Now().Add(2 * time.Second)}); err != nil {
			b.Fatal(err)
		}
	}
}

// A program that is killed behind the closed gate leaves an answer that its
// kernel goes on sending. With IPv6 it did so from an address that was gone, and
// after the gate was: a stale answer, while somebody else served.
func TestNothingIsSentAfterRemoval(t *testing.T) {
	for _, a := range both {
		t.Run(a.String(), func(t *testing.T) {
			p := newPair(t)
			g := p.protected()
			if err := g.Open(both, Window{Timeout: time.Minute}); err != nil {
				t.Fatal(err)
			}
			l, port := p.listen(a)
			c, err := p.dial(a, port)
			if err != nil {
				t.Fatal(err)
			}
			defer func() { _ = c.Close() }()
			s, err := l.Accept()
			if err != nil {
				t.Fatal(err)
			}
			if err := g.Close(); err != nil {
				t.Fatal(err)
			}
			left := p.capture(p.peer)
			if _, err := s.Write([]byte("stale")); err != nil {
				t.Fatal(err)
			}
			_, _ = s.Close(), l.Close() // the program is killed
			if n := p.connections(a); n == 0 {
				t.Fatal("the kernel has nothing left to send")
			}
			if _, err := inside(p, p.node, func() (struct{}, error) { return struct{}{}, RemoveAddress(a, "eth0") }); err != nil {
				t.Fatal(err)
			}
			if err := g.Unprotect(a); err != nil {
				t.Fatal(err)
			}
			if n := p.connections(a); n != 0 {
				t.Errorf("%d connections of the address are left", n)
			}
			if n := left.from(a); n != 0 {
				t.Errorf("%d frames of the address reached the peer", n)
			}
		})
	}
}

// connections counts the node's TCP connections of an address.
func (p *pair) connections(addr netip.Addr) int {
	p.t.Helper()
	n, err := inside(p, p.node, func() (n int, err error) {
		for _, family := range []uint8{unix.AF_INET, unix.AF_INET6} {
			all, err := netlink.SocketDiagTCP(family)
			if err != nil {
				return 0, err
			}
			for _, s := range all {
				if local, ok := netip.AddrFromSlice(s.ID.Source); ok && local.Unmap() == addr {
					n++
				}
			}
		}
		return n, nil
	})
	if err != nil {
		p.t.Fatal(err)
	}
	return n
}

func TestRemoveAddress(t *testing.T) {
	p := newPair(t)
	for _, a := range both {
		for range 2 { // the second time it is gone
			if _, err := inside(p, p.node, func() (struct{}, error) { return struct{}{}, RemoveAddress(a, "eth0") }); err != nil {
				t.Fatal(err)
			}
		}
		if p.pings(a, true) {
			t.Errorf("%v is still there", a)
		}
	}
	if !p.pings(netip.MustParseAddr("10.77.0.1"), true) {
		t.Error("another address was removed")
	}
}

func BenchmarkCheck(b *testing.B) {
	g, stop := benchGate(b)
	defer stop()
	for b.Loop() {
		if err := g.Check(); err != nil {
			b.Fatal(err)
		}
	}
}

// TestCauseOfABatch: one message says what is wrong, not one for each that follows.
func TestCauseOfABatch(t *testing.T) {
	gone := fmt.Errorf("conn.Receive: %w", &mdl.OpError{Op: "receive", Err: syscall.ENOENT})
	unable := fmt.Errorf("conn.Receive: %w", &mdl.OpError{Op: "receive", Err: syscall.EOPNOTSUPP})
	for _, c := range []struct {
		err  error
		want error
		text string
	}{
		{errors.Join(errors.Join(unable, gone), gone), syscall.EOPNOTSUPP, "nftables: operation not supported"},
		{errors.Join(gone, unable), syscall.EOPNOTSUPP, "nftables: operation not supported"},
		{errors.Join(gone, gone), fs.ErrNotExist, "nftables: no such file or directory"},
	} {
		if got := cause(c.err); !errors.Is(got, c.want) || got.Error() != c.text {
			t.Errorf("%v is caused by %v, want %q", c.err, got, c.text)
		}
	}
}
