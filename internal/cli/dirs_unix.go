//go:build !windows

package cli

const (
	defaultStateDir = "/var/lib/perdure"
	defaultRunDir   = "/run/perdure"
)
