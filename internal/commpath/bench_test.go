package commpath

import (
	"net/netip"
	"sync/atomic"
	"testing"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
)

// counter counts heartbeats and allocates nothing.
type counter struct {
	beats atomic.Int64
	ring  chan struct{}
}

func (c *counter) HandleHeartbeat(cluster.NodeID, string, []byte, cluster.Instant) {
	c.beats.Add(1)
	select {
	case c.ring <- struct{}{}:
	default:
	}
}
func (c *counter) HandleMessage(cluster.NodeID, []byte) {}
func (c *counter) HandleEvent(Event)                    {}

// BenchmarkSeal is the cryptography and bookkeeping of one heartbeat, sent and
// received, without sockets.
func BenchmarkSeal(b *testing.B) {
	x, y, clock := pairOf(b, "lan")
	meet(b, x, y, "lan")
	x.ep.cfg.Handler, y.ep.cfg.Handler = &counter{}, &counter{}
	payload := make([]byte, 200)
	s := y.hub.slots[stationAddr(2, "lan")]
	keep := &keeper{}
	c := PacketConn(keep)
	x.hub.slots[stationAddr(1, "lan")].udp.Store(&c)
	b.ReportAllocs()
	for b.Loop() {
		if err := x.ep.SendHeartbeat(2, "lan", payload); err != nil {
			b.Fatal(err)
		}
		y.hub.receive(s, keep.packet[:keep.n], netip.AddrPort{}, clock.read())
	}
	if d := y.ep.Drops(); d["auth"]+d["replay"] > 0 {
		b.Fatal(d)
	}
}

// keeper keeps the last packet.
type keeper struct {
	wire
	packet [MaxPacket]byte
	n      int
}

func (k *keeper) WriteTo(b []byte, _ netip.AddrPort) error {
	k.n = copy(k.packet[:], b)
	return nil
}

// BenchmarkMessage sends messages of 1 KiB over TLS on loopback.
func BenchmarkMessage(b *testing.B) {
	d := newDuo(b, nil, "lan")
	d.introduce(b)
	waitFor(b, "the connection", func() bool { _, ok := d.connected(0); return ok })
	payload := make([]byte, 1024)
	b.ReportAllocs()
	b.SetBytes(int64(len(payload)))
	sent := 0
	for b.Loop() {
		for d.eps[0].Send(2, payload) != nil {
			d.recs[1].await(b, "room", func() bool { return len(d.recs[1].msgs) > sent-queueMessages/2 })
		}
		sent++
	}
	d.recs[1].await(b, "all", func() bool { return len(d.recs[1].msgs) == sent })
}

// BenchmarkHeartbeat sends over loopback sockets, 32 packets in flight, and
// counts what arrives: both nodes' work, system calls and wake-ups included.
func BenchmarkHeartbeat(b *testing.B) {
	x, y := &counter{ring: make(chan struct{}, 1)}, &counter{ring: make(chan struct{}, 1)}
	one, two := loopbackPair(b, x, y)
	waitFor(b, "first contact", func() bool {
		one.SendHeartbeats(2, nil)
		two.SendHeartbeats(1, nil)
		return x.beats.Load() > 0 && y.beats.Load() > 0
	})
	payload := make([]byte, 200)
	start := y.beats.Load()
	b.ReportAllocs()
	sent := int64(0)
	for b.Loop() {
		if err := one.SendHeartbeat(2, "lan", payload); err != nil {
			b.Fatal(err)
		}
		sent++
		for sent-(y.beats.Load()-start) > 32 {
			select {
			case <-y.ring:
			case <-time.After(time.Second):
				b.Fatal("packets were lost")
			}
		}
	}
}
