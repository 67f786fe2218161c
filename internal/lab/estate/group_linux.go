package estate

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"time"
)

// Group is the path of a cgroup v2.
type Group string

// Mount finds where cgroup v2 is: alone at /sys/fs/cgroup, or beside the
// old hierarchies on a hybrid system, where only freezing and killing are to be
// had; we need no more.
func Mount() (string, error) {
	f, err := os.Open("/proc/self/mountinfo")
	if err != nil {
		return "", err
	}
	defer f.Close()
	for scan := bufio.NewScanner(f); scan.Scan(); {
		// id parent dev root mountpoint options … - type source options
		before, after, ok := strings.Cut(scan.Text(), " - ")
		fields := strings.Fields(before)
		if ok && len(fields) >= 5 && strings.HasPrefix(after, "cgroup2 ") {
			return fields[4], nil
		}
	}
	return "", errors.New("no cgroup v2 is mounted; the lab needs it for power loss and freeze: mount -t cgroup2 none /sys/fs/cgroup/unified")
}

func (c Group) Make() error {
	if err := os.MkdirAll(string(c), 0o755); err != nil {
		return fmt.Errorf("make cgroup: %w", err)
	}
	return nil
}

func (c Group) Write(file, value string) error {
	if err := os.WriteFile(filepath.Join(string(c), file), []byte(value), 0o600); err != nil {
		return fmt.Errorf("write %s to %s of cgroup: %w", value, file, err)
	}
	return nil
}

// event reads a key of cgroup.events.
func (c Group) event(key string) (string, error) {
	text, err := os.ReadFile(filepath.Join(string(c), "cgroup.events"))
	if err != nil {
		return "", err
	}
	for line := range strings.Lines(string(text)) {
		if name, value, _ := strings.Cut(strings.TrimSpace(line), " "); name == key {
			return value, nil
		}
	}
	return "", fmt.Errorf("cgroup.events of %s has no %s", c, key)
}

// await waits until a key of cgroup.events has a value.
func (c Group) await(ctx context.Context, key, value string) error {
	ticker := time.NewTicker(time.Millisecond)
	defer ticker.Stop()
	for {
		got, err := c.event(key)
		if err != nil {
			return err
		}
		if got == value {
			return nil
		}
		select {
		case <-ctx.Done():
			return fmt.Errorf("wait for %s %s in cgroup %s: %w", key, value, c, context.Cause(ctx))
		case <-ticker.C:
		}
	}
}

// Freeze stops (or continues) everything in the cgroup and below.
func (c Group) Freeze(ctx context.Context, frozen bool) error {
	value := "0"
	if frozen {
		value = "1"
	}
	if err := c.Write("cgroup.freeze", value); err != nil {
		return err
	}
	return c.await(ctx, "frozen", value)
}

// Kill ends everything in the cgroup and below and waits until it is gone.
func (c Group) Kill(ctx context.Context) error {
	if err := c.Write("cgroup.kill", "1"); err != nil {
		return err
	}
	return c.await(ctx, "populated", "0")
}

// Remove removes the empty cgroup and those below.
func (c Group) Remove() error {
	var dirs []string
	err := filepath.WalkDir(string(c), func(path string, d fs.DirEntry, err error) error {
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if errors.Is(err, fs.ErrNotExist) {
		return nil
	}
	for _, dir := range slices.Backward(dirs) {
		if err := os.Remove(dir); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove cgroup: %w", err)
		}
	}
	return err
}

// PIDs lists the processes in the cgroup and below.
func (c Group) PIDs() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(string(c), func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil // gone meanwhile
		}
		if err != nil || d.Name() != "cgroup.procs" {
			return err
		}
		text, err := os.ReadFile(path)
		if err != nil {
			return nil // gone meanwhile
		}
		for _, field := range strings.Fields(string(text)) {
			if pid, err := strconv.Atoi(field); err == nil && pid > 0 {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	return pids, err
}
