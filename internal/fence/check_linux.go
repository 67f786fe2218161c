package fence

import (
	"encoding/binary"
	"errors"
	"fmt"
	"io/fs"
	"net/netip"
	"slices"
	"strings"
	"time"

	"github.com/google/nftables"
	"github.com/mdlayher/netlink"
	rtnetlink "github.com/vishvananda/netlink"
	"github.com/vishvananda/netns"
	"golang.org/x/sys/unix"
)

// takeOver reads what an earlier process of this instance left in the kernel.
func (g *nft) takeOver(keepOpen bool) error {
	devices, err := g.leftDevices()
	if err != nil {
		return err
	}
	old := newTable(nftables.TableFamilyINet, g.name)
	for _, s := range old.sets() {
		addrs, err := g.elements(s)
		if err != nil {
			return err
		}
		for _, a := range addrs {
			switch s {
			case old.open4, old.open6:
				if keepOpen {
					g.opened = append(g.opened, a)
				}
			default:
				// Which device carried it is known if there is only one.
				g.protected[a] = ""
				if len(devices) == 1 {
					g.protected[a] = devices[0]
				}
			}
		}
	}
	if keepOpen {
		g.window = Window{Forever: true}
	}
	return nil
}

// leftDevices are the devices with chains of this instance.
func (g *nft) leftDevices() ([]string, error) {
	chains, err := g.conn.ListChainsOfTableFamily(nftables.TableFamilyNetdev)
	if errors.Is(err, fs.ErrNotExist) {
		return nil, nil
	}
	if err != nil {
		return nil, fmt.Errorf("list nftables chains: %w", err)
	}
	var out []string
	for _, c := range chains {
		if d, ok := strings.CutPrefix(c.Name, "in-"); ok && c.Table.Name == g.name {
			out = append(out, d)
		}
	}
	return out, nil
}

// elements are the addresses of a set; none if there is no such set.
func (g *nft) elements(s *nftables.Set) ([]netip.Addr, error) {
	elements, err := g.conn.GetSetElements(s)
	if errors.Is(err, fs.ErrNotExist) || isMissing(err) {
		return nil, g.dial()
	}
	if err != nil {
		return nil, fmt.Errorf("read nftables set %s of %s: %w", s.Name, s.Table.Name, err)
	}
	var out []netip.Addr
	for _, e := range elements {
		if a, ok := netip.AddrFromSlice(e.Key); ok {
			out = append(out, a)
		}
	}
	slices.SortFunc(out, netip.Addr.Compare)
	return out, nil
}

// isMissing: the library formats some of the kernel's errors without wrapping.
func isMissing(err error) bool {
	return err != nil && strings.Contains(err.Error(), "no such file or directory")
}

// Check implements [Gate]. It compares what is in the kernel with what should
// be, because a renewal only notices when a set or a chain is gone, and not when
// the rules are.
func (g *nft) Check() error {
	if g.able.netdev && !slices.Equal(g.present(), g.hooked) { // a device came or went
		return g.wrap("check", g.rebuild())
	}
	now, err := g.rulesetGeneration()
	if err == nil && now == g.generation+g.commits {
		return nil // nobody but this gate changed anything
	}
	whole, err := g.whole()
	if err != nil {
		return g.wrap("check", errors.Join(err, g.dial()))
	}
	if whole {
		g.generation, g.commits = now, 0
		return nil
	}
	if !g.window.Forever {
		g.opened = nil
	}
	if err := g.build(); err != nil {
		return g.wrap("check", err)
	}
	return ErrRebuilt
}

// rulesetGeneration is the number that the kernel raises with every change of
// any table of this network namespace.
func (g *nft) rulesetGeneration() (uint32, error) {
	_ = g.socket.SetDeadline(time.Now().Add(netlinkDeadline))
	reply, err := g.socket.Execute(netlink.Message{
		Header: netlink.Header{Type: unix.NFNL_SUBSYS_NFTABLES<<8 | unix.NFT_MSG_GETGEN, Flags: netlink.Request},
		Data:   make([]byte, 4), // struct nfgenmsg: any family
	})
	if err != nil {
		return 0, err
	}
	for _, m := range reply {
		if len(m.Data) < 4 {
			continue
		}
		d, err := netlink.NewAttributeDecoder(m.Data[4:])
		if err != nil {
			return 0, err
		}
		d.ByteOrder = binary.BigEndian
		for d.Next() {
			if d.Type() == unix.NFTA_GEN_ID {
				return d.Uint32(), d.Err()
			}
		}
	}
	return 0, errors.New("the kernel didn't say the ruleset's generation")
}

func (g *nft) whole() (bool, error) {
	for _, t := range g.tables {
		for name, want := range t.chains {
			rules, err := g.conn.GetRules(t.nft, &nftables.Chain{Table: t.nft, Name: name})
			if errors.Is(err, fs.ErrNotExist) || isMissing(err) {
				return false, g.dial()
			}
			if err != nil {
				return false, fmt.Errorf("list the rules of %s: %w", name, err)
			}
			if len(rules) != want {
				return false, nil
			}
		}
		var guarded []netip.Addr
		for _, s := range []*nftables.Set{t.guarded4, t.guarded6} {
			if s == nil {
				continue
			}
			addrs, err := g.elements(s)
			if err != nil {
				return false, err
			}
			guarded = append(guarded, addrs...)
		}
		want := slices.DeleteFunc(g.addresses(), func(a netip.Addr) bool { return a.Is6() && t.guarded6 == nil })
		slices.SortFunc(guarded, netip.Addr.Compare)
		if !slices.Equal(guarded, want) {
			return false, nil
		}
	}
	return true, nil
}

// existsIn reports whether a device exists in another network namespace.
func existsIn(ns int, device string) bool {
	h, err := rtnetlink.NewHandleAt(netns.NsHandle(ns))
	if err != nil {
		return false
	}
	defer h.Close()
	_, err = h.LinkByName(device)
	return err == nil
}
