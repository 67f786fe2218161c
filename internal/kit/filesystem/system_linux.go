package filesystem

import (
	"bufio"
	"context"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strings"
	"time"

	"golang.org/x/sys/unix"
)

// numberOf is the device number of a block device.
func numberOf(path string) (number, error) {
	st, err := os.Stat(path)
	if err != nil {
		return number{}, err
	}
	sys, ok := st.Sys().(*unix.Stat_t)
	if !ok {
		var s unix.Stat_t
		if err := unix.Stat(path, &s); err != nil {
			return number{}, &fs.PathError{Op: "stat", Path: path, Err: err}
		}
		sys = &s
	}
	if sys.Mode&unix.S_IFMT != unix.S_IFBLK {
		return number{}, &fs.PathError{Op: "stat", Path: path, Err: errors.New("it is no block device")}
	}
	return number{int(unix.Major(sys.Rdev)), int(unix.Minor(sys.Rdev))}, nil
}

// btrfsDevices are the numbers of all devices of the btrfs that a device
// belongs to, as far as the kernel has it in use.
// Source: Documentation/ABI/testing/sysfs-fs-btrfs.
func btrfsDevices(path string) []number {
	own, err := numberOf(path)
	if err != nil {
		return nil
	}
	groups, _ := filepath.Glob("/sys/fs/btrfs/*/devices")
	for _, g := range groups {
		var all []number
		mine := false
		entries, _ := filepath.Glob(g + "/*/dev")
		for _, e := range entries {
			var n number
			b, err := os.ReadFile(e)
			if err != nil {
				continue
			}
			if _, err := fmt.Sscanf(string(b), "%d:%d", &n.major, &n.minor); err == nil {
				all = append(all, n)
				mine = mine || n == own
			}
		}
		if mine {
			return all
		}
	}
	return nil
}

// realPath is a path without symbolic links; what isn't there yet has none.
func realPath(path string) (string, error) {
	real, err := filepath.EvalSymlinks(path)
	if errors.Is(err, fs.ErrNotExist) {
		return path, nil
	}
	return real, err
}

// held reports whether something in the kernel has the device for itself: a
// file system that is mounted in any namespace, md, LVM or multipath.
func held(path string) (bool, error) {
	fd, err := unix.Open(path, unix.O_RDONLY|unix.O_EXCL|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if errors.Is(err, unix.EBUSY) {
		return true, nil
	}
	if err != nil {
		return false, fmt.Errorf("open %s: %w", path, err)
	}
	return false, unix.Close(fd)
}

// knownType reports whether the kernel has the file system, or a module of it.
func knownType(fstype string) bool {
	b, err := os.ReadFile("/proc/filesystems")
	if err != nil {
		return true // mount will say
	}
	for line := range strings.Lines(string(b)) {
		if f := strings.Fields(line); len(f) > 0 && f[len(f)-1] == fstype {
			return true
		}
	}
	var u unix.Utsname
	if err := unix.Uname(&u); err != nil {
		return true
	}
	list, err := os.Open("/lib/modules/" + unix.ByteSliceToString(u.Release[:]) + "/modules.dep")
	if err != nil {
		return false
	}
	defer list.Close()
	for s := bufio.NewScanner(list); s.Scan(); {
		if path, _, _ := strings.Cut(s.Text(), ":"); strings.HasPrefix(filepath.Base(path), fstype+".ko") {
			return true
		}
	}
	return false
}

// changes calls back at once and after each change of the mount table, until
// the context ends. No thread waits: the kernel wakes the runtime's poller. The
// look comes after the poller was armed, so that no change falls between; that
// the poller woke is all there is to know, because its own question already
// took the kernel's mark of a change.
// Source: proc_pid_mountinfo(5), mounts_poll in the kernel's fs/namespace.c.
func changes(ctx context.Context, changed func()) error {
	fd, err := unix.Open("/proc/self/mountinfo", unix.O_RDONLY|unix.O_CLOEXEC|unix.O_NONBLOCK, 0)
	if err != nil {
		return fmt.Errorf("watch the mount table: %w", err)
	}
	file := os.NewFile(uintptr(fd), "mountinfo")
	defer file.Close()
	stop := context.AfterFunc(ctx, func() { file.SetReadDeadline(time.Unix(1, 0)) })
	defer stop()
	raw, err := file.SyscallConn()
	if err != nil {
		return fmt.Errorf("watch the mount table: %w", err)
	}
	for {
		armed := false
		err := raw.Read(func(uintptr) bool {
			if armed {
				return true
			}
			armed = true
			changed()
			return false
		})
		if ctx.Err() != nil {
			return ctx.Err()
		}
		if err != nil {
			return fmt.Errorf("watch the mount table: %w", err)
		}
	}
}
