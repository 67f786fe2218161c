package guardian

import (
	"context"
	"errors"
	"fmt"
	"log/slog"
	"net/netip"
	"os"
	"path/filepath"
	"time"

	"github.com/perdure-ha/perdure/internal/fence"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
)

// cleaner removes what an earlier guardian left: a new session says to the
// cluster that nothing of the old one runs here any more.
type cleaner struct {
	procs   groups
	gate    fence.Gate
	log     *slog.Logger
	cleaned []string
}

// cleanAgain is the pause between two tries.
const cleanAgain = time.Second

// until tries until nothing is left. There is no other way on: a process that
// waits for its disk may end in an hour, and until then this node must not join.
func (c *cleaner) until(ctx context.Context, left *guard.State) error {
	tick := time.NewTicker(cleanAgain)
	defer tick.Stop()
	for {
		err := c.once(ctx, left)
		if err == nil {
			break
		}
		c.log.Error(message.New(message.LeftoversRemain, err).Error())
		select {
		case <-ctx.Done():
			return message.New(message.LeftoversRemain, err)
		case <-tick.C:
		}
	}
	if len(c.cleaned) > 0 {
		c.log.Warn(message.New(message.LeftoversCleaned, c.cleaned).Error())
	}
	return nil
}

func (c *cleaner) once(ctx context.Context, left *guard.State) error {
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	err := c.killAll(ctx)
	// The kernel knows what is behind the gate, the file what was guarded when
	// somebody had flushed the gate.
	device := make(map[netip.Addr]string)
	for _, g := range c.gate.Protected() {
		device[g.Addr] = ""
	}
	if left != nil {
		for _, h := range left.Guarded {
			for _, a := range h.Addresses {
				device[a.Addr] = a.Device
			}
		}
	}
	for addr, dev := range device {
		// The gate may not know the device; an address of ours is taken off all.
		if e := c.procs.removeAddress(guard.Address{Addr: addr, Device: dev}); e != nil {
			err = errors.Join(err, e)
			continue
		}
		c.found("address " + addr.String())
		err = errors.Join(err, c.gate.Unprotect(addr))
	}
	return err
}

// killAll kills every process in the groups of this instance.
func (c *cleaner) killAll(ctx context.Context) error {
	base := c.procs.tree.Path()
	if base == "" {
		return nil
	}
	c.name(base)
	entries, err := os.ReadDir(base)
	if err != nil {
		return fmt.Errorf("list the groups left over: %w", err)
	}
	var all error
	for _, e := range entries {
		if e.IsDir() {
			all = errors.Join(all, killGroup(ctx, cgroup.At(filepath.Join(base, e.Name()))))
		}
	}
	return all
}

// name notes which groups have processes.
func (c *cleaner) name(base string) {
	for _, pattern := range []string{daemonGroup, volumesGroup, "service/*", commandGroup + "/*"} {
		found, _ := filepath.Glob(filepath.Join(base, pattern))
		for _, dir := range found {
			if pids, err := cgroup.At(dir).Procs(); err == nil && len(pids) > 0 {
				rel, _ := filepath.Rel(base, dir)
				c.found(fmt.Sprintf("%d processes of %s", len(pids), rel))
			}
		}
	}
}

func (c *cleaner) found(what string) { c.cleaned = append(c.cleaned, what) }

// killDaemon ends a daemon that outlived its guardian, and its commands. What
// runs unmanaged stays.
func (c *cleaner) killDaemon(ctx context.Context) {
	if c.procs.tree.Path() == "" {
		return
	}
	ctx, cancel := context.WithTimeout(ctx, killTimeout)
	defer cancel()
	for _, g := range []string{daemonGroup, volumesGroup, commandGroup} {
		if err := killGroup(ctx, cgroup.At(c.procs.tree.PathOf(g))); err != nil {
			c.log.Error(message.New(message.LeftoversRemain, err).Error())
		}
	}
}
