//go:build !linux

package tinyguest

// Main is only on Linux.
func Main() { panic("the guest is Linux") }
