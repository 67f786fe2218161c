//go:build !linux && !windows

package host

func name() string { return "" }
