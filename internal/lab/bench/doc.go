// Command bench measures what is promised about speed and cost, on real processes in the
// process lab, from outside: medians of at least five.
//
//	go run ./internal/lab/bench            the table
//	go run ./internal/lab/bench -json      the same for machines
//
// Outages are those of a client that asks every 5 ms. What the service needs by
// itself to start and to stop is measured alone, with the same command, and
// taken off where the target is beyond it. keepalived is measured in the same run
// where it is installed. A missed target is marked and is no failure: the machine
// may be doing other things.
//
// An idle cluster has the kits' default intervals, so one check a second of each
// resource on the owner. The demo asks for the page five times a second, which is
// to show faults of its page quickly and costs the owner about 0.8 % of a core more.
//
// Start reading at main_linux.go.
package main
