//go:build !linux

package resident

import "runtime/debug"

// Trim gives back what the start has used.
func Trim() {
	debug.SetGCPercent(percent)
	debug.FreeOSMemory()
}
