package postgresql

import (
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"strconv"
	"strings"
)

// pidFile is what a postmaster writes into its data directory.
// Source: PostgreSQL's src/include/utils/pidfile.h.
type pidFile struct {
	pid    int
	port   int    // 0: not known yet
	socket string // directory of its socket; empty: none
	listen string // the first address that it listens on
	status string // starting, stopping, ready, standby
}

// pidFileMax bounds what is read of it (bytes).
const pidFileMax = 8 << 10

var errNoPidFile = errors.New("there is no postmaster.pid")

func parsePidFile(b []byte) (pidFile, error) {
	lines := strings.Split(string(b[:min(len(b), pidFileMax)]), "\n")
	at := func(n int) string {
		if n <= len(lines) {
			return strings.TrimSpace(lines[n-1])
		}
		return ""
	}
	pid, err := strconv.Atoi(at(1))
	if err != nil {
		return pidFile{}, fmt.Errorf("read the process in postmaster.pid: %w", err)
	}
	if pid < 0 {
		pid = -pid // a single-user server
	}
	if pid < 2 {
		return pidFile{}, fmt.Errorf("postmaster.pid names process %d", pid)
	}
	port, err := strconv.Atoi(at(4))
	if err != nil || port < 1 || port > 65535 {
		port = 0
	}
	return pidFile{pid: pid, port: port, socket: at(5), listen: at(6), status: at(8)}, nil
}

func readPidFile(data string) (pidFile, error) {
	b, err := os.ReadFile(filepath.Join(data, "postmaster.pid"))
	if errors.Is(err, fs.ErrNotExist) {
		return pidFile{}, errNoPidFile
	}
	if err != nil {
		return pidFile{}, err
	}
	return parsePidFile(b)
}

// postmaster reports whether a process is the server of a data directory: it
// works there. After a crash of another node, or a boot, the number in the file
// is any process, or none.
func postmaster(pid int, data string) bool {
	dir := "/proc/" + strconv.Itoa(pid)
	cwd, err := os.Readlink(dir + "/cwd")
	if err != nil {
		return false
	}
	name, err := os.ReadFile(dir + "/comm")
	if err != nil || !strings.HasPrefix(string(name), "postgres") && !strings.HasPrefix(string(name), "postmaster") {
		return false
	}
	real, err := filepath.EvalSymlinks(data)
	return cwd == data || err == nil && cwd == real
}
