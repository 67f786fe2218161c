package keeper

import (
	"io"
	"sync"
)

// inbox holds input that the program hasn't read. The other side sends no more than
// a window, so that whoever fills it never waits and hears when the person leaves.
type inbox struct {
	mu    sync.Mutex
	some  *sync.Cond
	held  []byte
	ended bool
	// taken is told how much was read.
	taken func(int)
}

func newInbox(taken func(int)) *inbox {
	b := &inbox{taken: taken}
	b.some = sync.NewCond(&b.mu)
	return b
}

// put adds input. It reports false if the other side sent more than it may.
func (b *inbox) put(p []byte) bool {
	b.mu.Lock()
	defer b.mu.Unlock()
	if len(b.held)+len(p) > inputWindow {
		return false
	}
	b.held = append(b.held, p...)
	b.some.Signal()
	return true
}

// end says that nothing follows.
func (b *inbox) end() {
	b.mu.Lock()
	defer b.mu.Unlock()
	b.ended = true
	b.some.Broadcast()
}

// Read waits for input.
func (b *inbox) Read(p []byte) (int, error) {
	b.mu.Lock()
	for len(b.held) == 0 && !b.ended {
		b.some.Wait()
	}
	n := copy(p, b.held)
	b.held = b.held[n:]
	b.mu.Unlock()
	if n == 0 {
		return 0, io.EOF
	}
	b.taken(n)
	return n, nil
}
