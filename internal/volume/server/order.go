package server

import "sync"

// order keeps changes of the same place one after another, in the order in which
// they came. The kernel sends a request again when it takes a connection for dead:
// the first sending must not reach the disk after a later write that was answered.
type order struct {
	mu      sync.Mutex
	busy    []*op // on their way to the disk
	blocked []*op // wait for one of those, in order
}

// enter reports whether the request may go on now. If not, leave returns it later.
func (d *order) enter(o *op) bool {
	d.mu.Lock()
	defer d.mu.Unlock()
	if overlapsAny(o, d.busy) || overlapsAny(o, d.blocked) {
		d.blocked = append(d.blocked, o)
		return false
	}
	d.add(o)
	return true
}

func (d *order) add(o *op) {
	o.place = len(d.busy)
	o.ordered = true
	d.busy = append(d.busy, o)
}

// leave ends a request's turn and returns those that may go on now, or nil.
func (d *order) leave(o *op) []*op {
	d.mu.Lock()
	defer d.mu.Unlock()
	o.ordered = false
	last := len(d.busy) - 1
	d.busy[o.place] = d.busy[last]
	d.busy[o.place].place = o.place
	d.busy[last] = nil
	d.busy = d.busy[:last]
	if len(d.blocked) == 0 {
		return nil
	}
	var next []*op
	left := d.blocked[:0]
	for _, b := range d.blocked {
		if overlapsAny(b, d.busy) || overlapsAny(b, left) {
			left = append(left, b)
		} else {
			d.add(b)
			next = append(next, b)
		}
	}
	clear(d.blocked[len(left):])
	d.blocked = left
	return next
}

func overlapsAny(o *op, others []*op) bool {
	from, to := o.inner.Offset, o.inner.Offset+o.inner.Size()
	for _, b := range others {
		if b.inner.Offset < to && from < b.inner.Offset+b.inner.Size() {
			return true
		}
	}
	return false
}
