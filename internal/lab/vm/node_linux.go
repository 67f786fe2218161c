package vm

import (
	"bytes"
	"context"
	"errors"
	"fmt"
	"net/netip"
	"os"
	"path/filepath"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/estate"
	"github.com/perdure-ha/perdure/internal/lab/fault"
	"github.com/perdure-ha/perdure/internal/lab/vm/agent"
	"github.com/perdure-ha/perdure/internal/lab/vm/image"
	"github.com/perdure-ha/perdure/internal/lab/vm/machine"
)

const (
	// bootWait bounds the wait for a guest: a machine of our own takes 2 to 10 s of
	// processor, and others may want it too.
	bootWait = 90 * time.Second
	// actWait bounds what the inside does.
	actWait = 30 * time.Second
	// perdurePort is where nodes listen on each comm path.
	perdurePort = 7400
	// perdureLog is where perdure's own words go, in the guest.
	perdureLog = "/var/lib/perdure/perdure.log"
)

// Node is a node: a virtual machine on a host.
type Node struct {
	Name string
	lab  *Lab
	// number is the node's number in all networks.
	number int
	// networks are those in which it has cards.
	networks []string
	dir      string
	group    estate.Group

	// mu is held over a change of power or place.
	mu      sync.Mutex
	host    *Host
	machine machine.Machine
	client  *agent.Client
	on      bool
	// role is the argument with which perdure is started at a boot; empty: it isn't.
	role string
	// installed: perdure's unit was installed on the node's disk.
	installed bool
	// failStart makes starts of the server fail, over boots.
	failStart bool
	// impaired: a queue inside makes what it sends worse.
	impaired bool
	// disk is the state's file, which moves; moves counts moves of disk or machine.
	disk      string
	moves     int
	migration machine.Migration
	// before is done inside at the next boot, before perdure starts.
	before []fault.Fault
}

// Host is a hypervisor.
type Host struct {
	*site
	off bool
}

// NodeName is the node's name.
func (n *Node) NodeName() string { return n.Name }

// HostName is where the node lives now.
func (n *Node) HostName() string {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.host.name
}

// On reports whether the node is switched on.
func (n *Node) On() bool {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.on
}

// Machine is the node's virtual machine.
func (n *Node) Machine() machine.Machine {
	n.mu.Lock()
	defer n.mu.Unlock()
	return n.machine
}

// Agent is the agent of the present boot.
func (n *Node) Agent() (*agent.Client, error) {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.on {
		return nil, fmt.Errorf("node %s: %w", n.Name, machine.ErrOff)
	}
	return n.client, nil
}

// Perdure carries a command of perdure out on the node.
func (n *Node) Perdure(ctx context.Context, args ...string) (string, error) {
	a, err := n.Agent()
	if err != nil {
		return "", err
	}
	return a.Perdure(ctx, args...)
}

// Run runs a program on the node and returns what it printed.
func (n *Node) Run(ctx context.Context, argv ...string) (string, error) {
	a, err := n.Agent()
	if err != nil {
		return "", err
	}
	return a.Run(ctx, argv...)
}

// PathArgs are the arguments that name a node's comm paths.
func (n *Node) PathArgs() []string {
	var args []string
	for _, network := range paths {
		args = append(args, "--path", fmt.Sprintf("%s=%s:%d", network, n.Addr(network), perdurePort))
	}
	return args
}

// Addr is the node's own address in a network.
func (n *Node) Addr(network string) netip.Addr { return ip4(networkIndex(network), n.number) }

// Device is the node's network device in a network.
func Device(network string) string { return fmt.Sprintf("eth%d", networkIndex(network)) }

// stateDiskName is what faults call the disk with perdure's state.
const stateDiskName = "state"

// stateDisk is its file.
func (n *Node) stateDisk() string { return n.disk }
func (n *Node) savedDisk() string { return filepath.Join(n.dir, "state.saved.raw") }

// HasGate reports whether the guests' kernel can gate addresses.
func (l *Lab) HasGate() bool { return l.kind.gate() }

// HasWatchdog reports whether each machine has a watchdog.
func (l *Lab) HasWatchdog() bool { return l.opts.Watchdog }

// config is the machine's for a place.
func (n *Node) config(host *Host) machine.Config {
	l := n.lab
	var cards []machine.NIC
	var nets []string
	for card, network := range n.networks {
		i := networkIndex(network)
		cards = append(cards, machine.NIC{Name: network, Tap: portName(n.Name, network), MAC: mac(i, n.number)})
		for _, p := range []netip.Prefix{netip.PrefixFrom(ip4(i, n.number), prefixBits), netip.PrefixFrom(ip6(i, n.number), 64)} {
			nets = append(nets, fmt.Sprintf("%seth%d:%s", agent.WordNet, card, p))
		}
	}
	words := append(l.kind.words(), agent.WordName+n.Name)
	if l.opts.Systemd {
		// Nothing here waits to be found by udev, and binaries are all of one kind.
		words = append(words, agent.WordSystemd+"=1", "systemd.mask=systemd-udev-trigger.service", "systemd.mask=systemd-binfmt.service")
	}
	return machine.Config{
		Name: n.Name, MemoryMiB: l.opts.MemoryMiB,
		Kernel: l.images.Kernel[image.Kind(l.opts.Kind)], Initrd: l.initrd,
		Append: append(words, nets...),
		Disks: []machine.Disk{
			{Name: "root", Path: l.images.Root, ReadOnly: true, Shared: true},
			{Name: stateDiskName, Path: n.stateDisk()},
		},
		NICs: cards, Watchdog: l.opts.Watchdog, Dir: n.dir, Start: n.starter(host),
	}
}

// powerOn boots the node: machine, guest, and perdure if it was there before.
func (n *Node) powerOn(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if n.on {
		return fmt.Errorf("boot %s: the node is on already", n.Name)
	}
	if n.host.off {
		return fmt.Errorf("boot %s: its host %s is off", n.Name, n.host.name)
	}
	patience := bootWait
	if n.lab.opts.Systemd || n.lab.opts.Storage {
		patience *= 3
	}
	ctx, cancel := context.WithTimeoutCause(ctx, patience, fmt.Errorf("no sign of life within %v", patience))
	defer cancel()
	if err := n.bootLocked(ctx); err != nil {
		return fmt.Errorf("boot %s: %w%s", n.Name, err, tail(n.consolePath()))
	}
	return nil
}

func (n *Node) consolePath() string {
	if n.machine == nil {
		return ""
	}
	return n.machine.Console()
}

func (n *Node) bootLocked(ctx context.Context) (err error) {
	// A new group: Linux 6.18 kills at once what is born into one that was killed.
	if err := errors.Join(n.group.Remove(), n.group.Make()); err != nil {
		return err
	}
	for _, network := range n.networks {
		// A tap that stayed from an unclean end would keep its old carrier.
		if err := n.host.removePort(portName(n.Name, network)); err != nil {
			return err
		}
		if err := n.host.addTap(portName(n.Name, network), network); err != nil {
			return err
		}
	}
	if n.machine, err = n.lab.kind.make(n.config(n.host)); err != nil {
		return err
	}
	if err := n.machine.Boot(ctx); err != nil {
		return err
	}
	n.client = agent.NewClient(n.Name, n.machine.Control())
	n.on = true
	defer func() {
		if err != nil {
			err = errors.Join(err, n.powerOffLocked(context.WithoutCancel(ctx)))
		}
	}()
	if _, err := n.client.Await(ctx); err != nil {
		return err
	}
	return n.furnish(ctx)
}

// furnish prepares a guest that has just booted.
func (n *Node) furnish(ctx context.Context) error {
	l := n.lab
	if l.opts.Systemd {
		// Its agent is there long before the boot is over, and systemd has no time for
		// others meanwhile. "degraded" is a boot too.
		if _, err := n.client.Run(ctx, "systemctl", "is-system-running", "--wait"); err != nil && !errors.As(err, new(*agent.Exit)) {
			return err
		}
	}
	if l.opts.Watchdog {
		if _, err := n.client.Run(ctx, "modprobe", l.kind.watchdog(), "nowayout=0"); err != nil {
			return err
		}
	}
	if l.san != nil && n != l.nas {
		if err := n.attachSAN(ctx); err != nil {
			return err
		}
	}
	if l.web != nil {
		if _, err := n.client.UseWeb(ctx, l.siteOf(n)); err != nil {
			return err
		}
	}
	for _, f := range n.before {
		if err := n.client.Apply(ctx, f); err != nil {
			return err
		}
	}
	n.before = nil
	if n.role == "" || l.opts.Systemd {
		return nil // systemd starts what is enabled
	}
	return n.startPerdure(ctx)
}

// startPerdure starts guardian or witness.
func (n *Node) startPerdure(ctx context.Context) error {
	if n.lab.opts.Systemd {
		return n.startUnit(ctx)
	}
	args := []string{agent.ProgramPath, n.role}
	if n.role == "guardian" && !n.lab.opts.Watchdog {
		args = append(args, "--watchdog", "none")
	}
	_, err := n.client.Start(ctx, perdureLog, args...)
	return err
}

// startUnit starts perdure's own unit, which is installed first if it isn't yet.
func (n *Node) startUnit(ctx context.Context) error {
	if !n.installed {
		args := []string{"install"}
		if n.role == "witness" {
			args = append(args, "--witness")
		}
		if _, err := n.client.Perdure(ctx, args...); err != nil {
			return err
		}
		n.installed = true
	}
	_, err := n.client.Run(ctx, "systemctl", "start", "perdure.service")
	return err
}

// powerOff takes the power away.
func (n *Node) powerOff(ctx context.Context) error {
	n.mu.Lock()
	defer n.mu.Unlock()
	if !n.on {
		return fmt.Errorf("switch off %s: %w", n.Name, machine.ErrOff)
	}
	if err := n.powerOffLocked(context.WithoutCancel(ctx)); err != nil {
		return fmt.Errorf("switch off %s: %w", n.Name, err)
	}
	return nil
}

func (n *Node) powerOffLocked(ctx context.Context) error {
	err := n.machine.PowerOff(ctx)
	if errors.Is(err, machine.ErrOff) {
		err = nil // it ended by itself
	}
	n.on = false
	// A kind's helpers beside its main process don't always notice.
	errs := []error{err, n.group.Kill(ctx), ignoreClosed(n.client.Close())}
	for _, network := range n.networks {
		errs = append(errs, n.host.removePort(portName(n.Name, network)))
	}
	return errors.Join(errs...)
}

// ignoreClosed: the stream ended with the machine.
func ignoreClosed(err error) error {
	if errors.Is(err, os.ErrClosed) {
		return nil
	}
	return err
}

// tail is what a console says last, or before a panic, to be added to an error.
func tail(path string) string {
	const most = 600
	text, err := os.ReadFile(path)
	if err != nil || len(text) == 0 {
		return ""
	}
	if i := bytes.Index(text, []byte("Kernel panic")); i >= 0 {
		if end := bytes.IndexByte(text[i:], '\n'); end >= 0 {
			text = text[:i+end] // the rest is a stack
		}
	}
	if len(text) > most {
		text = text[len(text)-most:]
	}
	return "\nits console ends with:\n" + string(text)
}
