package guardian

import (
	"context"
	"errors"
	"fmt"
	"os"
	"slices"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// On a machine without cgroups the processes of a hierarchy are those below the
// guardian whose environment names it. A process that cleared its environment is
// not found: a weaker class.

func marked(hierarchy string) ([]proc.ID, error) {
	self, err := proc.Identify(os.Getpid())
	if err != nil {
		return nil, fmt.Errorf("look for the processes of %s: %w", hierarchy, err)
	}
	below := proc.Find(proc.Match{Root: self})
	return slices.DeleteFunc(proc.Find(proc.Match{Mark: "PERDURE_HIERARCHY=" + hierarchy}), func(id proc.ID) bool {
		return !slices.Contains(below, id)
	}), nil
}

func freezeMarked(ctx context.Context, hierarchy string, on bool) error {
	signal := syscall.SIGCONT
	if on {
		signal = syscall.SIGSTOP
	}
	return untilNone(ctx, hierarchy, signal, func(id proc.ID) bool { return id.Stopped() == on })
}

func killMarked(ctx context.Context, hierarchy string) error {
	return untilNone(ctx, hierarchy, syscall.SIGKILL, func(proc.ID) bool { return false })
}

// untilNone signals all processes of a hierarchy until every one that is left is
// as wanted.
func untilNone(ctx context.Context, hierarchy string, sig syscall.Signal, wanted func(proc.ID) bool) error {
	tick := time.NewTicker(20 * time.Millisecond)
	defer tick.Stop()
	for {
		left, err := marked(hierarchy)
		if err != nil {
			return err
		}
		left = slices.DeleteFunc(left, func(id proc.ID) bool { return wanted(id) || !id.Alive() })
		if len(left) == 0 {
			return nil
		}
		for _, id := range left {
			if err := sendSignal(id, sig); err != nil {
				return err
			}
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("signal %d processes of %s: %w", len(left), hierarchy, ctx.Err())
		case <-tick.C:
		}
	}
}

func sendSignal(id proc.ID, sig syscall.Signal) error {
	h, err := proc.Open(id)
	if err == nil {
		err = errors.Join(h.Signal(sig), h.Close())
	}
	if errors.Is(err, proc.ErrGone) {
		return nil
	}
	return err
}
