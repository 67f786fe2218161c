// Command freeze measures what a guest knows of time after it was stopped, and
// for how long the address gate of a thawed node stays open. Its figures are in
// docs/design/freeze.md.
//
//	go run ./internal/lab/vm/freeze
//
// It needs root, QEMU and the lab's images; PERDURE_LAB_KERNEL may name an unpacked
// linux-image package instead. User-mode-linux is measured if it is there. All
// defaults take 22 minutes.
//
// As process 1 it is the guest of package tinyguest. It owns the measurement; the
// machines are package qemu's. Start reading at main_linux.go.
package main
