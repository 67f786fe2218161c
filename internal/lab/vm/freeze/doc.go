// Command freeze measures what a guest knows of time after it was stopped, and
// for how long the address gate of a thawed node stays open. Its figures are in
// docs/design/freeze.md.
//
//	PERDURE_LAB_KERNEL=DIR go run ./internal/lab/vm/freeze
//
// DIR is an unpacked linux-image package. It needs root, QEMU, xz; user-mode-linux
// is measured if it is there. All defaults take half an hour.
//
// As process 1 it is the guest of package tinyguest. It owns the measurement; the
// machines are package qemu's. Start reading at main_linux.go.
package main
