package commpath

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// A source may try joinBurst times at once, and once more every joinEvery:
	// enough for a person, too few to guess.
	joinBurst = 10
	joinEvery = 2 * time.Second
	// joinSources bounds what is remembered. When more come, all of the new
	// ones share one bucket.
	joinSources = 1024
)

// limiter bounds how often each source may try. Its zero value is ready.
type limiter struct {
	mu      sync.Mutex
	buckets map[netip.Prefix]bucket
	others  bucket
}

type bucket struct {
	used float64
	at   time.Duration
}

// allow reports whether a source may try now.
func (l *limiter) allow(from netip.Addr, now time.Duration) bool {
	l.mu.Lock()
	defer l.mu.Unlock()
	if l.buckets == nil {
		l.buckets = make(map[netip.Prefix]bucket)
	}
	key := source(from)
	b, known := l.buckets[key]
	if !known && len(l.buckets) >= joinSources {
		l.forget(now)
	}
	if !known && len(l.buckets) >= joinSources {
		return l.others.take(now)
	}
	ok := b.take(now)
	l.buckets[key] = b
	return ok
}

// forget drops those who haven't tried for so long that they may do all again.
func (l *limiter) forget(now time.Duration) {
	for k, b := range l.buckets {
		if b.left(now) == 0 {
			delete(l.buckets, k)
		}
	}
}

func (b *bucket) left(now time.Duration) float64 {
	return max(0, b.used-float64(now-b.at)/float64(joinEvery))
}

func (b *bucket) take(now time.Duration) bool {
	b.used, b.at = b.left(now), now
	if b.used+1 > joinBurst {
		return false
	}
	b.used++
	return true
}

// source is who counts as one: an IPv6 host has a whole /64.
func source(a netip.Addr) netip.Prefix {
	a = a.Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return netip.Prefix{}
	}
	return p
}
