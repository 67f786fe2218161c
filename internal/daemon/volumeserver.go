package daemon

import (
	"context"
	"errors"
	"fmt"
	"math"
	"os"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/guardian"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/clock"
	"github.com/perdure-ha/perdure/internal/volume/server"
)

// VolumeServer is the process that serves volumes: below a guardian, whose
// connection it inherited as file descriptor fd and which says until when it may
// serve; or alone with fd 0, and then always.
func VolumeServer(ctx context.Context, c Config, fd uintptr) error {
	weaker := server.Protect()
	for _, w := range weaker {
		c.Log.Warn(message.Reason(w).String())
	}
	if err := os.MkdirAll(c.RunDir, 0o700); err != nil {
		return message.New(message.RunDirUnusable, c.RunDir, err).Wrap(err)
	}
	s := server.New(server.Config{RunDir: c.RunDir, Weaker: weaker, Log: c.Log})
	ctx, cancel := context.WithCancelCause(ctx)
	defer cancel(nil)
	if fd == 0 {
		s.Gate().Open(math.MaxInt64)
	} else {
		lease, err := guardian.DialLease(fd)
		if err != nil {
			return fmt.Errorf("connect to the guardian: %w", err)
		}
		followed := make(chan struct{})
		go func() {
			defer close(followed)
			cancel(follow(ctx, lease, s.Gate()))
		}()
		defer func() { <-followed }()
		defer func() { _ = lease.Close() }()
	}
	err := s.Control(ctx)
	cancel(err)
	err = errors.Join(err, s.Close())
	if cause := context.Cause(ctx); errors.Is(cause, errGuardianGone) {
		err = errors.Join(err, cause)
	}
	return err
}

var errGuardianGone = errors.New("the guardian is gone")

// follow moves the gate as the guardian says. When the guardian is gone it returns
// at the end of the last lease: then nothing here may serve any more, and another
// volume-server may want the devices.
func follow(ctx context.Context, lease *guardian.Lease, gate *server.Gate) error {
	stop := context.AfterFunc(ctx, func() { _ = lease.Close() })
	defer stop()
	var until time.Duration
	for {
		next, err := lease.Next()
		if err != nil {
			break
		}
		if until = next; until == 0 {
			gate.Shut()
		} else {
			gate.Open(until)
		}
	}
	left := until - clock.Now().Boot
	if until == math.MaxInt64 || left > cluster.DetectionMax {
		<-ctx.Done() // unmanaged: services run on without a guardian
		return ctx.Err()
	}
	end := time.NewTimer(max(left, 0))
	defer end.Stop()
	select {
	case <-end.C:
		return errGuardianGone
	case <-ctx.Done():
		return ctx.Err()
	}
}
