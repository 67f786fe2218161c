package guardian

import (
	"context"
	"log/slog"
	"time"

	"github.com/perdure-ha/perdure/internal/fence"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
)

// Local is a guardian inside the daemon's own process, for tests and for systems
// without the privileges: same decisions, but nothing survives the daemon, and
// no kernel closes a gate. It says so in [State.Weaker].
type Local struct {
	s    *server
	conn *conn
	done chan struct{}
}

// NewLocal starts a guardian in this process and returns it with its client.
// Services are not frozen or killed by it; nil log: the default.
func NewLocal(stopAfter time.Duration, log *slog.Logger) (*Local, *Client) {
	if log == nil {
		log = slog.Default()
	}
	s := newServer(guard.Config{Session: newSession(), StopAfter: stopAfter},
		fence.NewNoGate(message.New(message.GateUnavailable, "a guardian inside the daemon's process")), nil, bystander{}, log)
	ours, theirs := newMemory()
	l := &Local{s: s, conn: s.attach(ours), done: make(chan struct{})}
	go func() {
		defer close(l.done)
		s.loop()
	}()
	return l, newClient(theirs)
}

// Close ends the guardian and returns when nothing of it runs any more.
func (l *Local) Close() {
	l.s.submit(request{ev: guard.ShuttingDown{}})
	<-l.done
	l.conn.close()
	<-l.conn.done
}

// bystander does nothing to processes.
type bystander struct{}

func (bystander) prepare(string, []string) error                       { return nil }
func (bystander) freeze(context.Context, string, []string, bool) error { return nil }
func (bystander) kill(context.Context, string, []string) error         { return nil }
func (bystander) removeAddress(guard.Address) error                    { return nil }
