package guardian

import (
	"context"
	"errors"
	"fmt"
	"path/filepath"
	"strings"

	"github.com/perdure-ha/perdure/internal/fence"
	"github.com/perdure-ha/perdure/internal/guard"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
)

// processes are what the guardian does to services. All but prepare may take
// their time and run beside the loop.
type processes interface {
	// prepare makes the groups, so that what is started in them later is frozen
	// with them.
	prepare(hierarchy string, groups []string) error
	freeze(ctx context.Context, hierarchy string, groups []string, on bool) error
	// kill returns nil when nothing is left.
	kill(ctx context.Context, hierarchy string, groups []string) error
	removeAddress(a guard.Address) error
}

// Names of groups in the tree of an instance. Services are in the groups that
// the daemon names. Commands that take services out are in a group beside them,
// which is not frozen, but killed with them; the daemon has one too, so that a
// next guardian finds it.
const (
	commandGroup = "command"
	daemonGroup  = "daemon"
)

// groups does it with cgroups.
type groups struct{ tree cgroup.Tree }

// inside refuses groups that are not this instance's: a wrong path must not
// kill somebody else's processes.
func (g groups) inside(path string) error {
	base := g.tree.Path()
	if base == "" {
		return fmt.Errorf("%s: %w", path, errNoGroup)
	}
	rel, err := filepath.Rel(base, path)
	if err != nil || rel == "." || rel == ".." || strings.HasPrefix(rel, "../") {
		return fmt.Errorf("%s is not below %s: %w", path, base, errNoGroup)
	}
	return nil
}

func (g groups) prepare(_ string, paths []string) error {
	for _, p := range paths {
		if err := g.inside(p); err != nil {
			return err
		}
		if _, err := cgroup.Make(p); err != nil {
			return err
		}
	}
	return nil
}

func (g groups) freeze(ctx context.Context, hierarchy string, paths []string, on bool) error {
	var all error
	if g.tree.Path() == "" {
		return freezeMarked(ctx, hierarchy, on)
	}
	for _, p := range paths {
		if c := cgroup.At(p); c.Exists() {
			all = errors.Join(all, c.Freeze(ctx, on))
		}
	}
	return all
}

func (g groups) kill(ctx context.Context, hierarchy string, paths []string) error {
	var all error
	if g.tree.Path() == "" {
		return killMarked(ctx, hierarchy)
	}
	for _, p := range append([]string{g.tree.PathOf(commandGroup, hierarchy)}, paths...) {
		all = errors.Join(all, killGroup(ctx, cgroup.At(p)))
	}
	return all
}

// killGroup kills a group and removes it: left there frozen, it would freeze
// what is started in it next.
func killGroup(ctx context.Context, c cgroup.Group) error {
	if !c.Exists() {
		return nil
	}
	if err := c.Kill(ctx); err != nil {
		return err
	}
	if err := c.Remove(); err != nil && c.Exists() {
		return c.Freeze(ctx, false)
	}
	return nil
}

func (g groups) removeAddress(a guard.Address) error { return fence.RemoveAddress(a.Addr, a.Device) }
