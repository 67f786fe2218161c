//go:build !linux

package fence

import (
	"runtime"

	"github.com/perdure-ha/perdure/internal/message"
)

// NewGate says that this system has none.
func NewGate(Options) (Gate, error) {
	return nil, message.New(message.GateUnavailable, runtime.GOOS)
}
