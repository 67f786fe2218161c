package fence

import (
	"errors"
	"fmt"
	"io/fs"
	"net"
	"net/netip"
	"slices"
	"syscall"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"

	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// kernelTick is how much later than asked a set element may time out: one
	// jiffy at the slowest usual rate (CONFIG_HZ=100).
	kernelTick = 10 * time.Millisecond
	// netlinkDeadline bounds one transaction. The kernel answers in the call
	// itself; waiting longer means that an answer is missing.
	netlinkDeadline = time.Second
)

// nft is the gate by nftables.
type nft struct {
	name   string
	netns  int
	conn   *nftables.Conn
	socket *netlink.Conn
	tables []*table
	able   features

	protected map[netip.Addr]string // address → device
	opened    []netip.Addr
	openedAt  time.Time // from here window.Timeout counts
	window    Window
	// hooked are the devices that have their chains.
	hooked []string
	// generation is the kernel's number of the ruleset at the last Check, and
	// commits how often this gate changed it since.
	generation, commits uint32
	// renewal is the last transaction of Open; nil: it must be written.
	renewal *renewal
}

// features are what this kernel's nftables can do.
type features struct{ netdev, arp, wall bool }

// NewGate builds the gate of an instance, or takes over the one that an earlier
// process left: what that protected stays protected, and closed unless
// [Options.KeepOpen].
func NewGate(o Options) (Gate, error) {
	g := &nft{
		name:      "perdure-" + o.Instance,
		netns:     o.NetNS,
		protected: make(map[netip.Addr]string),
	}
	if err := g.dial(); err != nil {
		return nil, message.New(message.GateUnavailable, err)
	}
	if err := g.takeOver(o.KeepOpen); err != nil {
		return nil, message.New(message.GateUnavailable, err)
	}
	if err := g.discover(); err != nil {
		return nil, message.New(message.GateUnavailable, err)
	}
	return g, nil
}

func (g *nft) dial() error {
	if g.conn != nil {
		_ = g.conn.CloseLasting()
	}
	options := []nftables.ConnOption{nftables.AsLasting(), nftables.WithSockOptions(func(c *netlink.Conn) error {
		g.socket = c
		return nil
	})}
	if g.netns != 0 {
		options = append(options, nftables.WithNetNSFd(g.netns))
	}
	conn, err := nftables.New(options...)
	if err != nil {
		return fmt.Errorf("open a netlink socket to nftables: %w", err)
	}
	g.conn = conn
	return nil
}

// commit sends the batch as one transaction. After an error answers of the
// kernel may be left in the socket, so a new one is opened.
func (g *nft) commit() error {
	_ = g.socket.SetDeadline(time.Now().Add(netlinkDeadline))
	err := g.conn.Flush()
	if err == nil {
		g.commits++
		return nil
	}
	return errors.Join(cause(err), g.dial())
}

// cause is what is wrong with a batch. The kernel answers to each message of it, and
// when the first one fails the others find nothing of what it should have made.
func cause(err error) error {
	all := each(err)
	if len(all) == 0 {
		return err
	}
	if i := slices.IndexFunc(all, func(e error) bool { return !errors.Is(e, fs.ErrNotExist) }); i >= 0 {
		return inKernel(all[i])
	}
	return inKernel(all[0])
}

// each lists the errors that were joined, one to the others.
func each(err error) []error {
	joined, ok := err.(interface{ Unwrap() []error })
	if !ok {
		return []error{err}
	}
	var all []error
	for _, e := range joined.Unwrap() {
		all = append(all, each(e)...)
	}
	return all
}

// inKernel says it without the names of library calls.
func inKernel(err error) error {
	var errno syscall.Errno
	if errors.As(err, &errno) {
		return fmt.Errorf("nftables: %w", errno)
	}
	return err
}

// discover builds the gate with as much as this kernel can do.
func (g *nft) discover() error {
	var last error
	for _, able := range []features{
		{netdev: true, arp: true, wall: true},
		{netdev: true, arp: true},
		{arp: true, wall: true},
		{arp: true},
		{wall: true},
		{},
	} {
		g.able = able
		err := g.probe()
		if err == nil {
			err = g.build()
		}
		if err == nil {
			return nil
		}
		last = err
	}
	return last // it asked for the least
}

// probe tries the wall-clock match and the egress hook in a table of its own,
// which is gone again afterwards. The hook is tried on loopback, because no
// other device is sure to exist.
func (g *nft) probe() error {
	try := newTable(nftables.TableFamilyINet, g.name+"-probe")
	if g.able.netdev {
		try = newTable(nftables.TableFamilyNetdev, g.name+"-probe")
	}
	if err := try.create(g.conn, []string{"lo"}); err != nil {
		return err
	}
	soon := Window{Timeout: time.Second, Wall: time.Now()}
	if err := try.open(g.conn, []netip.Addr{netip.MustParseAddr("192.0.2.1")}, soon, g.able.wall); err != nil {
		return err
	}
	g.conn.DelTable(try.nft)
	return g.commit()
}

// build writes all tables anew in one transaction, with what is protected and
// what is open.
func (g *nft) build() error {
	g.tables = []*table{newTable(nftables.TableFamilyINet, g.name)}
	if g.able.arp {
		g.tables = append(g.tables, newTable(nftables.TableFamilyARP, g.name))
	}
	if g.able.netdev {
		g.tables = append(g.tables, newTable(nftables.TableFamilyNetdev, g.name))
	}
	g.hooked, g.renewal = g.present(), nil
	for _, t := range g.tables {
		if err := t.create(g.conn, g.hooked); err != nil {
			return err
		}
		if err := t.guard(g.conn, g.addresses()); err != nil {
			return err
		}
		if err := t.open(g.conn, g.opened, g.window, g.able.wall); err != nil {
			return err
		}
	}
	return g.commit()
}

func (g *nft) addresses() []netip.Addr {
	var out []netip.Addr
	for _, a := range sortGuarded(g.protected) {
		out = append(out, a.Addr)
	}
	return out
}

// present are the devices of protected addresses that exist now.
func (g *nft) present() []string {
	var out []string
	for _, device := range g.protected {
		if device != "" && !slices.Contains(out, device) && g.exists(device) {
			out = append(out, device)
		}
	}
	slices.Sort(out)
	return out
}

func (g *nft) exists(device string) bool {
	if g.netns != 0 {
		return existsIn(g.netns, device)
	}
	_, err := net.InterfaceByName(device)
	return err == nil
}

// Protect implements [Gate].
func (g *nft) Protect(addr netip.Addr, device string) error {
	if old, ok := g.protected[addr]; ok && old == device && slices.Equal(g.hooked, g.present()) {
		return nil
	}
	g.protected[addr] = device
	return g.wrap("protect "+addr.String(), g.rebuild())
}

// Unprotect implements [Gate].
func (g *nft) Unprotect(addrs ...netip.Addr) error {
	n := len(g.protected)
	for _, a := range addrs {
		delete(g.protected, a)
		g.opened = slices.DeleteFunc(slices.Clone(g.opened), func(b netip.Addr) bool { return a == b })
	}
	if len(g.protected) == n {
		return nil
	}
	return g.wrap("unprotect", g.rebuild())
}

// rebuild writes the tables anew, with what is open for what is left of its
// window. Go's monotonic clock and the kernel's time-outs both stand while the
// machine is suspended; the wall-clock limit stays as it was.
func (g *nft) rebuild() error {
	if !g.window.Forever && len(g.opened) > 0 {
		now := time.Now()
		g.window.Timeout -= now.Sub(g.openedAt)
		g.openedAt = now
		if g.window.Timeout < time.Millisecond {
			g.opened = nil
		}
	}
	return g.build()
}

// Open implements [Gate].
func (g *nft) Open(addrs []netip.Addr, w Window) error {
	g.openedAt = time.Now()
	if !w.Forever {
		w.Timeout -= kernelTick
		if w.Timeout < time.Millisecond {
			addrs = nil
		}
	}
	g.opened, g.window = nil, w
	for _, a := range addrs {
		if _, ok := g.protected[a]; ok {
			g.opened = append(g.opened, a)
		}
	}
	return g.wrap("open", g.lost(g.renew(g.opened, w)))
}

// Close implements [Gate].
func (g *nft) Close() error { return g.Open(nil, Window{}) }

// lost builds the gate again if it is gone.
func (g *nft) lost(err error) error {
	if err == nil || !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	g.opened, g.window = nil, Window{}
	if err := g.build(); err != nil {
		return err
	}
	return ErrRebuilt
}

func (g *nft) wrap(act string, err error) error {
	if err == nil || errors.Is(err, ErrRebuilt) {
		return err
	}
	return message.New(message.GateFailed, act, err)
}

// Protected implements [Gate].
func (g *nft) Protected() []Guarded { return sortGuarded(g.protected) }

// Reset implements [Gate].
func (g *nft) Reset() error {
	for _, t := range g.tables {
		g.conn.AddTable(t.nft) // so that deleting can't fail
		g.conn.DelTable(t.nft)
	}
	err := g.commit()
	clear(g.protected)
	g.opened, g.tables, g.hooked = nil, nil, nil
	return errors.Join(g.wrap("reset", err), g.conn.CloseLasting())
}

// Describe implements [Gate].
func (g *nft) Describe() Description {
	d := Description{
		Name: "nftables table " + g.name, KernelTimeout: true,
		ARP: g.able.arp, RawFrames: g.able.netdev, WallClock: g.able.wall,
	}
	if !g.able.netdev {
		d.Weaker = append(d.Weaker, message.New(message.GateReduced, "netdev egress hook"))
	}
	if !g.able.arp {
		d.Weaker = append(d.Weaker, message.New(message.GateReduced, "ARP family"))
	}
	if !g.able.wall {
		d.Weaker = append(d.Weaker, message.New(message.GateReduced, "wall-clock match"))
	}
	for _, a := range sortGuarded(g.protected) {
		if g.able.netdev && a.Device != "" && !slices.Contains(g.hooked, a.Device) {
			d.Weaker = append(d.Weaker, message.New(message.GateReduced, "device "+a.Device))
		}
	}
	return d
}
