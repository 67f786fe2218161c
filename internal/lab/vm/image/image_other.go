//go:build !linux

package image

import (
	"context"
	"errors"
)

var errLinux = errors.New("virtual machines of the lab need Linux")

// Make fails: the lab is Linux only.
func Make(context.Context, Options) (Images, error) { return Images{}, errLinux }

// Missing says that Linux is.
func Missing([]Kind) error { return errLinux }
