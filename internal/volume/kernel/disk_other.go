//go:build !linux

package kernel

import (
	"errors"
	"log/slog"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/volume/front"
	"github.com/perdure-ha/perdure/internal/volume/nbd"
)

// Options are as on Linux.
type Options struct {
	Backend       string
	Sockets       int
	Timeout, Dead time.Duration
	Log           *slog.Logger
}

// Disk is none: NBD is a client of the Linux kernel.
type Disk struct{}

// Attach fails.
func Attach(*nbd.Server, front.Volume, Options) (*Disk, error) {
	return nil, message.New(message.KernelWithoutNBD, "it isn't Linux")
}

// Device is none.
func (*Disk) Device() string { return "" }

// Detach fails.
func (*Disk) Detach() error { return errors.New("there is no disk of the kernel") }

// Leave does nothing.
func (*Disk) Leave() {}
