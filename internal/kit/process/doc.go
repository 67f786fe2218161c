// Package process is the kit that supervises a program directly: it starts it,
// notices its end at once, and ends all that it forked.
//
// It owns the program's identity across a restart of the daemon (process id,
// start time and boot in the run directory), its group, its output file and
// the wait for its readiness. It leaves to the planner whether it is started
// again. The program doesn't depend on the daemon: it runs on when the daemon
// dies, and the next one adopts it.
//
// Concurrency is that of kit.Resource.
//
// Start reading at kit.go, then process.go.
package process
