package ip

import (
	"context"
	"errors"
	"fmt"
	"net"
	"net/netip"
	"slices"

	"github.com/perdure-ha/perdure/internal/kit"
)

// windows changes addresses through netsh. The system itself looks for a
// duplicate and announces an address that is added; frames of our own are not
// sent.
type windows struct{ run kit.Runner }

func system(r kit.Runner) network { return windows{r} }

func (windows) Links() ([]link, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network devices: %w", err)
	}
	links := make([]link, len(all))
	for i, x := range all {
		links[i] = link{Name: x.Name, Index: x.Index, MAC: x.HardwareAddr,
			Up: x.Flags&net.FlagUp != 0, Carrier: x.Flags&net.FlagRunning != 0,
			Frames: x.Flags&net.FlagBroadcast != 0 && len(x.HardwareAddr) == macLength}
	}
	return links, nil
}

func (w windows) Addresses() ([]address, error) {
	all, err := net.Interfaces()
	if err != nil {
		return nil, fmt.Errorf("list network devices: %w", err)
	}
	var found []address
	for _, x := range all {
		addrs, err := x.Addrs()
		if err != nil {
			return nil, fmt.Errorf("list the addresses of %s: %w", x.Name, err)
		}
		for _, a := range addrs {
			n, ok := a.(*net.IPNet)
			if !ok {
				continue
			}
			ip, ok := netip.AddrFromSlice(n.IP)
			if !ok {
				continue
			}
			bits, _ := n.Mask.Size()
			found = append(found, address{Prefix: netip.PrefixFrom(ip.Unmap(), bits), Index: x.Index})
		}
	}
	return found, nil
}

func (w windows) has(l link, a netip.Addr) bool {
	all, err := w.Addresses()
	return err == nil && slices.ContainsFunc(all, func(x address) bool { return x.Index == l.Index && x.Prefix.Addr() == a })
}

func (w windows) Add(ctx context.Context, l link, p netip.Prefix, _ bool) error {
	if w.has(l, p.Addr()) {
		return nil
	}
	return w.command(ctx, "add", netshAdd(l.Name, p))
}

func (w windows) Delete(ctx context.Context, l link, p netip.Prefix) error {
	if !w.has(l, p.Addr()) {
		return nil
	}
	return w.command(ctx, "delete", netshDelete(l.Name, p))
}

func (w windows) command(ctx context.Context, action string, argv []string) error {
	r, err := w.run.Run(ctx, kit.Command{Action: action, Argv: argv})
	if err == nil && r.ExitCode != 0 {
		err = r.Failed()
	}
	return err
}

// Changes reports none: the check interval finds them.
func (windows) Changes(ctx context.Context, ready, _ func()) error {
	ready()
	<-ctx.Done()
	return nil
}

// Send does nothing: the system announces what it adds.
func (windows) Send(link, ...[]byte) error { return nil }

func (windows) Listen(context.Context, link, bool, func(), func([]byte)) error {
	return errors.ErrUnsupported
}
