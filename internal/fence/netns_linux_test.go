package fence

import (
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"strings"
	"sync/atomic"
	"testing"
	"time"

	"github.com/vishvananda/netns"
)

// pair is two network namespaces joined by a virtual cable: the node with the
// service addresses, and a peer that asks for them.
type pair struct {
	t          *testing.T
	node, peer string // namespace names
	fd         netns.NsHandle
}

var (
	service4 = netip.MustParseAddr("10.77.0.10")
	service6 = netip.MustParseAddr("fd77::10")
)

func newPair(t *testing.T) *pair {
	t.Helper()
	if os.Getuid() != 0 {
		t.Skip("SKIP: network namespaces need root")
	}
	t.Parallel()
	id := fmt.Sprintf("pdg%d-%d", os.Getpid(), pairs.Add(1))
	p := &pair{t: t, node: id + "-n", peer: id + "-p"}
	for _, ns := range []string{p.node, p.peer} {
		run(t, "ip", "netns", "add", ns)
		t.Cleanup(func() { run(t, "ip", "netns", "del", ns) })
		run(t, "ip", "-n", ns, "link", "set", "lo", "up")
	}
	run(t, "ip", "-n", p.node, "link", "add", "eth0", "type", "veth", "peer", "name", "eth0", "netns", p.peer)
	p.address(p.node, "10.77.0.1/24", "fd77::1/64", service4.String()+"/24", service6.String()+"/64")
	p.address(p.peer, "10.77.0.2/24", "fd77::2/64")
	fd, err := netns.GetFromName(p.node)
	if err != nil {
		t.Fatal(err)
	}
	p.fd = fd
	t.Cleanup(func() { _ = fd.Close() })
	return p
}

func (p *pair) address(ns string, addrs ...string) {
	for _, a := range addrs {
		args := []string{"-n", ns, "addr", "add", a, "dev", "eth0"}
		if strings.Contains(a, ":") {
			args = append(args, "nodad")
		}
		run(p.t, "ip", args...)
	}
	run(p.t, "ip", "-n", ns, "link", "set", "eth0", "up")
}

// gate opens the gate of the node's namespace.
func (p *pair) gate(keep bool) Gate {
	p.t.Helper()
	g, err := NewGate(Options{Instance: "test", NetNS: int(p.fd), KeepOpen: keep})
	if err != nil {
		p.t.Fatal(err)
	}
	return g
}

// protected is a gate with both service addresses behind it.
func (p *pair) protected() Gate {
	g := p.gate(false)
	for _, a := range both {
		if err := g.Protect(a, "eth0"); err != nil {
			p.t.Fatal(err)
		}
	}
	return g
}

// pairs counts the namespaces' names.
var pairs atomic.Int64

var both = []netip.Addr{service4, service6}

func run(t *testing.T, name string, args ...string) string {
	t.Helper()
	out, err := exec.Command(name, args...).CombinedOutput()
	if err != nil {
		t.Fatalf("%s %s: %v\n%s", name, strings.Join(args, " "), err, out)
	}
	return string(out)
}

// inside runs f on a thread in a namespace. Sockets made there stay there.
func inside[T any](p *pair, ns string, f func() (T, error)) (T, error) {
	type result struct {
		v   T
		err error
	}
	ch := make(chan result)
	go func() {
		runtime.LockOSThread() // and never unlocked: the thread ends with the goroutine
		h, err := netns.GetFromName(ns)
		if err != nil {
			ch <- result{err: err}
			return
		}
		defer func() { _ = h.Close() }()
		if err := netns.Set(h); err != nil {
			ch <- result{err: err}
			return
		}
		v, err := f()
		ch <- result{v, err}
	}()
	r := <-ch
	return r.v, r.err
}

// pings reports whether a ping from the peer is answered. forget: the peer
// first forgets where the address is, so that it must ask (ARP, ND).
func (p *pair) pings(addr netip.Addr, forget bool) bool {
	p.t.Helper()
	if forget {
		run(p.t, "ip", "-n", p.peer, "neigh", "flush", "all")
	}
	err := exec.Command("ip", "netns", "exec", p.peer, "ping", "-n", "-c", "1", "-W", "0.4", addr.String()).Run()
	return err == nil
}

// resolves reports whether the peer learns the link address, whatever happens
// to the ping that asks for it.
func (p *pair) resolves(addr netip.Addr) bool {
	p.t.Helper()
	p.pings(addr, true)
	out := run(p.t, "ip", "-n", p.peer, "neigh", "show", addr.String())
	return strings.Contains(out, "lladdr")
}

// eventually polls until want, or fails after the deadline.
func eventually(t *testing.T, within time.Duration, what string, want func() bool) {
	t.Helper()
	deadline := time.After(within)
	tick := time.NewTicker(10 * time.Millisecond)
	defer tick.Stop()
	for !want() {
		select {
		case <-deadline:
			t.Fatalf("not within %v: %s", within, what)
		case <-tick.C:
		}
	}
}

// dial connects from the peer to the node.
func (p *pair) dial(addr netip.Addr, port uint16) (net.Conn, error) {
	return inside(p, p.peer, func() (net.Conn, error) {
		d := net.Dialer{Timeout: 400 * time.Millisecond}
		return d.Dial("tcp", netip.AddrPortFrom(addr, port).String())
	})
}

// listen accepts on an address of the node.
func (p *pair) listen(addr netip.Addr) (net.Listener, uint16) {
	p.t.Helper()
	l, err := inside(p, p.node, func() (net.Listener, error) {
		return net.Listen("tcp", netip.AddrPortFrom(addr, 0).String())
	})
	if err != nil {
		p.t.Fatal(err)
	}
	p.t.Cleanup(func() { _ = l.Close() })
	return l, l.Addr().(*net.TCPAddr).AddrPort().Port()
}
