package kit

import (
	"errors"
	"slices"
	"sync"

	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// Life watches the leading process of a server that is no child of ours, and
// publishes its end. The zero Life watches nothing and is ready. It may be used
// concurrently.
type Life struct {
	Feed Feed

	mu     sync.Mutex
	id     proc.ID
	handle *proc.Handle
	quit   chan struct{}
	ended  chan struct{}
}

// Begin watches a process in place of any earlier one. After its end the health
// that judge returns is published.
func (l *Life) Begin(id proc.ID, judge func() Health) error {
	l.End()
	h, err := proc.Open(id)
	if err != nil {
		return err
	}
	quit, ended := make(chan struct{}), make(chan struct{})
	l.mu.Lock()
	l.id, l.handle, l.quit, l.ended = id, h, quit, ended
	l.mu.Unlock()
	go func() {
		defer close(ended)
		select {
		case <-h.Done():
			l.Feed.Publish(judge())
		case <-quit:
		}
	}()
	return nil
}

// End stops watching, and returns when nothing more will be published. The
// process runs on.
func (l *Life) End() {
	l.mu.Lock()
	h, quit, ended := l.handle, l.quit, l.ended
	l.id, l.handle, l.quit, l.ended = proc.ID{}, nil, nil, nil
	l.mu.Unlock()
	if h == nil {
		return
	}
	close(quit)
	<-ended
	h.Close()
}

// ID is the process that is watched; zero: none.
func (l *Life) ID() proc.ID {
	l.mu.Lock()
	defer l.mu.Unlock()
	return l.id
}

// Frozen reports whether the resource's group stands still, as the guardian
// leaves it at the end of a lease.
func (in Instance) Frozen() bool {
	if in.Group == "" {
		return false
	}
	frozen, err := cgroup.At(in.Group).Frozen()
	return err == nil && frozen
}

// Owns reports whether a process is in the resource's group or below it. Where
// there are no groups nobody knows, and it reports true.
func (in Instance) Owns(pid int) bool {
	if in.Group == "" {
		return true
	}
	all, err := cgroup.At(in.Group).Procs()
	return err == nil && slices.Contains(all, pid)
}

// Gone reports whether an error says that a process has ended.
func Gone(err error) bool { return errors.Is(err, proc.ErrGone) }
