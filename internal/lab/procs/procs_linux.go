package procs

import (
	"errors"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"
)

// Process is a process as seen in /proc.
type Process struct {
	PID, Parent int
	// Start is its start time in ticks since boot: with the id it names the
	// process for good.
	Start uint64
	// State is one letter, T for stopped.
	State byte
	Argv  []string
}

// Read looks at a process; ok is false if it is gone.
func Read(pid int) (p Process, ok bool, err error) {
	dir := filepath.Join("/proc", strconv.Itoa(pid))
	stat, err := os.ReadFile(filepath.Join(dir, "stat"))
	if err != nil {
		return p, false, nil
	}
	cmdline, err := os.ReadFile(filepath.Join(dir, "cmdline"))
	if err != nil {
		return p, false, nil
	}
	p, err = ParseStat(string(stat))
	p.PID = pid
	p.Argv = strings.Split(strings.TrimSuffix(string(cmdline), "\x00"), "\x00")
	return p, err == nil, err
}

// ParseStat reads state, parent and start time of a stat file.
// Source: proc_pid_stat(5), fields 2, 3, 4 and 22.
func ParseStat(stat string) (Process, error) {
	begin, end := strings.IndexByte(stat, '('), strings.LastIndexByte(stat, ')')
	if begin < 0 || end < begin {
		return Process{}, fmt.Errorf("read process state: no name in %q", stat)
	}
	fields := strings.Fields(stat[end+1:])
	if len(fields) < 20 {
		return Process{}, fmt.Errorf("read process state: %d fields after the name, need 20", len(fields))
	}
	p := Process{State: fields[0][0]}
	var err error
	if p.Parent, err = strconv.Atoi(fields[1]); err != nil {
		return Process{}, fmt.Errorf("read process state: parent: %w", err)
	}
	if p.Start, err = strconv.ParseUint(fields[19], 10, 64); err != nil {
		return Process{}, fmt.Errorf("read process state: start time: %w", err)
	}
	return p, nil
}

// Marked finds the processes of this user whose environment has an entry of
// which is reports true.
func Marked(is func(entry string) bool) ([]Process, error) {
	dirs, err := filepath.Glob("/proc/[0-9]*")
	if err != nil {
		return nil, err
	}
	var all []Process
	for _, dir := range dirs {
		environ, err := os.ReadFile(filepath.Join(dir, "environ"))
		if err != nil || !slices.ContainsFunc(strings.Split(string(environ), "\x00"), is) {
			continue // gone, or not ours
		}
		pid, err := strconv.Atoi(filepath.Base(dir))
		if err != nil {
			continue
		}
		p, ok, err := Read(pid)
		if err != nil {
			return nil, err
		}
		if ok && p.State != 'Z' {
			all = append(all, p)
		}
	}
	return all, nil
}

// Tree returns the ids of a process and its descendants.
func Tree(all []Process, root int) []int {
	pids := []int{root}
	for i := 0; i < len(pids); i++ {
		for _, p := range all {
			if p.Parent == pids[i] {
				pids = append(pids, p.PID)
			}
		}
	}
	return pids
}

// Perdure finds perdure's processes that run for long, by their first argument;
// role "" finds all of them. binary is the path of the program.
func Perdure(all []Process, binary, role string) []Process {
	var mine []Process
	for _, p := range all {
		if len(p.Argv) < 2 || filepath.Base(p.Argv[0]) != filepath.Base(binary) {
			continue
		}
		switch p.Argv[1] {
		case "guardian", "daemon", "witness":
			if role == "" || role == p.Argv[1] {
				mine = append(mine, p)
			}
		}
	}
	return mine
}

// Signal sends a signal to processes; one that is gone already is fine.
func Signal(pids []int, s syscall.Signal) error {
	var errs []error
	for _, pid := range pids {
		if err := syscall.Kill(pid, s); err != nil && !errors.Is(err, syscall.ESRCH) {
			errs = append(errs, fmt.Errorf("send %v to %d: %w", s, pid, err))
		}
	}
	return errors.Join(errs...)
}

// IDs are the processes' ids.
func IDs(ps []Process) []int {
	pids := make([]int, len(ps))
	for i, p := range ps {
		pids[i] = p.PID
	}
	return pids
}
