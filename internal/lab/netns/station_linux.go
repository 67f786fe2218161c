package netns

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"

	"github.com/perdure-ha/perdure/internal/lab/client"
	"github.com/perdure-ha/perdure/internal/lab/outside"
	"github.com/perdure-ha/perdure/internal/lab/space"
)

// lookFromOutside makes the outside client and the prober.
func (l *Lab) lookFromOutside() (err error) {
	public := l.opts.Networks[0]
	var seen []outside.Node
	for i, n := range l.nodes {
		seen = append(seen, outside.Node{Name: n.Name, MAC: mac(0, n.host),
			Probe: l.opts.ip(0, hostProbe+i), ProbeMAC: mac(0, hostProbe+i)})
	}
	l.outside, err = outside.New(outside.Config{
		Plug: func(s *space.Space, link *netlink.Handle, c outside.Cable) error {
			port := c.Port
			if port == outside.Client {
				port = portName(outside.Client, public)
			}
			return l.fabric.plug(s, link, cable{network: public, port: port, device: c.Device, mac: c.MAC, addrs: c.Addrs})
		},
		Service: l.Service(), ClientMAC: mac(0, hostOut), Nodes: seen,
		ClientAddrs: []netip.Prefix{netip.PrefixFrom(ip4(0, hostOut), 24), netip.PrefixFrom(ip6(0, hostOut), 64)},
	})
	return err
}

// Dial connects to the service from outside, as anybody would.
func (l *Lab) Dial(ctx context.Context) (net.Conn, error) { return l.outside.Dial(ctx) }

// Doors lead to the service's address on each node, past address resolution
// and past every cut.
func (l *Lab) Doors() []client.Door { return l.outside.Doors() }

// WatchARP asks every node alone for the service's address until ctx ends.
func (l *Lab) WatchARP(ctx context.Context, clock client.Clock, interval time.Duration, claim func(client.Reply)) error {
	return l.outside.WatchARP(ctx, clock, interval, claim)
}
