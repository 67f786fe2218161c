package netns

import (
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/vishvananda/netlink"
	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/lab/estate"
	"github.com/perdure-ha/perdure/internal/lab/space"
)

// killWait bounds the wait for killed processes to be gone.
const killWait = 5 * time.Second

var errOff = errors.New("the node is off")

// Node is one machine of the lab.
type Node struct {
	Name string
	lab  *Lab
	// host is the node's number in all networks.
	host int
	// dir outlives boots: state and logs. run is /run of the current boot.
	dir string
	cg  estate.Group

	mu sync.Mutex // held over a change of power
	// space and link are those of the current boot; nil when off.
	space *space.Space
	link  *netlink.Handle
	// onBoot runs at the end of each boot.
	onBoot func(context.Context, *Node) error
	// resource is the name of the resource that the faults reach; furnishWeb
	// puts its files into /run, and failStart makes its starts fail.
	resource   string
	furnishWeb func() error
	failStart  bool
	// procs are the processes of the current boot that the lab started.
	procs sync.WaitGroup
}

// NodeName is the node's name.
func (n *Node) NodeName() string { return n.Name }

// Dir is the node's directory, which outlives boots.
func (n *Node) Dir() string { return n.dir }

// StateDir is where perdure keeps its state, as seen from everywhere.
func (n *Node) StateDir() string { return filepath.Join(n.dir, "state") }

// RunDir is the node's /run as seen from outside. It is empty after a boot.
func (n *Node) RunDir() string { return filepath.Join(n.dir, "run") }

// LogFile is where a process of the node logs.
func (n *Node) LogFile(name string) string { return filepath.Join(n.dir, "log", name+".log") }

// Addr is the node's own address in a network.
func (n *Node) Addr(network string) netip.Addr {
	return n.lab.opts.ip(n.lab.networkIndex(network), n.host)
}

// Device is the node's network device in a network.
func (n *Node) Device(network string) string {
	return fmt.Sprintf("eth%d", n.lab.networkIndex(network))
}

// On reports whether the node is switched on.
func (n *Node) On() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.space != nil
}

// OnBoot sets what runs at the end of every later boot.
func (n *Node) OnBoot(f func(context.Context, *Node) error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	n.onBoot = f
}

// powerOn boots the node.
func (n *Node) powerOn(ctx context.Context) error {
	n.mu.Lock()
	hook := n.onBoot
	err := n.bootLocked()
	n.mu.Unlock()
	if err != nil {
		return fmt.Errorf("boot %s: %w", n.Name, err)
	}
	if hook != nil {
		if err := hook(ctx, n); err != nil {
			return fmt.Errorf("boot %s: %w", n.Name, err)
		}
	}
	return nil
}

func (n *Node) bootLocked() error {
	if n.space != nil {
		return errors.New("the node is on already")
	}
	for _, dir := range []string{n.StateDir(), filepath.Join(n.dir, "log")} {
		if err := os.MkdirAll(dir, 0o700); err != nil {
			return err
		}
	}
	// The cgroup is thawed and empty, whatever happened before.
	if err := errors.Join(n.cg.Remove(), n.initCgroup().Make()); err != nil {
		return err
	}
	s, err := space.New(unix.CLONE_NEWNS|unix.CLONE_NEWUTS, func() error {
		return errors.Join(
			// No waiting for duplicates of addresses that can't be duplicate.
			space.Sysctl("net/ipv6/conf/default/accept_dad", "0", "net/ipv6/conf/all/accept_dad", "0",
				"net/ipv6/conf/default/accept_ra", "0"),
			furnish(n.Name, n.dir))
	})
	if err != nil {
		return err
	}
	link, err := space.Handle(s)
	if err == nil {
		err = space.StartLoopback(link)
	}
	for i, network := range n.lab.opts.Networks {
		if err == nil {
			err = n.lab.fabric.plug(s, link, cable{
				network: network, port: portName(n.Name, network), device: fmt.Sprintf("eth%d", i), mac: mac(i, n.host),
				addrs: []netip.Prefix{netip.PrefixFrom(ip4(i, n.host), 24), netip.PrefixFrom(ip6(i, n.host), 64)},
			})
		}
	}
	if err != nil {
		if link != nil {
			link.Close()
		}
		s.Close()
		return err
	}
	n.space, n.link = s, link
	if n.furnishWeb != nil {
		return errors.Join(n.furnishWeb(), n.markFailStart())
	}
	return nil
}

// powerOff takes the power away: carriers first, because a dying process's
// kernel says farewell on its connections, then all processes at once, then
// the kernel state.
func (n *Node) powerOff(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.space == nil {
		return errOff
	}
	var errs []error
	for _, network := range n.lab.opts.Networks {
		errs = append(errs, n.lab.fabric.setLink(portName(n.Name, network), false))
	}
	ctx, cancel := context.WithTimeout(context.WithoutCancel(ctx), killWait)
	defer cancel()
	errs = append(errs, n.cg.Kill(ctx))
	n.procs.Wait()
	for _, network := range n.lab.opts.Networks {
		errs = append(errs, n.lab.fabric.unplug(portName(n.Name, network)))
	}
	n.link.Close()
	n.space.Close()
	n.space, n.link = nil, nil
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("switch off %s: %w", n.Name, err)
	}
	return nil
}

// initCgroup is where the lab's own processes start. It is a leaf, so that
// perdure may hand controllers to cgroups beside it.
func (n *Node) initCgroup() estate.Group { return estate.Group(filepath.Join(string(n.cg), "init")) }

// freeze stops or continues the node's userland.
func (n *Node) freeze(ctx context.Context, frozen bool) error {
	if !n.On() {
		return errOff
	}
	ctx, cancel := context.WithTimeout(ctx, killWait)
	defer cancel()
	return n.cg.Freeze(ctx, frozen)
}
