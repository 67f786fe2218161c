package proc

import (
	"errors"
	"fmt"
	"os"
	"strconv"
	"strings"
	"sync"
	"syscall"
)

// BootID is the random id that the kernel drew at boot.
var BootID = sync.OnceValues(func() (string, error) {
	b, err := os.ReadFile("/proc/sys/kernel/random/boot_id")
	if err != nil {
		return "", fmt.Errorf("read the boot id: %w", err)
	}
	return strings.TrimSpace(string(b)), nil
})

func identify(pid int) (ID, error) {
	boot, err := BootID()
	if err != nil {
		return ID{}, err
	}
	s, err := readStat(pid)
	if err != nil {
		return ID{}, err
	}
	if s.dead() {
		return ID{}, fmt.Errorf("identify process %d: %w", pid, ErrGone)
	}
	return ID{PID: pid, Start: s.start, Boot: boot}, nil
}

func stopped(pid int) bool {
	s, err := readStat(pid)
	return err == nil && s.state == 'T'
}

func readStat(pid int) (stat, error) {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/stat")
	if errors.Is(err, os.ErrNotExist) || errors.Is(err, syscall.ESRCH) {
		return stat{}, fmt.Errorf("read the status of process %d: %w", pid, ErrGone)
	}
	if err != nil {
		return stat{}, fmt.Errorf("read the status of process %d: %w", pid, err)
	}
	s, err := parseStat(b)
	if err != nil {
		return stat{}, fmt.Errorf("process %d: %w", pid, err)
	}
	return s, nil
}
