package ip

import (
	"context"
	"errors"
	"fmt"
	"math"
	"net"
	"net/netip"
	"sync"

	"github.com/vishvananda/netlink"
	"github.com/vishvananda/netlink/nl"
	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/kit"
)

// kernel is the network of the namespace that the calling thread is in at its
// first use, which is that of the process.
type kernel struct {
	// sender sends on every device and is never closed: closing a packet socket
	// waits for every processor, about 15 ms that an announcement must not cost.
	sender func() (int, error)
}

func newKernel() *kernel {
	return &kernel{sender: sync.OnceValues(func() (int, error) { return packetSocket(link{Name: "any device"}, 0, nil) })}
}

var host = newKernel()

func system(kit.Runner) network { return host }

// dumpTries bounds the repetition of a listing that changed under way: what
// the kernel returns then may lack entries.
const dumpTries = 5

func dump[T any](list func() ([]T, error)) ([]T, error) {
	for try := 1; ; try++ {
		all, err := list()
		if errors.Is(err, netlink.ErrDumpInterrupted) && try < dumpTries {
			continue
		}
		return all, err
	}
}

func (*kernel) Links() ([]link, error) {
	all, err := dump(netlink.LinkList)
	if err != nil {
		return nil, fmt.Errorf("list network devices: %w", err)
	}
	links := make([]link, len(all))
	for i, x := range all {
		a := x.Attrs()
		links[i] = link{Name: a.Name, Index: a.Index, MAC: a.HardwareAddr,
			Up:      a.RawFlags&unix.IFF_UP != 0,
			Carrier: a.RawFlags&unix.IFF_LOWER_UP != 0,
			Frames:  a.EncapType == "ether" && a.RawFlags&(unix.IFF_NOARP|unix.IFF_LOOPBACK) == 0 && len(a.HardwareAddr) == macLength,
		}
	}
	return links, nil
}

func (*kernel) Addresses() ([]address, error) {
	all, err := dump(func() ([]netlink.Addr, error) { return netlink.AddrList(nil, netlink.FAMILY_ALL) })
	if err != nil {
		return nil, fmt.Errorf("list addresses: %w", err)
	}
	found := make([]address, 0, len(all))
	for _, a := range all {
		ip, ok := netip.AddrFromSlice(a.IP)
		if !ok {
			continue
		}
		bits, _ := a.Mask.Size()
		found = append(found, address{Prefix: netip.PrefixFrom(ip.Unmap(), bits), Index: a.LinkIndex,
			Duplicate: a.Flags&unix.IFA_F_DADFAILED != 0, Tentative: a.Flags&unix.IFA_F_TENTATIVE != 0})
	}
	return found, nil
}

func (*kernel) Add(_ context.Context, l link, p netip.Prefix, prefixRoute bool) error {
	a := &netlink.Addr{IPNet: ipNet(p)}
	if !prefixRoute {
		a.Flags |= unix.IFA_F_NOPREFIXROUTE
	}
	if p.Addr().Is6() {
		// We have asked ourselves, or know by proof that nobody has it: the
		// kernel's own question would keep it silent for a second or two.
		a.Flags |= unix.IFA_F_NODAD
		// Deprecated, it is not chosen for this node's own connections, which
		// would break when it moves.
		forever := int64(math.MaxUint32)
		a.ValidLft, a.PreferedLft = int(forever), 0
	}
	err := netlink.AddrAdd(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}, a)
	if errors.Is(err, unix.EEXIST) {
		return nil
	}
	return err
}

func (*kernel) Delete(_ context.Context, l link, p netip.Prefix) error {
	err := netlink.AddrDel(&netlink.Device{LinkAttrs: netlink.LinkAttrs{Index: l.Index}}, &netlink.Addr{IPNet: ipNet(p)})
	if errors.Is(err, unix.EADDRNOTAVAIL) || errors.Is(err, unix.ENODEV) {
		return nil
	}
	return err
}

func ipNet(p netip.Prefix) *net.IPNet {
	return &net.IPNet{IP: p.Addr().AsSlice(), Mask: net.CIDRMask(p.Bits(), p.Addr().BitLen())}
}

// Changes only says that something changed; whoever hears it looks again. So
// a lost message costs nothing as long as one more comes, and an overflow is
// reported as a change.
func (*kernel) Changes(ctx context.Context, ready, changed func()) error {
	s, err := nl.Subscribe(unix.NETLINK_ROUTE, unix.RTNLGRP_LINK, unix.RTNLGRP_IPV4_IFADDR, unix.RTNLGRP_IPV6_IFADDR)
	if err != nil {
		return fmt.Errorf("subscribe to network changes: %w", err)
	}
	stop := context.AfterFunc(ctx, s.Close)
	defer func() {
		if stop() {
			s.Close()
		}
	}()
	ready()
	for {
		_, _, err := s.Receive()
		if ctx.Err() != nil {
			return nil
		}
		if err != nil && !errors.Is(err, unix.ENOBUFS) && !errors.Is(err, unix.EINTR) {
			return fmt.Errorf("receive network changes: %w", err)
		}
		changed()
	}
}
