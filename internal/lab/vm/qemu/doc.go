// Package qemu runs virtual machines of the lab by QEMU, with its software
// emulation (TCG): slower than user-mode-linux, and able to do what that can't:
// live and storage migration, disk errors, hot unplug, a non-maskable interrupt,
// a hardware watchdog.
//
// It owns QEMU's process, its command line and its QMP connection. Networks, taps
// and namespaces are there before; kernel and userland are package image's.
//
// A reset of the guest ends QEMU: the lab boots it again, and so every end has a
// reason (Ended). Control and QMP are socket pairs whose far ends the process
// inherits: no path, no race, and the same control socket is handed to the target
// of a migration, so that the agent's stream goes on without a gap. So is the
// guest's memory, a file without a name.
//
// A Machine does one act at a time; Done, Ended and Control may be used
// meanwhile. One goroutine per process waits for its end. Start reading at
// machine_linux.go; command.go is the command line.
package qemu
