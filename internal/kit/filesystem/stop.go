package filesystem

import (
	"context"
	"errors"
	"fmt"
	"slices"
	"strings"
	"time"

	"github.com/moby/sys/mountinfo"

	"github.com/perdure-ha/perdure/internal/message"
)

const (
	// scanTimeout bounds one look at all processes (10 s, usually it takes some
	// milliseconds): reading about a process that waits for a dead disk may
	// itself wait.
	scanTimeout = 10 * time.Second
	// quietLooks is how often nobody may be found while the mount is busy: the
	// kernel itself has it, in a way that we don't know.
	quietLooks = 20
	// killedGrace is how long killed processes are waited for (2 s): what
	// waits for a dead disk in the kernel doesn't end.
	killedGrace = 2 * time.Second
	// releasePoll is how often the kernel is asked whether it has let go.
	releasePoll = 50 * time.Millisecond
	// releaseWait is how long the kernel may take to let go of a device after
	// the last unmount (5 s).
	releaseWait = 5 * time.Second
)

// Stop implements [kit.Resource]. It returns nil only when the device is
// mounted nowhere on this node any more. It never unmounts lazily: then the
// file system would stay in use where nobody sees it, and be mounted elsewhere
// at the same time.
func (f *Filesystem) Stop(ctx context.Context) error {
	d, notFound := f.known(ctx) // without a device the mount table still tells
	for {
		all, err := table()
		if err != nil {
			return err
		}
		m := f.next(d, all)
		if m == nil {
			break
		}
		if err := f.unmount(ctx, m); err != nil {
			return err
		}
	}
	if notFound == nil {
		if err := f.release(ctx, d); err != nil {
			return err
		}
	}
	f.remember(device{}) // it may have another number tomorrow
	return f.in.DropState(stateFile)
}

// next is what has to be unmounted next: what lies on top of ours first.
func (f *Filesystem) next(d device, all []*mountinfo.Info) *mountinfo.Info {
	for _, m := range slices.Backward(all) {
		if !f.ours(d, m) {
			continue
		}
		if sub := f.subvolume(); sub != "" && m.Root != sub {
			continue
		}
		if m.Mountpoint != f.mountpoint() {
			f.in.Log.Warn("the device is mounted at a second place, which is unmounted as well", "device", m.Source, "mountpoint", m.Mountpoint)
		}
		if below := beneath(all, m.Mountpoint); len(below) > 0 {
			f.in.Log.Warn("a mount inside the mount is unmounted as well", "mountpoint", below[0].Mountpoint, "device", below[0].Source)
			return below[0]
		}
		return top(all, m.Mountpoint)
	}
	return nil
}

// unmount ends one mount: as it is, then without its users. Users may come
// while others are ended, and the kernel lets go of what they had a little
// after their end: so it is tried until the time is nearly over, or until only
// the kernel itself is left as the user.
func (f *Filesystem) unmount(ctx context.Context, m *mountinfo.Info) error {
	places := []string{m.Mountpoint}
	quiet := 0 // looks in a row that found nobody
	for {
		why, err := f.tryUnmount(ctx, m)
		if err != nil || why == "" {
			return err
		}
		found := users(ctx, places)
		left := f.end(ctx, found)
		kernel := kernelUsers(places)
		if quiet++; len(found) > 0 {
			quiet = 0
		}
		if quiet > quietLooks || len(left) > 0 || quiet > 0 && len(kernel) > 0 || ctx.Err() != nil || nearlyOver(ctx) {
			if text := list(left, kernel); text != "" {
				why = "in use by " + text
			}
			return message.New(message.UnmountFailed, m.Mountpoint, why)
		}
		select {
		case <-ctx.Done():
		case <-time.After(releasePoll):
		}
	}
}

// nearlyOver reports whether there is no time left for another round.
func nearlyOver(ctx context.Context) bool {
	end, ok := ctx.Deadline()
	return ok && time.Until(end) < 2*killedGrace
}

// tryUnmount reports why it could not be unmounted; an error means that nothing
// is known.
func (f *Filesystem) tryUnmount(ctx context.Context, m *mountinfo.Info) (string, error) {
	r, err := f.run(ctx, "umount", 0, "umount", m.Mountpoint)
	if err != nil {
		return "", hangs(m.Mountpoint, err)
	}
	if r.ExitCode == 0 {
		return "", nil
	}
	all, err := table()
	if err != nil {
		return "", err
	}
	if !slices.ContainsFunc(all, func(o *mountinfo.Info) bool { return o.ID == m.ID }) {
		return "", nil
	}
	return r.Tail, nil
}

// end ends processes, first asking them, and returns those that live on.
func (f *Filesystem) end(ctx context.Context, all []user) []user {
	if len(all) == 0 {
		return nil
	}
	f.in.Log.Warn("users of the mount are ended", "mountpoint", f.mountpoint(), "users", list(all, nil))
	grace := f.in.Values.Duration("users.grace")
	if deadline, ok := ctx.Deadline(); ok { // kept for killing and unmounting
		grace = max(min(grace, time.Until(deadline)/2), 0)
	}
	asked, cancel := context.WithTimeout(ctx, grace)
	defer cancel()
	left := endUsers(asked, all, false)
	if len(left) == 0 {
		return nil
	}
	killed, cancel := context.WithTimeout(ctx, killedGrace)
	defer cancel()
	return endUsers(killed, left, true)
}

// release waits until nobody has the device any more, and ends those that have
// it in a mount namespace of their own.
func (f *Filesystem) release(ctx context.Context, d device) error {
	if f.subvolume() != "" {
		if all, err := table(); err != nil || len(mountsOf(all, d)) > 0 {
			return err // other subvolumes stay
		}
	}
	ctx, cancel := context.WithTimeout(ctx, releaseWait)
	defer cancel()
	tick := time.NewTicker(releasePoll)
	defer tick.Stop()
	for n := 1; ; n++ {
		busy, err := held(d.path)
		if err != nil && gone(err) {
			return nil // the disk has left, and nothing of it is mounted
		}
		if err != nil {
			return message.New(message.UnmountFailed, d.path, err.Error()).Wrap(err)
		}
		if !busy {
			return nil
		}
		if n == 4 { // not only the kernel's own slowness
			f.end(ctx, foreignUsers(ctx, d))
		}
		select {
		case <-ctx.Done():
			return message.New(message.DeviceHeld, d.path, f.holders(d)).Wrap(context.Cause(ctx))
		case <-tick.C:
		}
	}
}

// list names users in a message, some of them.
func list(all []user, kernel []string) string {
	const most = 8
	words := slices.Clone(kernel)
	for _, u := range all {
		words = append(words, u.String())
	}
	if len(words) > most {
		words = append(words[:most], fmt.Sprintf("%d more", len(words)-most))
	}
	return strings.Join(words, ", ")
}

// gone reports whether a device isn't there any more.
func gone(err error) bool {
	for _, e := range deviceGone {
		if errors.Is(err, e) {
			return true
		}
	}
	return false
}
