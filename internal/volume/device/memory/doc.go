// Package memory is a backing device for tests, with the faults of real ones.
//
// Its fault model: a write that isn't synced may be lost, or reach the disk in
// part (any of its sectors, each whole), independently of other writes, when the
// power goes ([Device.Crash]). A sync makes durable what was done before. An
// operation fails when the test says so ([Device.Fail]), or waits until the test
// lets it go on ([Device.Hold]). A device may vanish.
//
// Submit may be called by many goroutines. Chance is a seed.
package memory
