package libvirt

import (
	"context"
	"errors"
	"strings"
	"time"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/kit"
	"github.com/perdure-ha/perdure/internal/message"
)

// stateFile says that the machine was brought in service here.
const stateFile = "libvirt.json"

// stopPoll is the time between two looks at a machine that shuts down.
const stopPoll = 500 * time.Millisecond

// Domain is one virtual machine on this node.
type Domain struct{ in kit.Instance }

// kept is what the state file holds.
type kept struct {
	Domain string `json:"domain"`
}

func (d *Domain) name() string { return d.in.Values.String("domain") }

func (d *Domain) virsh(ctx context.Context, args ...string) (kit.Result, error) {
	return d.in.Runner.Run(ctx, kit.Command{Action: args[0], Argv: append([]string{"virsh", "-q", "-c", d.in.Values.String("uri")}, args...), Capture: 64 << 10})
}

// must is a command of virsh that has to succeed.
func (d *Domain) must(ctx context.Context, args ...string) error {
	r, err := d.virsh(ctx, args...)
	if err == nil && r.ExitCode != 0 {
		err = message.New(message.DomainRefused, d.name(), args[0], r.Tail)
	}
	return err
}

// notDefined is libvirt's answer for a machine that it doesn't know.
const notDefined = "failed to get domain"

// state is what libvirt says: running, paused, in shutdown, shut off, crashed,
// idle, pmsuspended, no state; empty: it isn't defined.
func (d *Domain) state(ctx context.Context) (string, error) {
	r, err := d.virsh(ctx, "domstate", d.name())
	switch {
	case err != nil:
		return "", err
	case r.ExitCode == 0:
		lines := strings.Split(strings.TrimSpace(r.Output), "\n")
		return strings.TrimSpace(lines[len(lines)-1]), nil
	case strings.Contains(r.Output, notDefined):
		return "", nil
	}
	return "", message.New(message.DomainMissing, d.name(), r.Tail)
}

// runs reports whether a state holds memory and disks on this node.
func runs(state string) bool { return state != "" && state != "shut off" && state != "crashed" }

// Start implements [kit.Resource].
func (d *Domain) Start(ctx context.Context, _ cluster.Release) error {
	st, err := d.state(ctx)
	if err != nil {
		return err
	}
	if config := d.in.Values.String("config"); config != "" && !runs(st) {
		if err := d.must(ctx, "define", config); err != nil {
			return err
		}
	} else if st == "" {
		return message.New(message.DomainMissing, d.name(), "it is not defined, and config is not set")
	}
	if err := d.must(ctx, "autostart", "--disable", d.name()); err != nil {
		return err // it would start by itself at the next boot
	}
	switch {
	case st == "paused":
		err = d.must(ctx, "resume", d.name())
	case !runs(st):
		err = d.must(ctx, "start", d.name())
	}
	if err != nil {
		return err
	}
	if st, err = d.state(ctx); err != nil {
		return err
	}
	if st != "running" && st != "idle" {
		return message.New(message.DomainFailed, d.name(), st)
	}
	return d.in.SaveState(stateFile, kept{d.name()})
}

// Stop implements [kit.Resource].
func (d *Domain) Stop(ctx context.Context) error {
	st, err := d.state(ctx)
	if err != nil {
		return err
	}
	if runs(st) && d.in.Values.String("stop.mode") == "shutdown" && st != "paused" {
		if st, err = d.shutdown(ctx); err != nil {
			return err
		}
	}
	if runs(st) {
		if err := d.must(ctx, "destroy", d.name()); err != nil {
			if st, again := d.state(ctx); again != nil || runs(st) { // it may have ended meanwhile
				return err
			}
		}
	}
	if st, err = d.state(ctx); err != nil {
		return err
	}
	if runs(st) {
		return message.New(message.DomainFailed, d.name(), st)
	}
	return d.in.DropState(stateFile)
}

// shutdown asks the guest, and returns the state when it is off or the time is
// over.
func (d *Domain) shutdown(ctx context.Context) (string, error) {
	if r, err := d.virsh(ctx, "shutdown", d.name()); err != nil {
		return "", err
	} else if r.ExitCode != 0 {
		return d.state(ctx) // it can't be asked; it is turned off
	}
	var over <-chan time.Time
	if end, ok := ctx.Deadline(); ok {
		timer := time.NewTimer(time.Until(end) * 3 / 4)
		defer timer.Stop()
		over = timer.C
	}
	tick := time.NewTicker(stopPoll)
	defer tick.Stop()
	for {
		st, err := d.state(ctx)
		if err != nil || !runs(st) {
			return st, err
		}
		select {
		case <-over:
			d.in.Log.Warn("the guest doesn't shut down and is turned off", "domain", d.name())
			return st, nil
		case <-ctx.Done():
			return st, message.New(message.DomainFailed, d.name(), st).Wrap(ctx.Err())
		case <-tick.C:
		}
	}
}

// Check implements [kit.Resource].
func (d *Domain) Check(ctx context.Context, depth kit.Depth) kit.Health {
	st, err := d.state(ctx)
	if err != nil {
		return kit.BecauseOf(cluster.Unknown, err)
	}
	switch {
	case st == "running", st == "idle":
	case runs(st):
		return kit.Because(cluster.Failed, message.DomainFailed, d.name(), st)
	default:
		var k kept
		was, err := d.in.LoadState(stateFile, &k)
		if err != nil {
			return kit.BecauseOf(cluster.Unknown, err)
		}
		if !was {
			return kit.Because(cluster.OutOfService, message.DomainNotRunning, d.name())
		}
		if st == "" {
			st = "not defined any more"
		}
		return kit.Because(cluster.Failed, message.DomainFailed, d.name(), st)
	}
	if depth == kit.Deep && d.in.Values.Bool("guest.ping") {
		if err := d.must(ctx, "qemu-agent-command", d.name(), `{"execute":"guest-ping"}`); errors.Is(err, context.Canceled) {
			return kit.BecauseOf(cluster.Unknown, err) // nobody waits for the answer any more
		} else if err != nil {
			return kit.BecauseOf(cluster.Failed, err)
		}
	}
	return kit.Healthy
}

// Validate implements [kit.Validator].
func (d *Domain) Validate(ctx context.Context) error {
	if _, err := kit.Executable("virsh"); err != nil {
		return err
	}
	st, err := d.state(ctx)
	if err == nil && st == "" && d.in.Values.String("config") == "" {
		err = message.New(message.DomainMissing, d.name(), "it is not defined, and config is not set")
	}
	return err
}

// Ready implements [kit.Standby].
func (d *Domain) Ready(ctx context.Context) kit.Health {
	if err := d.Validate(ctx); err != nil {
		return kit.BecauseOf(cluster.Failed, err)
	}
	if h := d.Check(ctx, kit.Light); h.Status != cluster.OutOfService {
		return h
	}
	return kit.Health{Status: cluster.OutOfService}
}

// Adopt implements [kit.Adopter].
func (d *Domain) Adopt(ctx context.Context) (bool, error) {
	st, err := d.state(ctx)
	if err != nil || !runs(st) {
		return false, err
	}
	return true, d.in.SaveState(stateFile, kept{d.name()})
}

// Close implements [kit.Resource]: the machine runs on.
func (d *Domain) Close() error { return nil }
