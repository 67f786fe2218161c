// Package machine says what a virtual machine of the lab is, whichever kind: a
// kernel of its own with memory, disks, network cards and a control channel that
// is no network.
//
// The kinds are packages beside it: uml (user-mode-linux, quick) and qemu
// (migration, watchdog, disk errors). What not every kind can do is an interface
// of its own, found by assertion. It owns the words only; nothing here acts.
//
// Start reading at machine.go.
package machine
