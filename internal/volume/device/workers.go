package device

import (
	"sync"

	"github.com/perdure-ha/perdure/internal/volume/block"
)

// workersMost bounds the threads that block. More make no disk faster.
const workersMost = 32

// workers are threads that block in one operation each.
type workers struct {
	h *handle

	mu     sync.Mutex
	more   sync.Cond
	queue  fifo
	closed bool
	group  sync.WaitGroup
}

func newWorkers(h *handle, n int) *workers {
	w := &workers{h: h}
	w.more.L = &w.mu
	for range min(n, workersMost) {
		w.group.Go(w.work)
	}
	return w
}

func (w *workers) submit(batch []*block.Request) {
	w.mu.Lock()
	closed := w.closed
	if !closed {
		for _, r := range batch {
			w.queue.push(r)
			w.more.Signal()
		}
	}
	w.mu.Unlock()
	if closed {
		refuse(batch)
	}
}

// refuse ends requests that come after the end.
func refuse(batch []*block.Request) {
	for _, r := range batch {
		r.End(block.ErrClosed)
	}
}

func (w *workers) work() {
	for {
		w.mu.Lock()
		for w.queue.empty() && !w.closed {
			w.more.Wait()
		}
		if w.queue.empty() {
			w.mu.Unlock()
			return
		}
		r := w.queue.pop()
		w.mu.Unlock()
		r.End(w.h.perform(r))
	}
}

func (w *workers) close() {
	w.mu.Lock()
	w.closed = true
	w.more.Broadcast()
	w.mu.Unlock()
	w.group.Wait()
}

// fifo is a queue that keeps its memory.
type fifo struct {
	all  []*block.Request
	head int
}

func (q *fifo) empty() bool { return q.head == len(q.all) }

func (q *fifo) push(r *block.Request) {
	if q.head > 0 && len(q.all) == cap(q.all) {
		n := copy(q.all, q.all[q.head:])
		clear(q.all[n:])
		q.all, q.head = q.all[:n], 0
	}
	q.all = append(q.all, r)
}

func (q *fifo) pop() *block.Request {
	r := q.all[q.head]
	q.all[q.head] = nil
	q.head++
	if q.empty() {
		q.all, q.head = q.all[:0], 0
	}
	return r
}
