package ip

import (
	"context"
	"fmt"
	"net"
	"net/netip"
	"os"
	"os/exec"
	"runtime"
	"slices"
	"strings"
	"sync"
	"syscall"
	"testing"
	"time"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/kit/kittest"
)

// inside says that this process has a network namespace of its own.
const inside = "PERDURE_TEST_INSIDE"

// TestMain runs the tests once more in a new network namespace, which goes away
// with the process: nothing of the machine's network is touched. Fuzz workers
// stay outside; they need no network.
func TestMain(m *testing.M) {
	fuzzing := slices.ContainsFunc(os.Args, func(a string) bool { return strings.HasPrefix(a, "-test.fuzz") })
	if os.Getuid() != 0 || os.Getenv(inside) != "" || fuzzing {
		goleak.VerifyTestMain(m)
		return
	}
	self, err := os.Executable()
	if err != nil {
		fmt.Println("find the test binary:", err)
		os.Exit(2)
	}
	cmd := exec.Command(self, os.Args[1:]...)
	cmd.Stdin, cmd.Stdout, cmd.Stderr = os.Stdin, os.Stdout, os.Stderr
	cmd.Env = append(os.Environ(), inside+"=yes")
	cmd.SysProcAttr = &syscall.SysProcAttr{Cloneflags: syscall.CLONE_NEWNET, Pdeathsig: syscall.SIGKILL}
	if err := cmd.Run(); err != nil {
		fmt.Println("tests in a network namespace:", err)
		os.Exit(1)
	}
}

// world is this process's namespace as the node, with eth0 and eth1, and a peer
// with eth0 in another namespace. All three hang on a bridge in a third.
type world struct {
	t          testing.TB
	swtch      *netlink.Handle
	peer       *netlink.Handle
	peerNS     netns.NsHandle
	peerLink   link
	eth0, eth1 link
}

func newWorld(t testing.TB) *world {
	t.Helper()
	if os.Getenv(inside) == "" {
		t.Skip("SKIPPED: network namespaces need root")
	}
	w := &world{t: t}
	switchNS, switchHandle := newNamespace(t)
	w.swtch = switchHandle
	w.peerNS, w.peer = newNamespace(t)
	check(t, w.swtch.LinkAdd(&netlink.Bridge{LinkAttrs: netlink.LinkAttrs{Name: "br0"}}))
	up(t, w.swtch, "br0")
	here, err := netlink.NewHandle()
	check(t, err)
	t.Cleanup(here.Close)
	w.cable(here, switchNS, "eth0", "port0")
	w.cable(here, switchNS, "eth1", "port1")
	w.cable(w.peer, switchNS, "eth0", "port2")
	t.Cleanup(func() {
		for _, name := range []string{"eth0", "eth1"} {
			if l, err := here.LinkByName(name); err == nil {
				here.LinkDel(l)
			}
		}
	})
	w.peerAddress("192.0.2.2/24")
	w.peerAddress("2001:db8::2/64")
	w.address("eth0", "192.0.2.1/24")
	w.address("eth0", "2001:db8::1/64")
	w.eth0, w.eth1 = w.link("eth0"), w.link("eth1")
	p, err := w.peer.LinkByName("eth0")
	check(t, err)
	w.peerLink = link{Name: "eth0", Index: p.Attrs().Index, MAC: p.Attrs().HardwareAddr, Frames: true}
	// A port of a bridge forwards a moment after its link is up.
	peer := netip.MustParseAddr("192.0.2.2")
	for _, l := range []link{w.eth0, w.eth1} {
		kittest.Eventually(t, "the peer answers through "+l.Name, func() bool {
			who, err := ask(t.Context(), host, l, arpProbe(l.MAC, peer), peer, nil, 60*time.Millisecond, false)
			return err == nil && who != nil && w.link(l.Name).Carrier
		})
	}
	w.eth0, w.eth1 = w.link("eth0"), w.link("eth1")
	return w
}

func newNamespace(t testing.TB) (netns.NsHandle, *netlink.Handle) {
	t.Helper()
	made := make(chan netns.NsHandle, 1)
	go func() {
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		ns, err := netns.New()
		if err != nil {
			t.Error(err)
		}
		made <- ns
	}()
	ns := <-made
	h, err := netlink.NewHandleAt(ns)
	check(t, err)
	t.Cleanup(func() { h.Close(); ns.Close() })
	return ns, h
}

// within runs something in the peer's namespace and waits for it.
func (w *world) within(f func()) {
	done := make(chan struct{})
	go func() {
		defer close(done)
		runtime.LockOSThread() // never unlocked: the thread ends with the goroutine
		if err := netns.Set(w.peerNS); err != nil {
			w.t.Error(err)
			return
		}
		f()
	}()
	<-done
}

// cable connects a device in a namespace with a port of the switch.
func (w *world) cable(h *netlink.Handle, switchNS netns.NsHandle, device, port string) {
	w.t.Helper()
	check(w.t, h.LinkAdd(&netlink.Veth{LinkAttrs: netlink.LinkAttrs{Name: device}, PeerName: port, PeerNamespace: netlink.NsFd(switchNS)}))
	bridge, err := w.swtch.LinkByName("br0")
	check(w.t, err)
	p, err := w.swtch.LinkByName(port)
	check(w.t, err)
	check(w.t, w.swtch.LinkSetMaster(p, bridge))
	up(w.t, w.swtch, port)
	up(w.t, h, device)
}

func up(t testing.TB, h *netlink.Handle, name string) {
	t.Helper()
	l, err := h.LinkByName(name)
	check(t, err)
	check(t, h.LinkSetUp(l))
}

// unplug cuts a port off, as pulling a cable does.
func (w *world) unplug(port string) {
	w.t.Helper()
	l, err := w.swtch.LinkByName(port)
	check(w.t, err)
	check(w.t, w.swtch.LinkSetDown(l))
}

func (w *world) peerAddress(p string) {
	w.t.Helper()
	l, err := w.peer.LinkByName("eth0")
	check(w.t, err)
	check(w.t, w.peer.AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(p)), Flags: nodad(p)}))
}

func (w *world) address(device, p string) {
	w.t.Helper()
	l, err := netlink.LinkByName(device)
	check(w.t, err)
	check(w.t, netlink.AddrAdd(l, &netlink.Addr{IPNet: ipNet(netip.MustParsePrefix(p)), Flags: nodad(p)}))
}

func nodad(p string) int {
	if strings.Contains(p, ":") {
		return syscall.IFA_F_NODAD
	}
	return 0
}

func (w *world) link(name string) link {
	w.t.Helper()
	links, err := host.Links()
	check(w.t, err)
	i := slices.IndexFunc(links, func(l link) bool { return l.Name == name })
	if i < 0 {
		w.t.Fatalf("no %s", name)
	}
	return links[i]
}

// on lists the devices that have an address.
func (w *world) on(a netip.Addr) string {
	all, err := host.Addresses()
	check(w.t, err)
	var names []string
	for _, x := range all {
		if x.Prefix.Addr() == a {
			for _, l := range []link{w.eth0, w.eth1} {
				if l.Index == x.Index {
					names = append(names, fmt.Sprintf("%s/%d", l.Name, x.Prefix.Bits()))
				}
			}
		}
	}
	return strings.Join(names, " ")
}

// seen is a frame that arrived at the peer.
type seen struct {
	at    time.Time
	frame []byte
}

// capture collects what arrives at the peer.
type capture struct {
	mu  sync.Mutex
	all []seen
}

func (c *capture) count(is func(frame []byte) bool) int {
	c.mu.Lock()
	defer c.mu.Unlock()
	n := 0
	for _, s := range c.all {
		if is(s.frame) {
			n++
		}
	}
	return n
}

// listen captures ARP frames or neighbour messages at the peer until the test
// ends.
func (w *world) listen(ipv4 bool) *capture {
	c := &capture{}
	ctx, cancel := context.WithCancel(context.Background())
	ready, done := make(chan struct{}), make(chan struct{})
	go func() {
		defer close(done)
		w.within(func() {
			err := newKernel().Listen(ctx, w.peerLink, ipv4, func() { close(ready) }, func(frame []byte) {
				c.mu.Lock()
				defer c.mu.Unlock()
				c.all = append(c.all, seen{time.Now(), slices.Clone(frame)})
			})
			if err != nil {
				w.t.Error(err)
			}
		})
	}()
	<-ready
	w.t.Cleanup(func() { cancel(); <-done })
	return c
}

// announces recognizes an announcement of an address by a hardware address.
func announces(a netip.Addr, mac net.HardwareAddr, reply bool) func([]byte) bool {
	return func(frame []byte) bool {
		if p, err := decodeARP(frame); err == nil {
			return p.Sender == a && p.Target == a && p.SenderMAC.String() == mac.String() && p.Reply == reply
		}
		n, err := decodeNDP(frame)
		return err == nil && n.Type == advertise && n.Target == a && n.MAC.String() == mac.String() && n.To == allNodes && n.Flags&flagOverride != 0
	}
}

func check(t testing.TB, err error) {
	t.Helper()
	if err != nil {
		t.Fatal(err)
	}
}
