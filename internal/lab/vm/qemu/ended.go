package qemu

import "github.com/perdure-ha/perdure/internal/lab/vm/qmp"

// Why a machine ended.
const (
	endedPoweredOff = "powered off"
	endedPanic      = "panic"
	endedWatchdog   = "reset by watchdog"
	endedReset      = "reset"
	endedKilled     = "killed"
	endedMigrated   = "migrated"
	endedReverted   = "reverted"
	endedQuit       = "quit"
)

// verdict gathers from QEMU's events why the machine ends. A watchdog and a panic
// are told before the reset that they cause.
//
// A reset that nothing explains is the guest's own: a reboot, the kernel's
// restart after a panic that pvpanic had no driver for, softdog, or a triple
// fault. The console says which.
type verdict struct {
	watchdog, panicked bool
	reason             string
}

func (v *verdict) see(e qmp.Event) {
	switch e.Name {
	case "WATCHDOG":
		v.watchdog = true
	case "GUEST_PANICKED":
		v.panicked = true
	case "SHUTDOWN":
		var data struct {
			Reason string `json:"reason"`
		}
		if e.Decode(&data) == nil && v.reason == "" {
			v.reason = data.Reason
		}
	}
}

// ended is the reason once the process is gone.
func (v *verdict) ended() string {
	switch {
	case v.panicked || v.reason == "guest-panic":
		return endedPanic
	case v.watchdog && v.reason == "guest-reset":
		return endedWatchdog
	}
	switch v.reason {
	case "guest-shutdown":
		return endedPoweredOff
	case "guest-reset", "host-qmp-system-reset":
		return endedReset
	case "host-qmp-quit":
		return endedQuit
	}
	return endedKilled
}
