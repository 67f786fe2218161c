package cli

import (
	"context"
	"net"
	"net/netip"
	"slices"
	"strings"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/commpath"
	"github.com/perdure-ha/perdure/internal/message"
)

type pathCmd struct {
	List pathListCmd `cmd:"" help:"List this node's comm paths with their counters."`
	Set  pathSetCmd  `cmd:"" help:"Set a node's ends of its comm paths: NETWORK=ADDRESS[:PORT] …"`
}

type pathListCmd struct{}

func (pathListCmd) Run(ctx context.Context, a *app) error {
	v, err := a.client().View(ctx)
	if err != nil {
		return err
	}
	if a.JSON {
		return a.printJSON(v.Local.Paths)
	}
	s := statusPage{app: a, w: a.term.Out, v: &v}
	if len(v.Local.Paths) == 0 {
		a.printf("%s\n", a.label("no comm path to another node", "他ノードへのコミュニケーションパスはありません"))
		return nil
	}
	s.pathTable("")
	return nil
}

type pathSetCmd struct {
	Paths []string `arg:"" name:"network=address" help:"All of them; the same network name belongs together on all nodes."`
	Node  string   `help:"Node; default: this one." placeholder:"NODE"`
}

func (c pathSetCmd) Run(ctx context.Context, a *app) error {
	paths, err := readPaths(c.Paths)
	if err != nil {
		return err
	}
	name := c.Node
	if name == "" {
		v, err := a.client().View(ctx)
		if err != nil {
			return err
		}
		name = v.State.NodeName(v.Report.Self)
	}
	d, err := a.client().SetPaths(ctx, name, paths)
	return a.done(ctx, d, err, message.AskedChange, name)
}

// readPaths reads NETWORK=ADDRESS[:PORT] words. The first has the highest
// priority.
func readPaths(words []string) ([]cluster.Path, error) {
	var out []cluster.Path
	for i, w := range words {
		network, address, ok := strings.Cut(w, "=")
		if !ok || network == "" {
			return nil, message.New(message.PathWord, w)
		}
		ap, err := netip.ParseAddrPort(address)
		if err != nil {
			addr, err := netip.ParseAddr(strings.Trim(address, "[]"))
			if err != nil {
				return nil, message.New(message.PathAddressBad, network, address)
			}
			ap = netip.AddrPortFrom(addr, commpath.DefaultPort)
		}
		out = append(out, cluster.Path{Network: network, Address: ap.String(), Priority: i + 1})
	}
	return out, nil
}

// foreign are the beginnings of names of interfaces that belong to containers
// and virtual machines on this machine, not to a network between machines.
var foreign = []string{"docker", "veth", "br-", "virbr", "cni", "flannel", "cali", "tailscale", "wg", "tun", "tap", "lxc", "podman", "vnet"}

// ownPaths proposes comm paths when none were given: the first address of each
// interface that looks like a network between machines. The network is named
// for its prefix, so that two nodes on it agree without being told.
func ownPaths() []cluster.Path {
	all, err := net.Interfaces()
	if err != nil {
		return nil
	}
	var out []cluster.Path
	for _, nic := range all {
		if nic.Flags&net.FlagUp == 0 || nic.Flags&(net.FlagLoopback|net.FlagPointToPoint) != 0 ||
			slices.ContainsFunc(foreign, func(p string) bool { return strings.HasPrefix(nic.Name, p) }) {
			continue
		}
		addrs, err := nic.Addrs()
		if err != nil {
			continue
		}
		if p, ok := firstPath(addrs); ok && !slices.ContainsFunc(out, func(o cluster.Path) bool { return o.Network == p.Network }) {
			p.Priority = len(out) + 1
			out = append(out, p)
		}
	}
	return out
}

// firstPath takes the first IPv4 address, or else the first global IPv6 one.
func firstPath(addrs []net.Addr) (cluster.Path, bool) {
	var best netip.Prefix
	for _, a := range addrs {
		p, err := netip.ParsePrefix(a.String())
		if err != nil || !p.Addr().IsGlobalUnicast() || p.IsSingleIP() {
			continue
		}
		if !best.IsValid() || p.Addr().Is4() && !best.Addr().Is4() {
			best = p
		}
	}
	if !best.IsValid() {
		return cluster.Path{}, false
	}
	return cluster.Path{
		Network: networkName(best),
		Address: netip.AddrPortFrom(best.Addr(), commpath.DefaultPort).String(),
	}, true
}

// networkName writes a prefix as a name: 10-0-0-0-24.
func networkName(p netip.Prefix) string {
	s := strings.NewReplacer(".", "-", ":", "-", "/", "-").Replace(p.Masked().String())
	for strings.Contains(s, "--") {
		s = strings.ReplaceAll(s, "--", "-")
	}
	return strings.Trim(s, "-")
}
