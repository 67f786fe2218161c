//go:build !linux

package guardian

import (
	"context"

	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// Processes can't be made to stand here: a frozen hierarchy is one that is to be
// killed as soon as the lease ends.
func freezeMarked(_ context.Context, _ string, on bool) error {
	if !on {
		return nil
	}
	return errNoGroup
}

// killMarked kills what the guardian started and that names the hierarchy.
func killMarked(ctx context.Context, hierarchy string) error {
	return proc.KillTree(ctx, proc.Match{Mark: "PERDURE_HIERARCHY=" + hierarchy})
}
