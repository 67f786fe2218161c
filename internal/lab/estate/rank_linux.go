package estate

import (
	"fmt"
	"os"
	"syscall"
)

// Rank gives the session of a process of ours the nice value of this process. A kernel
// that shares processors out by session first (kernel.sched_autogroup_enabled) lets
// nice weigh only within one, and each session that a lab starts would weigh as much
// as any other on the machine. Source: sched(7), "The autogroup feature".
func Rank(pid int) {
	// The system call counts from 40 down to 1. Source: getpriority(2).
	value, err := syscall.Getpriority(syscall.PRIO_PROCESS, 0)
	if err != nil {
		return
	}
	// Without autogroups there is no such file, and nothing to be done.
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/autogroup", pid), fmt.Appendln(nil, 20-value), 0)
}
