package daemon

import (
	"os"
	"syscall"
)

// stopParent asks the guardian, which started this process, to end.
func stopParent() {
	if pid := os.Getppid(); pid > 1 {
		_ = syscall.Kill(pid, syscall.SIGTERM) // if it is gone there is nothing to end
	}
}
