package estate

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"sync/atomic"
	"syscall"

	"github.com/perdure-ha/perdure/internal/lab/procs"
)

// namePrefix begins the names of a lab's cgroup and directory. The whole is
// perdure-lab-PID-START-SEQ, START being the start time of the process, so that
// a later process with the same id isn't mistaken for it.
const namePrefix = "perdure-lab-"

// keptPrefix takes its place in the name of a directory that was to be kept.
const keptPrefix = "perdure-logs-"

func keptDir(dir string) string {
	return filepath.Join(filepath.Dir(dir), keptPrefix+strings.TrimPrefix(filepath.Base(dir), namePrefix))
}

var labSeq atomic.Uint64

// NewName returns a name that no other lab on this machine has.
func NewName() (string, error) {
	start, err := startTime(os.Getpid())
	if err != nil {
		return "", err
	}
	return fmt.Sprintf("%s%d-%d-%d", namePrefix, os.Getpid(), start, labSeq.Add(1)), nil
}

// Alive reports whether the process of a lab's name lives. A name of another
// form belongs to nobody here, and is alive.
func Alive(name string) bool {
	rest, ok := strings.CutPrefix(name, namePrefix)
	fields := strings.Split(rest, "-")
	if !ok || len(fields) != 3 {
		return true
	}
	pid, err1 := strconv.Atoi(fields[0])
	start, err2 := strconv.ParseUint(fields[1], 10, 64)
	if err1 != nil || err2 != nil || pid <= 0 {
		return true
	}
	now, err := startTime(pid)
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return false
	}
	return err != nil || now == start
}

func startTime(pid int) (uint64, error) {
	p, ok, err := procs.Read(pid)
	if err == nil && !ok {
		err = os.ErrNotExist
	}
	return p.Start, err
}

// Stale finds in a directory what labs of dead processes left.
func Stale(dir string) ([]string, error) {
	all, err := filepath.Glob(filepath.Join(dir, namePrefix+"*"))
	return slices.DeleteFunc(all, func(path string) bool { return Alive(filepath.Base(path)) }), err
}

// RemoveStale removes what labs of dead processes left: their processes,
// cgroups and directories.
func RemoveStale(cgroups, dirs string) error {
	var errs []error
	groups, err := Stale(cgroups)
	errs = append(errs, err)
	for _, path := range groups {
		errs = append(errs, destroy(Group(path)))
	}
	left, err := Stale(dirs)
	errs = append(errs, err)
	for _, path := range left {
		errs = append(errs, os.RemoveAll(path))
	}
	if err := errors.Join(errs...); err != nil {
		return fmt.Errorf("remove what an earlier lab left: %w", err)
	}
	return nil
}
