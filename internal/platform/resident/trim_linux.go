package resident

import (
	"bufio"
	"bytes"
	"fmt"
	"io"
	"os"
	"runtime/debug"
	"strings"

	"golang.org/x/sys/unix"
)

// Trim gives back what the start has used. Whatever of the program runs on is
// mapped again when it is used, from the page cache. It is called once the start
// is over, and before memory is locked: locked memory can't be given back.
func Trim() {
	debug.SetGCPercent(percent)
	debug.FreeOSMemory()
	// What fails only leaves the process larger.
	maps, err := os.ReadFile("/proc/self/smaps")
	if err != nil {
		return
	}
	program, err := os.Readlink("/proc/self/exe")
	if err != nil {
		return
	}
	for _, m := range pristine(bytes.NewReader(maps), program) {
		_, _, _ = unix.Syscall(unix.SYS_MADVISE, m.begin, m.end-m.begin, unix.MADV_DONTNEED)
	}
}

// mapping is a range of addresses.
type mapping struct{ begin, end uintptr }

// pristine finds the mappings of a file that can't be written and never were:
// each of their pages is as in the file. (A linker's read-only data is written
// before it is protected.) Source: proc_pid_smaps(5).
func pristine(smaps io.Reader, file string) []mapping {
	var found []mapping
	var m mapping
	candidate := false
	lines := bufio.NewScanner(smaps)
	for lines.Scan() {
		f := strings.Fields(lines.Text())
		if len(f) < 2 {
			continue
		}
		if !strings.HasSuffix(f[0], ":") {
			_, err := fmt.Sscanf(f[0], "%x-%x", &m.begin, &m.end)
			candidate = err == nil && len(f) >= 6 && strings.HasPrefix(f[1], "r-") && strings.HasSuffix(f[1], "p") &&
				strings.Join(f[5:], " ") == file
		}
		if candidate && f[0] == "Anonymous:" && f[1] == "0" {
			found = append(found, m)
		}
	}
	return found
}
