package ip

import (
	"context"
	"errors"
	"net/netip"
	"slices"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// Check implements [kit.Resource].
func (r *IP) Check(ctx context.Context, depth kit.Depth) kit.Health {
	s := r.current()
	if s == nil {
		return r.absent()
	}
	h := r.look(s)
	if depth == kit.Light || !h.Status.Serving() {
		return h
	}
	if g := r.askGateway(ctx, s.device(), true); g.Status != cluster.InService {
		return g
	}
	return h
}

// look says how the address is, from the kernel and from what the service has
// seen on the wire.
func (r *IP) look(s *service) kit.Health {
	l := s.device()
	links, err := r.net.Links()
	if err != nil {
		return kit.Because(cluster.Unknown, message.NetworkUnknown, err.Error())
	}
	present, err := r.present()
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	i := slices.IndexFunc(links, func(x link) bool { return x.Index == l.Index })
	if i < 0 {
		return kit.Because(cluster.Failed, message.DeviceMissing, l.Name)
	}
	at := slices.IndexFunc(present, func(a address) bool { return a.Index == l.Index })
	switch {
	case at < 0:
		return kit.Because(cluster.Failed, message.AddressGone, r.addr, l.Name)
	case present[at].Duplicate:
		return kit.Because(cluster.Failed, message.AddressRefused, r.addr, l.Name)
	case !links[i].Up:
		return kit.Because(cluster.Failed, message.DeviceDown, l.Name)
	case !links[i].Carrier:
		return kit.Because(cluster.Failed, message.NoCarrier, l.Name)
	}
	return s.seen()
}

// absent says how things are while the address isn't in service by us.
func (r *IP) absent() kit.Health {
	present, err := r.present()
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	if len(present) > 0 {
		return kit.Because(cluster.Failed, message.AddressForeign, r.addr)
	}
	return kit.Because(cluster.OutOfService, message.AddressAbsent, r.addr)
}

// Ready implements [kit.Standby].
func (r *IP) Ready(ctx context.Context) kit.Health {
	if err := r.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if h := r.absent(); h.Status != cluster.OutOfService {
		return h
	}
	_, links, err := r.place()
	if err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	l, err := usableLink(links)
	if err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if g := r.askGateway(ctx, l, false); g.Status != cluster.InService {
		return g
	}
	return kit.Health{Status: cluster.OutOfService}
}

// Validate implements [kit.Validator].
func (r *IP) Validate(context.Context) error {
	_, links, err := r.place()
	if err != nil {
		return err
	}
	for _, name := range r.in.Values.List("devices") {
		if !slices.ContainsFunc(links, func(l link) bool { return l.Name == name }) {
			return message.New(message.DeviceMissing, name)
		}
	}
	for _, l := range links {
		if !l.Up {
			return message.New(message.DeviceDown, l.Name)
		}
		if !l.Frames {
			continue
		}
		if err := r.net.Send(l); err != nil && !errors.Is(err, errors.ErrUnsupported) {
			return message.New(message.FramesRefused, l.Name, err.Error()).Wrap(err)
		}
	}
	return nil
}

// askGateway asks whether the gateway answers. serving says that our address
// may be named as the sender.
func (r *IP) askGateway(ctx context.Context, l link, serving bool) kit.Health {
	g := r.in.Values.Address("gateway")
	if !g.IsValid() || !l.Frames {
		return kit.Healthy
	}
	src := r.addr
	if !serving {
		src = r.ownAddress(l, g)
	}
	question := ndpRequest(l.MAC, src, g)
	switch {
	case g.Is4():
		question = arpRequest(l.MAC, src, g)
	case src.IsUnspecified():
		question = ndpProbe(l.MAC, g)
	}
	who, err := ask(ctx, r.net, l, question, g, nil, gatewayWait, false)
	switch {
	case errors.Is(err, errors.ErrUnsupported):
		return kit.Healthy
	case err != nil:
		return kit.Because(cluster.Unknown, message.FramesRefused, l.Name, err.Error())
	case who != nil:
		return kit.Healthy
	case ctx.Err() != nil:
		return kit.Because(cluster.Unknown, message.GatewaySilent, g, l.Name)
	case r.in.Values.Text("gateway.silent") == "failed":
		return kit.Because(cluster.Failed, message.GatewaySilent, g, l.Name)
	}
	return kit.Because(cluster.Degraded, message.GatewaySilent, g, l.Name)
}

// ownAddress is another address of this node on the device that the gateway can
// answer to; none makes the question a probe, which claims no address.
func (r *IP) ownAddress(l link, g netip.Addr) netip.Addr {
	none := netip.IPv6Unspecified()
	if g.Is4() {
		none = netip.IPv4Unspecified()
	}
	all, err := r.net.Addresses()
	if err != nil {
		return none
	}
	for _, a := range all {
		if a.Index == l.Index && a.Prefix.Addr() != r.addr && a.Prefix.Contains(g) && !a.Tentative && !a.Duplicate {
			return a.Prefix.Addr()
		}
	}
	return none
}
