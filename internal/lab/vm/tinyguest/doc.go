// Package tinyguest is the smallest guest of the VM lab: one static program as
// PID 1 that reads clocks, arms watchdogs, opens the address gate, touches disks
// and answers on the control port. It is for tests of the kinds of machine and for
// measurements of one kernel; whole nodes have a real userland.
//
// Two halves: Main runs inside (guest_linux.go); Build puts it together with the
// modules that it loads, and Conn asks it, outside. The program that calls Main
// when it is process 1 is internal/lab/vm/freeze.
//
// A Conn may be used by many goroutines. Start reading at conn.go: the questions
// are there.
package tinyguest
