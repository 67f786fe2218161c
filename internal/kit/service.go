package kit

import (
	"context"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// KillReserve is the part of the time for a stop that is kept for killing what
// is left (1 s, or a quarter of a short one).
const KillReserve = time.Second

// ClearFrozen ends what the end of a lease left frozen in the resource's group:
// a command that is started there would stand still as well.
func (in Instance) ClearFrozen(ctx context.Context) error {
	if in.Group == "" {
		return nil
	}
	if frozen, err := cgroup.At(in.Group).Frozen(); err != nil || !frozen {
		return nil // no group: nothing is frozen
	}
	return in.EndService(ctx)
}

// EndService ends all that commands with Keep left running, and says what it
// means if something is left: out of service is out of service.
func (in Instance) EndService(ctx context.Context) error {
	if err := in.KillService(ctx, proc.ID{}); err != nil {
		return message.New(message.CommandStuck, in.Hierarchy+"/"+in.Resource, KillReserve).Wrap(err)
	}
	if in.Group != "" {
		cgroup.At(in.Group).Remove() // at worst an empty directory stays
	}
	return nil
}

// StopTime is how long a stop command may take so that enough is left of the
// context's time to kill what doesn't end; 0: no limit.
func StopTime(ctx context.Context) time.Duration {
	end, ok := ctx.Deadline()
	if !ok {
		return 0
	}
	left := time.Until(end)
	return max(left-min(KillReserve, left/4), time.Millisecond)
}
