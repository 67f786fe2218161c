//go:build !linux

package demo

import (
	"context"
	"errors"
)

func confined(Options) error { return nil }

func open(context.Context, Options, bool) (Stage, error) {
	return nil, errors.New("the demo runs on Linux only")
}
