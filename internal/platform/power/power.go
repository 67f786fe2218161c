// Package power resets or switches off the machine it runs on, at once.
//
// It leaves to others when that is right. Nothing is synced or stopped: whoever
// asks has lost the right to write. Functions may be called concurrently.
package power

// Halt resets the machine, or switches it off. It returns only if that failed,
// or while the system is still at it.
func Halt(off bool) error { return halt(off) }
