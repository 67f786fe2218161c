// Package world runs whole clusters of real cores in one thread, under virtual
// time, with every fault that a seed draws: loss, delay, reordering, one-way
// cuts, crashes, freezes with the clock running or standing, clock drift, slow
// and failing disks.
//
// It owns the model of everything outside a core (network, disk, clocks,
// guardian, kits) and the checkers of the invariants. It leaves every decision
// to core. The simulator (lab/sim) and the scenario tests are its users.
//
// A World is not safe for concurrent use; different Worlds are independent.
//
// Start reading at world.go (time), then node.go (a machine), check.go (what
// must hold), schedule.go (what is done to it).
package world
