package cgroup

import (
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
	"time"
)

// Group is one directory of the hierarchy. The zero Group is none.
type Group struct{ path string }

// At is the group of a directory, which may be gone.
func At(path string) Group { return Group{path: path} }

// Make makes the group of a directory unless it exists.
func Make(path string) (Group, error) {
	if err := os.MkdirAll(path, 0o755); err != nil {
		return Group{}, fmt.Errorf("make the group %s: %w", path, err)
	}
	return Group{path: path}, nil
}

// Path is the directory of the group; empty if there is none.
func (g Group) Path() string { return g.path }

// Exists reports whether the group is there.
func (g Group) Exists() bool {
	if g.path == "" {
		return false
	}
	_, err := os.Stat(filepath.Join(g.path, "cgroup.procs"))
	return err == nil
}

// Open opens the directory, to start a process in it.
func (g Group) Open() (*os.File, error) {
	f, err := os.Open(g.path)
	if err != nil {
		return nil, fmt.Errorf("open the group %s: %w", g.path, err)
	}
	return f, nil
}

// Add moves a process into the group.
func (g Group) Add(pid int) error { return g.write("cgroup.procs", strconv.Itoa(pid)) }

// Procs lists the processes of the group and of the groups in it. A group that
// is gone has none.
func (g Group) Procs() ([]int, error) {
	var pids []int
	err := filepath.WalkDir(g.path, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err != nil || !d.IsDir() {
			return err
		}
		b, err := os.ReadFile(filepath.Join(path, "cgroup.procs"))
		if vanished(err) {
			return nil
		}
		if err != nil {
			return err
		}
		for _, word := range strings.Fields(string(b)) {
			if pid, err := strconv.Atoi(word); err == nil {
				pids = append(pids, pid)
			}
		}
		return nil
	})
	if err != nil {
		return nil, fmt.Errorf("list the processes of the group %s: %w", g.path, err)
	}
	return pids, nil
}

// Populated reports whether any process lives in the group or in a group in
// it. One that is gone isn't.
func (g Group) Populated() (bool, error) {
	v, err := g.event("populated")
	if vanished(err) {
		return false, nil
	}
	return v == "1", err
}

// Frozen reports whether every process of the group stands still.
func (g Group) Frozen() (bool, error) {
	v, err := g.event("frozen")
	if vanished(err) {
		return false, nil
	}
	return v == "1", err
}

// Freeze makes all processes of the group stand still, or lets them go on, and
// returns when it is so. On an error some may stand and some may run.
func (g Group) Freeze(ctx context.Context, freeze bool) error {
	value := "0"
	if freeze {
		value = "1"
	}
	if err := g.write("cgroup.freeze", value); err != nil {
		return err
	}
	return g.await(ctx, "frozen", value)
}

// Kill ends all processes of the group and returns when they are gone. Frozen
// ones die as well. A group that is gone is no error.
func (g Group) Kill(ctx context.Context) error {
	if !g.Exists() {
		return nil
	}
	err := g.write("cgroup.kill", "1")
	switch {
	case err == nil:
		return g.await(ctx, "populated", "0")
	case !errors.Is(err, fs.ErrNotExist):
		return err
	}
	return g.killEach(ctx)
}

// killEach is for kernels before 5.14, which have no cgroup.kill. Frozen, they
// can't fork away; a kill signal works on the frozen.
func (g Group) killEach(ctx context.Context) error {
	g.write("cgroup.freeze", "1")
	defer g.write("cgroup.freeze", "0")
	for {
		pids, err := g.Procs()
		if err != nil {
			return err
		}
		for _, pid := range pids {
			if p, err := os.FindProcess(pid); err == nil {
				p.Kill()
				p.Release()
			}
		}
		round, cancel := context.WithTimeout(ctx, 20*time.Millisecond)
		err = g.await(round, "populated", "0")
		cancel()
		if err == nil || ctx.Err() != nil {
			return err
		}
	}
}

// Remove removes the group and those in it. It fails while a process lives in
// any of them.
func (g Group) Remove() error {
	var dirs []string
	err := filepath.WalkDir(g.path, func(path string, d fs.DirEntry, err error) error {
		if errors.Is(err, fs.ErrNotExist) {
			return nil
		}
		if err == nil && d.IsDir() {
			dirs = append(dirs, path)
		}
		return err
	})
	if err != nil {
		return fmt.Errorf("remove the group %s: %w", g.path, err)
	}
	for i := len(dirs) - 1; i >= 0; i-- {
		if err := os.Remove(dirs[i]); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove the group %s: %w", g.path, err)
		}
	}
	return nil
}

func (g Group) write(file, value string) error {
	f, err := os.OpenFile(filepath.Join(g.path, file), os.O_WRONLY, 0)
	if err == nil {
		_, err = f.WriteString(value)
		f.Close()
	}
	if err != nil {
		return fmt.Errorf("write %s to %s of the group %s: %w", value, file, g.path, err)
	}
	return nil
}

// event reads one value of cgroup.events.
func (g Group) event(key string) (string, error) {
	b, err := os.ReadFile(filepath.Join(g.path, "cgroup.events"))
	if err != nil {
		return "", fmt.Errorf("read the events of the group %s: %w", g.path, err)
	}
	return valueOf(b, key)
}

// valueOf finds a key in lines of "key value".
func valueOf(text []byte, key string) (string, error) {
	for line := range strings.Lines(string(text)) {
		if k, v, ok := strings.Cut(strings.TrimSpace(line), " "); ok && k == key {
			return v, nil
		}
	}
	return "", fmt.Errorf("the kernel's cgroup.events has no %q", key)
}
