package api

import (
	"net/netip"
	"sync"
	"time"
)

const (
	// A source may fail failuresBurst times at once, and once more every
	// failuresEvery: enough for a person who mistypes, too few to guess.
	failuresBurst = 5
	failuresEvery = 12 * time.Second
	// failuresSources bounds what is remembered; when more come, the new ones
	// share one bucket.
	failuresSources = 1024
	// recordEvery is how often refused requests of one stranger are recorded.
	recordEvery = time.Minute
)

// failures bounds how often a source, or a user's name from anywhere, may fail
// to prove who it is. Who succeeds isn't counted.
type failures struct {
	now func() time.Time

	mu      sync.Mutex
	buckets map[string]*failureBucket
	others  failureBucket
}

type failureBucket struct {
	used     float64
	at       time.Time
	recorded time.Time
	silent   int // refusals since then
}

func (b *failureBucket) left(now time.Time) float64 {
	return max(0, b.used-float64(now.Sub(b.at))/float64(failuresEvery))
}

// bucket finds or makes one; the lock is held.
func (f *failures) bucket(key string, now time.Time) *failureBucket {
	if b := f.buckets[key]; b != nil {
		return b
	}
	if f.buckets == nil {
		f.buckets = make(map[string]*failureBucket)
	}
	if len(f.buckets) >= failuresSources {
		for k, b := range f.buckets {
			if b.left(now) == 0 && now.Sub(b.recorded) >= recordEvery {
				delete(f.buckets, k)
			}
		}
	}
	if len(f.buckets) >= failuresSources {
		return &f.others
	}
	b := new(failureBucket)
	f.buckets[key] = b
	return b
}

// wait is how long the keys must wait before they may try again; 0: not at all.
func (f *failures) wait(keys ...string) time.Duration {
	f.mu.Lock()
	defer f.mu.Unlock()
	now, longest := f.now(), time.Duration(0)
	for _, k := range keys {
		if over := f.bucket(k, now).left(now) - failuresBurst + 1; over > 0 {
			longest = max(longest, time.Duration(over*float64(failuresEvery)))
		}
	}
	return longest
}

// failed counts a failure for each key.
func (f *failures) failed(keys ...string) {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	for _, k := range keys {
		b := f.bucket(k, now)
		b.used, b.at = min(b.left(now)+1, failuresBurst), now
	}
}

// worth counts a refusal and reports how many of them a record would stand for
// now; 0: it isn't worth one yet.
func (f *failures) worth(from string) int {
	f.mu.Lock()
	defer f.mu.Unlock()
	now := f.now()
	b := f.bucket(source(from), now)
	b.silent++
	if now.Sub(b.recorded) < recordEvery {
		return 0
	}
	n := b.silent
	b.recorded, b.silent = now, 0
	return n
}

// source is who counts as one: an IPv6 host has a whole /64.
func source(from string) string {
	ap, err := netip.ParseAddrPort(from)
	if err != nil {
		return "from " + from
	}
	a := ap.Addr().Unmap().WithZone("")
	bits := 32
	if a.Is6() {
		bits = 64
	}
	p, err := a.Prefix(bits)
	if err != nil {
		return "from " + from
	}
	return "from " + p.String()
}
