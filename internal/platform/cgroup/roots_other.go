//go:build !linux

package cgroup

import "errors"

func findRoots() ([]string, error) {
	return nil, errors.New("cgroups exist on Linux only")
}
