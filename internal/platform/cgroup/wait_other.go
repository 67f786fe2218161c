//go:build !linux

package cgroup

import (
	"context"
	"errors"
	"os"
)

func (g Group) await(context.Context, string, string) error {
	return errors.New("cgroups exist on Linux only")
}

func vanished(err error) bool { return errors.Is(err, os.ErrNotExist) }

// Empty returns when no process lives in the group any more.
func (g Group) Empty(ctx context.Context) error { return g.await(ctx, "populated", "0") }
