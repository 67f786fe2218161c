package filesystem

import (
	"slices"
	"strings"
)

// refusedOptions would mount something else than the device, or at another time.
var refusedOptions = []string{"bind", "rbind", "remount", "loop", "offset", "move", "noauto", "user", "users"}

// matters are the options that change what applications may do. Everything
// else (noatime, discard, errors=, inode64, what the kernel adds) is never a
// reason to fail over. Each is set or undone by the words beside it.
var matters = []struct{ word, undone string }{
	{"sync", "async"}, {"dirsync", ""}, {"noexec", "exec"}, {"nosuid", "suid"}, {"nodev", "dev"},
}

// readOnlyMarks are what the kernel shows of a file system that it has shut
// down after errors: the mount stays rw and every write fails.
var readOnlyMarks = []string{"emergency_ro", "shutdown"}

// wantsReadOnly reports whether the options ask for a read-only mount; the
// last word counts, as it does for mount.
func wantsReadOnly(options []string) bool {
	ro := false
	for _, o := range options {
		switch o {
		case "ro":
			ro = true
		case "rw", "defaults":
			ro = false
		}
	}
	return ro
}

// isReadOnly reports whether nothing can be written through a mount.
func isReadOnly(actual []string) bool {
	return slices.Contains(actual, "ro") || slices.ContainsFunc(readOnlyMarks, func(m string) bool { return slices.Contains(actual, m) })
}

// missing lists the wanted options that matter and that the mount doesn't have.
func missing(wanted, actual []string) []string {
	var out []string
	for _, m := range matters {
		on := false
		for _, o := range wanted {
			switch o {
			case m.word:
				on = true
			case m.undone, "defaults":
				on = false
			}
		}
		if on && !slices.Contains(actual, m.word) {
			out = append(out, m.word)
		}
	}
	if wantsReadOnly(wanted) && !isReadOnly(actual) {
		out = append(out, "ro")
	}
	for _, o := range wanted {
		name, value, _ := strings.Cut(o, "=")
		if name == "subvolid" && !slices.Contains(actual, o) {
			out = append(out, o)
		}
		if name == "subvol" && !slices.Contains(actual, "subvol=/"+strings.TrimPrefix(value, "/")) {
			out = append(out, o)
		}
	}
	return out
}
