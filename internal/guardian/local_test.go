package guardian

import (
	"context"
	"errors"
	"log/slog"
	"net/netip"
	"testing"
	"time"

	"go.uber.org/goleak"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/clock"
)

func newLocal(t *testing.T) *Client {
	t.Helper()
	l, c := NewLocal(time.Second, slog.New(slog.DiscardHandler))
	t.Cleanup(func() {
		if err := c.Close(); err != nil {
			t.Error(err)
		}
		l.Close()
		goleak.VerifyNone(t)
	})
	return c
}

var localAddr = []guard.Address{{Addr: netip.MustParseAddr("192.0.2.1"), Device: "eth0"}}

func localLease(c *Client, g cluster.Generation, d time.Duration) error {
	now := clock.Now().Boot
	return c.Renew(guard.Renew{Generation: g, Until: now + d, Gate: now + d - d/10})
}

func TestLocalSaysThatItIsWeaker(t *testing.T) {
	s, err := newLocal(t).Hello()
	if err != nil || s.Session == "" || len(s.Weaker) == 0 || s.Gate != "none" {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestLocalGuard(t *testing.T) {
	c := newLocal(t)
	if err := c.Guard("web", 1, localAddr, nil); !errors.Is(err, message.New(message.GuardWithoutLease)) {
		t.Errorf("guarded without a lease: %v", err)
	}
	if err := errors.Join(c.Admitted(1), localLease(c, 1, time.Minute), c.Guard("web", 1, localAddr, nil)); err != nil {
		t.Fatal(err)
	}
	s, err := c.Hello()
	if err != nil || len(s.Guarded) != 1 || s.Guarded[0].Phase != guard.PhaseServing {
		t.Errorf("%+v, %v", s, err)
	}
	if err := c.Unguard("web"); err != nil {
		t.Fatal(err)
	}
	if s, _ := c.Hello(); len(s.Guarded) != 0 {
		t.Errorf("still guarded: %+v", s.Guarded)
	}
}

func TestLocalRefusedRenewalIsTold(t *testing.T) {
	c := newLocal(t)
	if err := errors.Join(c.Admitted(2), localLease(c, 1, time.Minute)); err != nil {
		t.Fatal(err)
	}
	if n := <-c.Events(); n.Reason.Code != message.LeaseOfAnotherGeneration {
		t.Errorf("told %+v", n)
	}
}

func TestLocalLeaseEnds(t *testing.T) {
	c := newLocal(t)
	if err := errors.Join(c.Admitted(1), localLease(c, 1, 100*time.Millisecond), c.Guard("web", 1, localAddr, nil)); err != nil {
		t.Fatal(err)
	}
	for _, want := range []guard.NoticeKind{guard.NoticeGateClosed, guard.NoticeFrozen, guard.NoticeKilling, guard.NoticeKilled} {
		if n := <-c.Events(); n.Kind != want {
			t.Errorf("told %+v, want %s", n, want)
		}
	}
}

func TestLocalReset(t *testing.T) {
	c := newLocal(t)
	before, err := c.Hello()
	if err != nil {
		t.Fatal(err)
	}
	if err := errors.Join(c.Admitted(1), localLease(c, 1, time.Minute), c.Guard("web", 1, localAddr, nil)); err != nil {
		t.Fatal(err)
	}
	ctx, cancel := context.WithTimeout(context.Background(), 5*time.Second)
	defer cancel()
	session, err := c.Reset(ctx)
	if err != nil || session == before.Session {
		t.Fatalf("session %q, %v", session, err)
	}
	if s, err := c.Hello(); err != nil || s.Session != session || s.Generation != 0 || len(s.Guarded) != 0 {
		t.Errorf("%+v, %v", s, err)
	}
}

func TestGuardianGone(t *testing.T) {
	l, c := NewLocal(time.Second, slog.New(slog.DiscardHandler))
	l.Close()
	for range c.Events() { // closed
	}
	if _, err := c.Hello(); !errors.Is(err, message.New(message.GuardianGone)) {
		t.Errorf("asked a guardian that is gone: %v", err)
	}
	_ = c.Close()
	goleak.VerifyNone(t)
}
