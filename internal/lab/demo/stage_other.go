//go:build !linux

package demo

import (
	"context"
	"errors"
)

func open(context.Context, Options, bool) (Stage, error) {
	return nil, errors.New("the demo needs network namespaces: run it on Linux as root")
}
