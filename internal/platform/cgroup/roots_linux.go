package cgroup

import (
	"bufio"
	"bytes"
	"errors"
	"os"
	"path/filepath"
	"strings"

	"golang.org/x/sys/unix"
)

// findRoots lists the directories below which groups may be made, best first.
func findRoots() ([]string, error) {
	var mounts []string
	if info, err := os.ReadFile("/proc/self/mountinfo"); err == nil {
		mounts = mountsOf(info)
	}
	mounts = append(mounts, "/sys/fs/cgroup", "/sys/fs/cgroup/unified")
	own := ""
	if text, err := os.ReadFile("/proc/self/cgroup"); err == nil {
		own = ownGroup(text)
	}
	for _, m := range mounts {
		// A mount may be hidden by a later one, as ip-netns does with /sys.
		var fs unix.Statfs_t
		if err := unix.Statfs(m, &fs); err != nil || fs.Type != unix.CGROUP2_SUPER_MAGIC {
			continue
		}
		if own == "" || own == "/" {
			return []string{m}, nil
		}
		return []string{m, filepath.Join(m, own)}, nil
	}
	return nil, errors.New("no version 2 cgroup hierarchy is mounted (mount -t cgroup2 none /sys/fs/cgroup)")
}

// mountsOf finds the mount points of version 2 hierarchies in a mountinfo.
// Source: proc_pid_mountinfo(5): the type is the field after the lone dash, the
// mount point is field 5 with blanks as \040.
func mountsOf(info []byte) []string {
	var found []string
	lines := bufio.NewScanner(bytes.NewReader(info))
	for lines.Scan() {
		before, after, ok := strings.Cut(lines.Text(), " - ")
		left, right := strings.Fields(before), strings.Fields(after)
		if !ok || len(left) < 5 || len(right) < 1 || right[0] != "cgroup2" {
			continue
		}
		found = append(found, strings.NewReplacer(`\040`, " ", `\011`, "\t", `\134`, `\`).Replace(left[4]))
	}
	return found
}

// ownGroup finds this process's place in the version 2 hierarchy: the line of
// hierarchy 0.
func ownGroup(text []byte) string {
	for line := range strings.Lines(string(text)) {
		if path, ok := strings.CutPrefix(strings.TrimSpace(line), "0::"); ok && !strings.Contains(path, "..") {
			return path
		}
	}
	return ""
}
