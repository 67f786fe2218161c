package tinyguest

import (
	"errors"
	"fmt"
	"net"
	"os/exec"
	"runtime"
	"syscall"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
)

// Tap is the name of a wire's tap. Each wire has a namespace of its own, so there
// is no other of that name in it.
const Tap = "tap0"

// MAC is the address of the guest's card at the wire.
var MAC = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 1}

// hostMAC is the host's, the same at all wires: a guest that migrates from one to
// another knows it already.
var hostMAC = net.HardwareAddr{0x52, 0x54, 0, 0, 0, 0xfe}

// Wire is a network namespace with a tap in it, and the thread that lives there:
// machines that it starts die with it.
type Wire struct {
	work chan func()
	done chan struct{}
}

// NewWire makes the namespace and its tap. The host's end has the address host
// (with prefix length) and knows the guest's card by heart, because a closed gate
// answers no ARP.
func NewWire(host string, guest net.IP) (*Wire, error) {
	w := &Wire{work: make(chan func()), done: make(chan struct{})}
	ready := make(chan error, 1)
	go w.keep(ready, host, guest)
	if err := <-ready; err != nil {
		<-w.done
		return nil, fmt.Errorf("make a network namespace with a tap: %w", err)
	}
	return w, nil
}

// keep is the thread. It never leaves its namespace, so it ends with it.
func (w *Wire) keep(ready chan<- error, host string, guest net.IP) {
	defer close(w.done)
	runtime.LockOSThread()
	err := stretch(host, guest)
	ready <- err
	if err != nil {
		return
	}
	for f := range w.work {
		f()
	}
}

func stretch(host string, guest net.IP) error {
	ns, err := netns.New()
	if err != nil {
		return err
	}
	defer ns.Close() // the thread holds it
	attrs := netlink.NewLinkAttrs()
	attrs.Name, attrs.HardwareAddr = Tap, hostMAC
	tap := &netlink.Tuntap{LinkAttrs: attrs, Mode: netlink.TUNTAP_MODE_TAP}
	if err := netlink.LinkAdd(tap); err != nil {
		return err
	}
	addr, err := netlink.ParseAddr(host)
	if err != nil {
		return err
	}
	link, err := netlink.LinkByName(Tap)
	if err != nil {
		return err
	}
	index := link.Attrs().Index
	return errors.Join(netlink.LinkSetHardwareAddr(link, hostMAC), netlink.AddrAdd(link, addr), netlink.LinkSetUp(link), netlink.NeighSet(&netlink.Neigh{
		LinkIndex: index, IP: guest, HardwareAddr: MAC, State: netlink.NUD_PERMANENT}))
}

// Inside runs f in the namespace.
func (w *Wire) Inside(f func() error) error {
	result := make(chan error, 1)
	w.work <- func() { result <- f() }
	return <-result
}

// Start starts a process in the namespace that ends with the wire.
func (w *Wire) Start(cmd *exec.Cmd) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Pdeathsig: syscall.SIGKILL}
	return w.Inside(cmd.Start)
}

// Close ends the thread, the namespace and the processes.
func (w *Wire) Close() {
	close(w.work)
	<-w.done
}
