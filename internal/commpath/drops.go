package commpath

import (
	"context"
	"log/slog"
	"net/netip"
	"sync"
	"sync/atomic"
	"time"
)

// dropReason says why a packet went no further. Zero is none.
type dropReason int

const (
	dropOversized   dropReason = iota + 1 // longer than MaxPacket
	dropGarbage                           // not a heartbeat at all
	dropVersion                           // a heartbeat of another release
	dropCluster                           // of a cluster that isn't here
	dropReceiver                          // for another node
	dropSender                            // from a node that isn't a peer
	dropPath                              // of a network that isn't the socket's
	dropReplay                            // seen before, or too old to know
	dropAuth                              // damaged, forged, or of another key
	dropSession                           // of a session that is over or not proved alive
	dropUnconfirmed                       // doesn't echo our session yet: a contact begins
	dropReasons
)

func (r dropReason) String() string {
	return [...]string{
		"", "oversized", "garbage", "version", "cluster", "receiver", "sender", "path",
		"replay", "auth", "session", "unconfirmed",
	}[r]
}

// drops counts dropped packets. Counting is all that the goroutine of a socket
// does: a log may block on a disk, so it is written by another.
type drops struct {
	count [dropReasons]atomic.Uint64

	mu   sync.Mutex
	last [dropReasons]netip.AddrPort // where the newest came from

	// owned by the goroutine that calls report
	told   [dropReasons]uint64
	toldAt [dropReasons]time.Duration
}

func (d *drops) add(r dropReason, from netip.AddrPort) {
	d.count[r].Add(1)
	if d.mu.TryLock() {
		d.last[r] = from
		d.mu.Unlock()
	}
}

// Drops counts packets by the reason for which they were dropped.
type Drops map[string]uint64

func (d *drops) read() Drops {
	all := make(Drops)
	for r := dropReason(1); r < dropReasons; r++ {
		if n := d.count[r].Load(); n > 0 {
			all[r.String()] = n
		}
	}
	return all
}

// logEvery is the least time between two lines about one reason.
const logEvery = time.Minute

// report writes one line for each reason that occurred since it was last
// reported. First contacts are ordinary and not reported.
func (d *drops) report(log *slog.Logger, now time.Duration, attrs ...slog.Attr) {
	for r := dropReason(1); r < dropUnconfirmed; r++ {
		n := d.count[r].Load()
		if n == d.told[r] || d.told[r] != 0 && now-d.toldAt[r] < logEvery {
			continue
		}
		d.mu.Lock()
		from := d.last[r]
		d.mu.Unlock()
		line := append([]slog.Attr{
			slog.String("reason", r.String()), slog.Uint64("packets", n-d.told[r]),
			slog.Uint64("total", n), slog.String("from", from.String()),
		}, attrs...)
		log.LogAttrs(context.Background(), slog.LevelWarn, "heartbeat packets dropped", line...)
		d.told[r], d.toldAt[r] = n, now
	}
}
