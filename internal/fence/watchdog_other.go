//go:build !linux

package fence

import (
	"runtime"
	"time"

	"github.com/perdure-ha/perdure/internal/message"
)

// OpenWatchdog says that this system has none.
func OpenWatchdog(string, time.Duration) (Watchdog, error) {
	return nil, message.New(message.WatchdogMissing, runtime.GOOS)
}
