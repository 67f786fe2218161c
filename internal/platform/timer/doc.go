// Package timer wakes a loop at a time.
//
// Go's timers have two faults for that. They stand still while the machine is
// suspended. And each wakes an idle process three times or more: the poller sleeps
// in whole milliseconds and once more for the rest, and the scheduler's monitor
// thread wakes for every timer as well. On Linux a Timer is one of the kernel's, in
// the poller like a socket.
//
// A Timer belongs to one goroutine.
package timer
