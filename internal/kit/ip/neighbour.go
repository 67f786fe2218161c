package ip

import (
	"bytes"
	"context"
	"net"
	"net/netip"
	"os"
	"strings"
	"time"
)

// announceAt is when an announcement is repeated, counted from the first: the
// early ones cover a lost frame, the late ones a switch that was still
// learning.
var announceAt = []time.Duration{0, 50 * time.Millisecond, 200 * time.Millisecond, time.Second}

func announcement(l link, a netip.Addr) [][]byte {
	if a.Is4() {
		return arpAnnounce(l.MAC, a)
	}
	return ndpAnnounce(l.MAC, a, isRouter(l.Name))
}

// isRouter keeps the router flag of an advertisement true: neighbours drop a
// router that says it is none.
func isRouter(device string) bool {
	b, err := os.ReadFile("/proc/sys/net/ipv6/conf/" + device + "/forwarding")
	return err == nil && strings.TrimSpace(string(b)) == "1"
}

// claimant finds who else says to have an address: the sender of a frame that
// isn't one of ours. asking also counts those that are about to claim it.
func claimant(frame []byte, a netip.Addr, ours []net.HardwareAddr, asking bool) net.HardwareAddr {
	var who net.HardwareAddr
	if a.Is4() {
		p, err := decodeARP(frame)
		if err != nil {
			return nil
		}
		if p.Sender == a || (asking && !p.Reply && p.Sender.IsUnspecified() && p.Target == a) {
			who = p.SenderMAC
		}
	} else {
		p, err := decodeNDP(frame)
		if err != nil || p.Target != a {
			return nil
		}
		if p.Type == advertise || (asking && p.From.IsUnspecified()) {
			who = p.FromMAC
		}
	}
	for _, m := range ours {
		if bytes.Equal(m, who) {
			return nil
		}
	}
	return who
}

// ask sends a question several times and returns who answered for an address;
// nil if nobody did until the wait was over.
func ask(ctx context.Context, n network, l link, question []byte, a netip.Addr, ours []net.HardwareAddr, wait time.Duration, asking bool) (net.HardwareAddr, error) {
	ctx, cancel := context.WithTimeout(ctx, wait)
	defer cancel()
	found := make(chan net.HardwareAddr, 1)
	open := make(chan struct{})
	ended := make(chan error, 1)
	go func() {
		ended <- n.Listen(ctx, l, a.Is4(), func() { close(open) }, func(frame []byte) {
			if who := claimant(frame, a, ours, asking); who != nil {
				select {
				case found <- who:
				default:
				}
			}
		})
	}()
	var who net.HardwareAddr
	var err error
	select {
	case <-open:
		who, err = repeat(ctx, n, l, question, wait/3, found)
		cancel()
		<-ended
	case err = <-ended:
	}
	return who, err
}

func repeat(ctx context.Context, n network, l link, question []byte, every time.Duration, found <-chan net.HardwareAddr) (net.HardwareAddr, error) {
	tick := time.NewTicker(every)
	defer tick.Stop()
	for {
		if err := n.Send(l, question); err != nil {
			return nil, err
		}
		select {
		case who := <-found:
			return who, nil
		case <-tick.C:
		case <-ctx.Done():
			return nil, nil
		}
	}
}
