package echo

import (
	"context"
	"encoding/binary"
	"errors"
	"fmt"
	"math/rand/v2"
	"net"
	"net/netip"
	"os"
	"syscall"
	"time"

	"golang.org/x/net/icmp"
	"golang.org/x/net/ipv4"
	"golang.org/x/net/ipv6"
)

// Numbers of the protocols in received packets.
// Source: IANA, Assigned Internet Protocol Numbers.
const (
	protocolICMP   = 1
	protocolICMPv6 = 58
)

// Ping sends one ICMP echo request from an address of this machine (the zero
// Addr: any) and waits for the answer until the context ends. It needs the
// right to open raw sockets.
// Source: RFC 792, RFC 4443.
func Ping(ctx context.Context, from, to netip.Addr) (time.Duration, error) {
	to = to.Unmap()
	network, any, protocol := "ip4:icmp", "0.0.0.0", protocolICMP
	var request icmp.Type = ipv4.ICMPTypeEcho
	var reply icmp.Type = ipv4.ICMPTypeEchoReply
	if to.Is6() {
		network, any, protocol = "ip6:ipv6-icmp", "::", protocolICMPv6
		request, reply = ipv6.ICMPTypeEchoRequest, ipv6.ICMPTypeEchoReply
	}
	if from.IsValid() {
		any = from.Unmap().String()
	}
	c, err := icmp.ListenPacket(network, any)
	if err != nil {
		return 0, fmt.Errorf("open a socket to ping %s: %w", to, err)
	}
	defer c.Close()
	end, ok := ctx.Deadline()
	if !ok {
		end = time.Now().Add(time.Second)
	}
	if err := c.SetDeadline(end); err != nil {
		return 0, fmt.Errorf("ping %s: %w", to, err)
	}
	stop := context.AfterFunc(ctx, func() { _ = c.SetDeadline(time.Now()) })
	defer stop()
	id, seq := int(rand.Uint32()&0xffff), int(rand.Uint32()&0xffff)
	token := binary.BigEndian.AppendUint64(nil, rand.Uint64())
	m := icmp.Message{Type: request, Body: &icmp.Echo{ID: id, Seq: seq, Data: token}}
	b, err := m.Marshal(nil)
	if err != nil {
		return 0, fmt.Errorf("ping %s: %w", to, err)
	}
	began := time.Now()
	if _, err := c.WriteTo(b, &net.IPAddr{IP: to.WithZone("").AsSlice(), Zone: to.Zone()}); err != nil {
		return 0, fmt.Errorf("ping %s: %w", to, err)
	}
	buf := make([]byte, 1500)
	for {
		n, peer, err := c.ReadFrom(buf)
		if err != nil {
			return 0, fmt.Errorf("ping %s: %w", to, err)
		}
		if a, ok := peer.(*net.IPAddr); !ok || !a.IP.Equal(net.IP(to.WithZone("").AsSlice())) {
			continue
		}
		got, err := icmp.ParseMessage(protocol, buf[:n])
		if err != nil || got.Type != reply {
			continue
		}
		if e, ok := got.Body.(*icmp.Echo); ok && e.ID == id && e.Seq == seq && string(e.Data) == string(token) {
			return time.Since(began), nil
		}
	}
}

// Knock asks whether something at a TCP port answers. A refusal is an answer:
// a machine gives it.
func Knock(ctx context.Context, from netip.Addr, to netip.AddrPort) error {
	d := net.Dialer{}
	if from.IsValid() {
		d.LocalAddr = net.TCPAddrFromAddrPort(netip.AddrPortFrom(from, 0))
	}
	c, err := d.DialContext(ctx, "tcp", to.String())
	switch {
	case err == nil:
		return c.Close()
	case errors.Is(err, syscall.ECONNREFUSED) || errors.Is(err, syscall.ECONNRESET):
		return nil
	case errors.Is(err, os.ErrDeadlineExceeded), ctx.Err() != nil:
		return fmt.Errorf("no answer at %s: %w", to, err)
	}
	return fmt.Errorf("knock at %s: %w", to, err)
}
