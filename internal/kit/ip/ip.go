package ip

import (
	"context"
	"errors"
	"net"
	"net/netip"
	"slices"
	"sync"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/sockets"
)

// IP is one address on this node.
type IP struct {
	in   kit.Instance
	net  network
	addr netip.Addr
	feed kit.Feed

	mu      sync.Mutex
	service *service // nil: out of service as far as we know
}

func newIP(in kit.Instance, n network) *IP {
	return &IP{in: in, net: n, addr: in.Values.Prefix("address").Addr()}
}

// Start implements [kit.Resource].
func (r *IP) Start(ctx context.Context, how cluster.Release) error {
	if adopted, err := r.Adopt(ctx); err != nil || adopted {
		return err
	}
	p, links, err := r.place()
	if err != nil {
		return err
	}
	if present, err := r.present(); err != nil {
		return err
	} else if len(present) > 0 {
		return message.New(message.AddressForeign, r.addr)
	}
	l, err := usableLink(links)
	if err != nil {
		return err
	}
	// After a confirmed release or an eviction the last owner is silent by
	// proof: the service must not wait for a question whose answer is known.
	if how == "" && r.in.Values.Bool("duplicate.check") {
		if err := r.refuseDuplicate(ctx, l); err != nil {
			return err
		}
	}
	if err := r.add(ctx, l, p); err != nil {
		return err
	}
	r.feed.Clear()
	r.serve(l)
	r.in.Log.Info("address is in service", "address", p.String(), "device", l.Name)
	return nil
}

// Stop implements [kit.Resource].
func (r *IP) Stop(ctx context.Context) error {
	defer r.endService()()
	links, err := r.net.Links()
	if err != nil {
		return message.New(message.NetworkUnknown, err.Error()).Wrap(err)
	}
	present, err := r.present()
	if err != nil {
		return err
	}
	for _, a := range present {
		i := slices.IndexFunc(links, func(l link) bool { return l.Index == a.Index })
		if i < 0 {
			continue
		}
		if err := r.net.Delete(ctx, links[i], a.Prefix); err != nil {
			return message.New(message.AddressDelFailed, a.Prefix.String(), links[i].Name, err.Error()).Wrap(err)
		}
	}
	if err := sockets.End(r.addr); err != nil {
		return message.New(message.NetworkUnknown, err.Error()).Wrap(err)
	}
	r.feed.Clear()
	return nil
}

// Close implements [kit.Resource]: the address stays.
func (r *IP) Close() error {
	r.endService()()
	return nil
}

// Adopt implements [kit.Adopter].
func (r *IP) Adopt(context.Context) (bool, error) {
	if r.current() != nil {
		return true, nil
	}
	present, err := r.present()
	if err != nil || len(present) == 0 {
		return false, err
	}
	_, links, err := r.place()
	if err != nil {
		return false, err
	}
	for _, l := range links {
		if slices.ContainsFunc(present, func(a address) bool { return a.Index == l.Index }) {
			r.feed.Clear()
			r.serve(l)
			r.in.Log.Info("address was adopted", "address", r.addr.String(), "device", l.Name)
			return true, nil
		}
	}
	return false, nil
}

// Announce implements [kit.Announcer].
func (r *IP) Announce() {
	if s := r.current(); s != nil {
		s.announceAgain()
	}
}

// Watch implements [kit.Watcher].
func (r *IP) Watch(ctx context.Context, report func(kit.Event)) error {
	return r.feed.Watch(ctx, report)
}

// Addresses implements [kit.Guarded].
func (r *IP) Addresses() ([]kit.GuardedAddress, error) {
	p, links, err := r.place()
	if err != nil {
		return nil, err
	}
	all := make([]kit.GuardedAddress, len(links))
	for i, l := range links {
		all[i] = kit.GuardedAddress{Prefix: p, Device: l.Name}
	}
	return all, nil
}

// Cgroup implements [kit.Guarded]: nothing runs for an address.
func (r *IP) Cgroup() string { return "" }

// place is the address with the length of its network, and the devices where it
// may be, the preferred first. Devices that don't exist are left out as long as
// there is one.
func (r *IP) place() (netip.Prefix, []link, error) {
	p := r.in.Values.Prefix("address")
	links, err := r.net.Links()
	if err != nil {
		return p, nil, message.New(message.NetworkUnknown, err.Error()).Wrap(err)
	}
	all, err := r.net.Addresses()
	if err != nil {
		return p, nil, message.New(message.NetworkUnknown, err.Error()).Wrap(err)
	}
	var chosen []link
	names := r.in.Values.List("devices")
	for _, name := range names {
		if i := slices.IndexFunc(links, func(l link) bool { return l.Name == name }); i >= 0 {
			chosen = append(chosen, links[i])
		}
	}
	if len(names) > 0 && len(chosen) == 0 {
		return p, nil, message.New(message.DeviceMissing, names[0])
	}
	home, found := r.homeNetwork(all, chosen)
	if !kit.HasLength(r.in.Values.Text("address")) && found {
		p = netip.PrefixFrom(p.Addr(), home.Prefix.Bits())
	}
	if len(chosen) > 0 {
		return p, chosen, nil
	}
	i := slices.IndexFunc(links, func(l link) bool { return found && l.Index == home.Index })
	if i < 0 {
		return p, nil, message.New(message.NoDeviceForAddress, p.Addr())
	}
	return p, links[i : i+1], nil
}

// homeNetwork finds an address of this node, on one of the devices if there are
// any, in whose network ours is; the narrowest network counts.
func (r *IP) homeNetwork(all []address, on []link) (address, bool) {
	var home address
	found := false
	for _, a := range all {
		if a.Prefix.Addr() == r.addr || a.Prefix.IsSingleIP() || !a.Prefix.Contains(r.addr) {
			continue
		}
		if len(on) > 0 && !slices.ContainsFunc(on, func(l link) bool { return l.Index == a.Index }) {
			continue
		}
		if !found || a.Prefix.Bits() > home.Prefix.Bits() {
			home, found = a, true
		}
	}
	return home, found
}

// usableLink is the first device with a signal.
func usableLink(links []link) (link, error) {
	for _, l := range links {
		if l.Up && l.Carrier {
			return l, nil
		}
	}
	if !links[0].Up {
		return link{}, message.New(message.DeviceDown, links[0].Name)
	}
	return link{}, message.New(message.NoCarrier, links[0].Name)
}

// add puts the address on a device. It makes a route to the network only where
// none comes from another address: two would compete.
func (r *IP) add(ctx context.Context, l link, p netip.Prefix) error {
	all, err := r.net.Addresses()
	if err != nil {
		return message.New(message.NetworkUnknown, err.Error()).Wrap(err)
	}
	_, routed := r.homeNetwork(all, []link{l})
	if err := r.net.Add(ctx, l, p, !routed); err != nil {
		return message.New(message.AddressAddFailed, p.String(), l.Name, err.Error()).Wrap(err)
	}
	return nil
}

// present lists where on this node the address is.
func (r *IP) present() ([]address, error) {
	all, err := r.net.Addresses()
	if err != nil {
		return nil, message.New(message.NetworkUnknown, err.Error()).Wrap(err)
	}
	return slices.DeleteFunc(all, func(a address) bool { return a.Prefix.Addr() != r.addr }), nil
}

// ours lists the hardware addresses of this node: what they send is no
// conflict.
func ours(links []link) []net.HardwareAddr {
	var all []net.HardwareAddr
	for _, l := range links {
		if len(l.MAC) == macLength {
			all = append(all, l.MAC)
		}
	}
	return all
}

func (r *IP) refuseDuplicate(ctx context.Context, l link) error {
	if !l.Frames {
		return nil
	}
	links, err := r.net.Links()
	if err != nil {
		return message.New(message.NetworkUnknown, err.Error()).Wrap(err)
	}
	question := ndpProbe(l.MAC, r.addr)
	if r.addr.Is4() {
		question = arpProbe(l.MAC, r.addr)
	}
	who, err := ask(ctx, r.net, l, question, r.addr, ours(links), r.in.Values.Duration("duplicate.wait"), true)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return nil // the system itself asks when the address is added
	case err != nil:
		return message.New(message.FramesRefused, l.Name, err.Error()).Wrap(err)
	case who != nil:
		return message.New(message.AddressTaken, r.addr, who.String(), l.Name)
	case ctx.Err() != nil:
		return message.New(message.FramesRefused, l.Name, ctx.Err().Error()).Wrap(ctx.Err())
	}
	return nil
}

func (r *IP) current() *service {
	r.mu.Lock()
	defer r.mu.Unlock()
	return r.service
}

// gatewayWait bounds the wait for the gateway's answer; it is asked three
// times.
const gatewayWait = time.Second
