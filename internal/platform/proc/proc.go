package proc

import "errors"

// ErrGone says that the process of an ID has ended, or that its number now
// belongs to another process.
var ErrGone = errors.New("the process has ended")

// ID names one process for ever. The number alone is given out again after an
// exit, and all of them after a boot.
type ID struct {
	PID int `json:"pid"`
	// Start is the start time in the system's own unit: clock ticks since the
	// boot on Linux, 100 ns since 1601 on Windows.
	Start uint64 `json:"start"`
	// Boot is the random id of the boot; empty where the system has none and
	// Start is absolute.
	Boot string `json:"boot,omitempty"`
}

// Identify names the process that has the number pid now.
func Identify(pid int) (ID, error) { return identify(pid) }

// Alive reports whether the process still runs. A zombie doesn't: it has ended
// and only waits for its parent.
func (id ID) Alive() bool {
	if id.PID <= 0 {
		return false
	}
	now, err := identify(id.PID)
	return err == nil && now == id
}

// Stopped reports whether the process is alive but stopped by a signal, so
// that it does nothing.
func (id ID) Stopped() bool { return id.Alive() && stopped(id.PID) }
