package server

import (
	"fmt"
	"os"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
)

// oomScore makes the OOM killer take others first: without this process no dirty
// page of its volumes can be written, so killing it frees nothing.
const oomScore = "-999"

// Protect makes this process one that goes on when memory is short, as far as it is
// permitted; what isn't is returned. It is called once, before anything is served.
func Protect() (weaker []cluster.Reason) {
	try := func(what string, err error) {
		if err != nil {
			weaker = append(weaker, cluster.Because(message.VolumeServerWeaker, what, err))
		}
	}
	// Memory that this process asks for is never waited for by writing dirty
	// pages back: they might be pages of its own volumes (prctl(2)). The flag is
	// a thread's; new threads inherit it from the one that makes them.
	try("PR_SET_IO_FLUSHER", allThreads(unix.PR_SET_IO_FLUSHER, 1))
	// All of it, the program's text too: it may lie on a disk that waits.
	try("mlockall", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE))
	try("oom_score_adj", os.WriteFile("/proc/self/oom_score_adj", []byte(oomScore), 0))
	return weaker
}

func allThreads(option, value uintptr) error {
	if _, _, errno := syscall.AllThreadsSyscall(unix.SYS_PRCTL, option, value, 0); errno != 0 {
		return fmt.Errorf("prctl on all threads: %w", errno)
	}
	return nil
}
