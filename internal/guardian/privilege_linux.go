package guardian

import (
	"fmt"
	"os"
	"path/filepath"
	"strconv"
	"unsafe"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/cluster"
	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/proc"
)

// becomeGuardian makes this process one that runs when nothing else does, as far
// as it is permitted. What isn't permitted is named and no obstacle.
func becomeGuardian() (weaker []cluster.Reason) {
	try := func(what string, err error) {
		if err != nil {
			weaker = append(weaker, cluster.Because(message.GuardianWeaker, what, err))
		}
	}
	try("PR_SET_CHILD_SUBREAPER", unix.Prctl(unix.PR_SET_CHILD_SUBREAPER, 1, 0, 0, 0))
	// ONFAULT: what was used once stays in memory. Locking all would also hold
	// the parts of the program that only other commands use. What the guardian
	// needs in an emergency was used by its start, which cleans in the same way.
	try("mlockall", unix.Mlockall(unix.MCL_CURRENT|unix.MCL_FUTURE|unix.MCL_ONFAULT))
	try("oom_score_adj", os.WriteFile("/proc/self/oom_score_adj", []byte("-1000"), 0))
	try("SCHED_RR", realtime())
	return weaker
}

// resetOnFork is SCHED_RESET_ON_FORK of linux/sched.h: the daemon and the
// services get an ordinary priority.
const resetOnFork = 0x40000000

// realtime gives all threads the lowest real-time priority. Threads that the
// runtime starts later have the ordinary one, by resetOnFork; the runtime has
// most of its threads by now.
func realtime() error {
	tasks, err := filepath.Glob("/proc/self/task/*")
	if err != nil {
		return err
	}
	priority := int32(1)
	for _, t := range tasks {
		tid, err := strconv.Atoi(filepath.Base(t))
		if err != nil {
			continue
		}
		_, _, errno := unix.Syscall(unix.SYS_SCHED_SETSCHEDULER, uintptr(tid), unix.SCHED_RR|resetOnFork, uintptr(unsafe.Pointer(&priority)))
		if errno != 0 && errno != unix.ESRCH {
			return fmt.Errorf("sched_setscheduler: %w", errno)
		}
	}
	return nil
}

// ordinary takes the guardian's exemption from a child: services inherit it, and
// a service that eats all memory must be the one that is killed for it.
func ordinary(pid int) {
	_ = os.WriteFile(fmt.Sprintf("/proc/%d/oom_score_adj", pid), []byte("0"), 0)
}

// bootID tells this boot from others.
func bootID() string {
	id, err := proc.BootID()
	if err != nil {
		return ""
	}
	return id
}

func lockFile(f *os.File) error { return unix.Flock(int(f.Fd()), unix.LOCK_EX|unix.LOCK_NB) }
