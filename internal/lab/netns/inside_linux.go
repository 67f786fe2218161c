package netns

import (
	"context"
	"net"
	"net/netip"
	"time"

	"github.com/vishvananda/netlink"
)

// Inside is what a look into a node shows, past perdure and past the gate.
type Inside struct {
	On bool `json:"on"`
	// Address reports whether the service's address is on a device.
	Address bool `json:"address"`
	// Accepts reports whether a connection to the service is accepted on the
	// node itself; a frozen server's kernel does so.
	Accepts bool `json:"accepts"`
}

// LookInside looks into a node. It bounds the wait for a connection to 50 ms.
func (n *Node) LookInside(ctx context.Context) (Inside, error) {
	n.mu.Lock()
	space, link := n.space, n.link
	n.mu.Unlock()
	if space == nil {
		return Inside{}, nil
	}
	in := Inside{On: true}
	addrs, err := link.AddrList(nil, netlink.FAMILY_ALL)
	if err != nil {
		return in, err
	}
	for _, a := range addrs {
		in.Address = in.Address || a.IP.Equal(n.lab.VIP().Addr().AsSlice())
	}
	if !in.Address {
		return in, nil
	}
	ctx, cancel := context.WithTimeout(ctx, 50*time.Millisecond)
	defer cancel()
	if conn, err := space.Dial(ctx, "", n.lab.Service()); err == nil {
		conn.Close()
		in.Accepts = true
	}
	return in, nil
}

// Dial connects to the service's port on the node itself, from within.
func (n *Node) Dial(ctx context.Context) (net.Conn, error) {
	n.mu.Lock()
	space := n.space
	n.mu.Unlock()
	if space == nil {
		return nil, errOff
	}
	return space.Dial(ctx, "", netip.AddrPortFrom(n.Addr(n.lab.opts.Networks[0]), n.lab.opts.Port))
}
