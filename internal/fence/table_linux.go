package fence

import (
	"net/netip"

	"github.com/google/nftables"
	"github.com/google/nftables/expr"
)

// table is the gate in one nftables family. Sets belong to a table, so each
// family has its own.
//
// netdev sees every frame of a device, also those of programs that send raw
// frames, and needs a device. arp and inet see the kernel's own stack on all
// devices: a second line, and the first where there is no egress hook or the
// device is gone.
type table struct {
	nft                *nftables.Table
	guarded4, guarded6 *nftables.Set
	open4, open6       *nftables.Set
	late               *nftables.Chain
	chains             map[string]int // rules in each
}

const lateChain = "late"

// Priorities: before everything that rewrites addresses on the way in (raw is
// −300, destination NAT −100), and after it on the way out (source NAT is 100),
// so that the service address is seen as clients know it.
var (
	firstPriority = nftables.ChainPriorityRef(-310)
	lastPriority  = nftables.ChainPriorityRef(310)
)

func newTable(family nftables.TableFamily, name string) *table {
	t := &nftables.Table{Family: family, Name: name}
	// Rules find a set of the same transaction by its number, so numbers are
	// unique over the families. (The library's own numbers come from a counter
	// that isn't safe for concurrent use.)
	number := uint32(family) << 8
	set := func(name string, of nftables.SetDatatype, timeout bool) *nftables.Set {
		number++
		return &nftables.Set{Table: t, ID: number, Name: name, KeyType: of, HasTimeout: timeout}
	}
	out := &table{
		nft:      t,
		guarded4: set("guarded4", nftables.TypeIPAddr, false),
		open4:    set("open4", nftables.TypeIPAddr, true),
		late:     &nftables.Chain{Table: t, Name: lateChain},
		chains:   map[string]int{},
	}
	if family != nftables.TableFamilyARP {
		out.guarded6 = set("guarded6", nftables.TypeIP6Addr, false)
		out.open6 = set("open6", nftables.TypeIP6Addr, true)
	}
	return out
}

func (t *table) sets() []*nftables.Set {
	if t.guarded6 == nil {
		return []*nftables.Set{t.guarded4, t.open4}
	}
	return []*nftables.Set{t.guarded4, t.open4, t.guarded6, t.open6}
}

// create writes the whole table anew in the batch. What was there before goes
// in the same transaction, so that no packet finds neither.
func (t *table) create(c *nftables.Conn, devices []string) error {
	c.AddTable(t.nft)
	c.DelTable(t.nft)
	c.AddTable(t.nft)
	for _, s := range t.sets() {
		if err := c.AddSet(s, nil); err != nil {
			return err
		}
	}
	c.AddChain(t.late)
	clear(t.chains)
	switch t.nft.Family {
	case nftables.TableFamilyNetdev:
		for _, d := range devices {
			t.createDevice(c, d)
		}
	case nftables.TableFamilyARP:
		t.chain(c, "in", nftables.ChainHookRef(0), firstPriority, "", incoming(t.nft.Family), nil)
		t.chain(c, "out", nftables.ChainHookRef(1), lastPriority, "", outgoing(t.nft.Family), nil)
	default:
		t.chain(c, "in", nftables.ChainHookPrerouting, firstPriority, "", incoming(t.nft.Family), notLoopback(expr.MetaKeyIIFTYPE))
		t.chain(c, "out", nftables.ChainHookPostrouting, lastPriority, "", outgoing(t.nft.Family), notLoopback(expr.MetaKeyOIFTYPE))
	}
	return nil
}

func (t *table) createDevice(c *nftables.Conn, device string) {
	t.chain(c, "in-"+device, nftables.ChainHookIngress, firstPriority, device, incoming(t.nft.Family), nil)
	t.chain(c, "out-"+device, nftables.ChainHookEgress, lastPriority, device, outgoing(t.nft.Family), nil)
}

func (t *table) chain(c *nftables.Conn, name string, hook *nftables.ChainHook, priority *nftables.ChainPriority,
	device string, matches []match, when []expr.Any) {
	accept := nftables.ChainPolicyAccept
	chain := c.AddChain(&nftables.Chain{
		Table: t.nft, Name: name, Type: nftables.ChainTypeFilter,
		Hooknum: hook, Priority: priority, Policy: &accept, Device: device,
	})
	for _, m := range matches {
		for _, exprs := range m.rules(t, when) {
			c.AddRule(&nftables.Rule{Table: t.nft, Chain: chain, Exprs: exprs})
			t.chains[name]++
		}
	}
}

// guard puts addresses behind the gate.
func (t *table) guard(c *nftables.Conn, addrs []netip.Addr) error {
	return t.add(c, t.guarded4, t.guarded6, addrs, Window{Forever: true})
}

// open replaces what is open, and the wall-clock deadline. A set is emptied and
// filled in one transaction: adding an element again does not renew its
// time-out, and deleting one that has just timed out would fail.
func (t *table) open(c *nftables.Conn, addrs []netip.Addr, w Window, wall bool) error {
	c.FlushSet(t.open4)
	if t.open6 != nil {
		c.FlushSet(t.open6)
	}
	c.FlushChain(t.late)
	if len(addrs) == 0 {
		return nil
	}
	if wall && !w.Forever && !w.Wall.IsZero() {
		c.AddRule(&nftables.Rule{Table: t.nft, Chain: t.late, Exprs: pastWall(w.Wall.UnixNano())})
	}
	return t.add(c, t.open4, t.open6, addrs, w)
}

func (t *table) add(c *nftables.Conn, s4, s6 *nftables.Set, addrs []netip.Addr, w Window) error {
	for _, s := range []*nftables.Set{s4, s6} {
		var elements []nftables.SetElement
		for _, a := range addrs {
			if s != nil && a.Is6() == (s == s6) {
				e := nftables.SetElement{Key: a.AsSlice()}
				if !w.Forever {
					e.Timeout = w.Timeout
				}
				elements = append(elements, e)
			}
		}
		if len(elements) == 0 {
			continue
		}
		if err := c.SetAddElements(s, elements); err != nil {
			return err
		}
	}
	return nil
}
