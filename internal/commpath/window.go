package commpath

import "math/bits"

// windowSize is how far behind the newest packet of a path an older one may
// arrive.
const windowSize = 128

// window remembers which numbers of a stream were seen, so that none is taken
// twice. The zero window has seen nothing; numbers start at 1.
type window struct {
	top  uint64                  // highest number seen
	seen [windowSize / 64]uint64 // bit i of it: top-i was seen
}

// fresh reports whether n was not seen and is not too old to know.
func (w *window) fresh(n uint64) bool {
	if n > w.top {
		return true
	}
	back := w.top - n
	return back < windowSize && n > 0 && w.seen[back/64]&(1<<(back%64)) == 0
}

// mark remembers a number for which fresh was true.
func (w *window) mark(n uint64) {
	if n > w.top {
		w.shift(n - w.top)
		w.top = n
	}
	back := w.top - n
	w.seen[back/64] |= 1 << (back % 64)
}

func (w *window) shift(by uint64) {
	for ; by >= 64; by -= 64 {
		if w.seen == [windowSize / 64]uint64{} {
			return
		}
		copy(w.seen[1:], w.seen[:])
		w.seen[0] = 0
	}
	if by == 0 {
		return
	}
	for i := len(w.seen) - 1; i > 0; i-- {
		w.seen[i] = w.seen[i]<<by | w.seen[i-1]>>(64-by)
	}
	w.seen[0] <<= by
}

// missing is how many of the newest 64 numbers, counted from first on, were not
// seen, and how many those are.
func (w *window) missing(first uint64) (lost, of int) {
	if w.top < first || w.top == 0 {
		return 0, 0
	}
	of = int(min(w.top-first+1, 64))
	mask := ^uint64(0) >> (64 - of)
	return of - bits.OnesCount64(w.seen[0]&mask), of
}
