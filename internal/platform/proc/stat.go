package proc

import (
	"bytes"
	"errors"
	"fmt"
	"strconv"
)

// stat is what is used of /proc/PID/stat. Source: proc_pid_stat(5).
type stat struct {
	pid, parent, group, session int
	state                       byte
	start                       uint64
}

// dead reports whether the process has ended: a zombie or being removed.
func (s stat) dead() bool { return s.state == 'Z' || s.state == 'X' || s.state == 'x' }

// parseStat reads a line of /proc/PID/stat. The second field is the name in
// parentheses; it may hold blanks and parentheses itself, so the last closing
// one counts.
func parseStat(line []byte) (stat, error) {
	var s stat
	open, shut := bytes.IndexByte(line, '('), bytes.LastIndexByte(line, ')')
	if open < 1 || shut < open {
		return s, errors.New("parse process status: no name in parentheses")
	}
	// rest[0] is field 3.
	rest := bytes.Fields(line[shut+1:])
	if len(rest) < 20 || len(rest[0]) != 1 {
		return s, fmt.Errorf("parse process status: %d fields after the name, at least 20 are needed", len(rest))
	}
	s.state = rest[0][0]
	ints := []struct {
		to   *int
		from []byte
	}{
		{&s.pid, bytes.TrimSpace(line[:open])}, {&s.parent, rest[1]}, {&s.group, rest[2]}, {&s.session, rest[3]},
	}
	for _, f := range ints {
		n, err := strconv.Atoi(string(f.from))
		if err != nil {
			return s, fmt.Errorf("parse process status: %w", err)
		}
		*f.to = n
	}
	start, err := strconv.ParseUint(string(rest[19]), 10, 64)
	if err != nil {
		return s, fmt.Errorf("parse process status: start time: %w", err)
	}
	s.start = start
	return s, nil
}
