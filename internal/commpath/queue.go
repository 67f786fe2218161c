package commpath

import (
	"errors"
	"sync"
	"time"
)

// ErrQueueFull is returned by Send when too much waits for the peer. The new
// message is refused, not an old one dropped: so the sender knows at once, and
// what was taken stays in order.
var ErrQueueFull = errors.New("too many messages wait for the node")

// The bounds of what waits for one peer.
const (
	queueMessages = 4096
	queueBytes    = 4 * MaxMessage
)

// queue is what waits for a peer.
type queue struct {
	mu    sync.Mutex
	items []queued // a ring
	head  int
	n     int
	bytes int
	// ready has an element when the queue may not be empty.
	ready chan struct{}

	refused, stale uint64
}

type queued struct {
	payload []byte
	at      time.Duration // monotonic
}

func newQueue() *queue { return &queue{ready: make(chan struct{}, 1)} }

// push takes a message, or refuses it. What has waited since before oldest
// gives way.
func (q *queue) push(payload []byte, now, oldest time.Duration) error {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(oldest)
	if q.n >= queueMessages || q.n > 0 && q.bytes+len(payload) > queueBytes {
		q.refused++
		return ErrQueueFull
	}
	if q.n == len(q.items) {
		q.grow()
	}
	q.items[(q.head+q.n)%len(q.items)] = queued{payload, now}
	q.n++
	q.bytes += len(payload)
	select {
	case q.ready <- struct{}{}:
	default:
	}
	return nil
}

func (q *queue) grow() {
	items := make([]queued, max(16, 2*len(q.items)))
	for i := range q.n {
		items[i] = q.items[(q.head+i)%len(q.items)]
	}
	q.items, q.head = items, 0
}

// pop returns the oldest message that isn't stale.
func (q *queue) pop(oldest time.Duration) ([]byte, bool) {
	q.mu.Lock()
	defer q.mu.Unlock()
	q.expire(oldest)
	if q.n == 0 {
		return nil, false
	}
	return q.take().payload, true
}

func (q *queue) expire(oldest time.Duration) {
	for q.n > 0 && q.items[q.head].at < oldest {
		q.take()
		q.stale++
	}
}

func (q *queue) take() queued {
	it := q.items[q.head]
	q.items[q.head] = queued{}
	q.head = (q.head + 1) % len(q.items)
	q.n--
	q.bytes -= len(it.payload)
	return it
}

func (q *queue) empty() bool {
	q.mu.Lock()
	defer q.mu.Unlock()
	return q.n == 0
}
