package netns

import (
	"context"

	"github.com/perdure-ha/perdure/internal/lab/inside"
)

// CorruptState damages a node's state; perdure must not run there.
func (l *Lab) CorruptState(_ context.Context, node string) error {
	return l.within(node, (*inside.Node).CorruptState)
}

// LoseState removes a node's state.
func (l *Lab) LoseState(_ context.Context, node string) error {
	return l.within(node, (*inside.Node).LoseState)
}

// SaveState copies a node's state, as a snapshot of its disk would. The node
// may run: what isn't synced yet may be missing.
func (l *Lab) SaveState(_ context.Context, node string) error {
	return l.within(node, (*inside.Node).SaveState)
}

// RevertState puts the copy back.
func (l *Lab) RevertState(_ context.Context, node string) error {
	return l.within(node, (*inside.Node).RevertState)
}
