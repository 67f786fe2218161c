package device

import (
	"bufio"
	"fmt"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// sysDir is where sysfs describes a block device.
func sysDir(dev uint64) string {
	return fmt.Sprintf("/sys/dev/block/%d:%d", unix.Major(dev), unix.Minor(dev))
}

// attribute reads a number of the device's queue; 0 if there is none. A
// partition's is its disk's.
func (h *handle) attribute(name string) int64 {
	for _, dir := range []string{"/queue/", "/../queue/"} {
		text, err := os.ReadFile(sysDir(h.dev) + dir + name)
		if err != nil {
			continue
		}
		var n int64
		_, _ = fmt.Sscan(string(text), &n)
		return n
	}
	return 0
}

// userOf says in words what uses a device or file, or "". It is for a clear
// message: that nothing else writes is made sure by the exclusive opening.
func userOf(path string, st *unix.Stat_t) string {
	if st.Mode&unix.S_IFMT == unix.S_IFREG {
		return userOfFile(path)
	}
	if user := userOfDevice(st.Rdev); user != "" {
		return user
	}
	parts, _ := filepath.Glob(sysDir(st.Rdev) + "/*/partition")
	for _, p := range parts {
		var major, minor uint32
		text, _ := os.ReadFile(filepath.Join(filepath.Dir(p), "dev"))
		if _, err := fmt.Sscanf(string(text), "%d:%d", &major, &minor); err != nil {
			continue
		}
		if user := userOfDevice(unix.Mkdev(major, minor)); user != "" {
			return "its partition " + filepath.Base(filepath.Dir(p)) + ": " + user
		}
	}
	return ""
}

func userOfDevice(dev uint64) string {
	id := fmt.Sprintf("%d:%d", unix.Major(dev), unix.Minor(dev))
	if at := field(lines("/proc/self/mountinfo"), 2, 4, func(f string) bool { return f == id }); at != "" {
		return "it is mounted at " + at
	}
	swap := field(lines("/proc/swaps"), 0, 0, func(f string) bool {
		var st unix.Stat_t
		return unix.Stat(f, &st) == nil && st.Mode&unix.S_IFMT == unix.S_IFBLK && st.Rdev == dev
	})
	if swap != "" {
		return "the system swaps to it"
	}
	if holders, _ := os.ReadDir(sysDir(dev) + "/holders"); len(holders) > 0 {
		return "device " + holders[0].Name() + " is built on it"
	}
	return ""
}

func userOfFile(path string) string {
	real, err := filepath.EvalSymlinks(path)
	if err != nil {
		return ""
	}
	if real, err = filepath.Abs(real); err != nil {
		return ""
	}
	backing, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, b := range backing {
		if text, _ := os.ReadFile(b); strings.TrimSuffix(string(text), "\n") == real {
			return "loop device " + filepath.Base(filepath.Dir(filepath.Dir(b))) + " is built on it"
		}
	}
	if field(lines("/proc/swaps"), 0, 0, func(f string) bool { return f == real }) != "" {
		return "the system swaps to it"
	}
	return ""
}

// field finds the first line whose field number key is wanted and returns its
// field number value.
func field(lines []string, key, value int, wanted func(string) bool) string {
	for _, l := range lines {
		if f := strings.Fields(l); len(f) > max(key, value) && wanted(f[key]) {
			return f[value]
		}
	}
	return ""
}

func lines(path string) []string {
	f, err := os.Open(path)
	if err != nil {
		return nil
	}
	defer f.Close()
	var all []string
	for s := bufio.NewScanner(f); s.Scan(); {
		all = append(all, s.Text())
	}
	return all
}
