package proc

import (
	"bytes"
	"os"
	"strconv"
	"syscall"
)

// Find lists the living processes of a tree, without ourselves.
func Find(m Match) []ID {
	boot, err := BootID()
	if err != nil {
		return nil
	}
	all := scan()
	// The members of a session hold on to its number. Another process that has
	// it now shows that the session is over.
	root, there := all[m.Root.PID]
	ours := m.Root.PID > 0 && m.Root.Boot == boot && (!there || root.start == m.Root.Start)
	in := map[int]bool{}
	for pid, s := range all {
		if (ours && (pid == m.Root.PID || s.session == m.Root.PID)) || (m.Mark != "" && marked(pid, m.Mark)) {
			in[pid] = true
		}
	}
	for grown := true; grown; {
		grown = false
		for pid, s := range all {
			if !in[pid] && in[s.parent] {
				in[pid], grown = true, true
			}
		}
	}
	var ids []ID
	for pid := range in {
		if s, ok := all[pid]; ok && !s.dead() && pid != os.Getpid() && pid != 1 {
			ids = append(ids, ID{PID: pid, Start: s.start, Boot: boot})
		}
	}
	return ids
}

func scan() map[int]stat {
	all := map[int]stat{}
	dir, err := os.Open("/proc")
	if err != nil {
		return all
	}
	defer dir.Close()
	names, _ := dir.Readdirnames(-1)
	for _, name := range names {
		pid, err := strconv.Atoi(name)
		if err != nil {
			continue
		}
		if s, err := readStat(pid); err == nil {
			all[pid] = s
		}
	}
	return all
}

func marked(pid int, mark string) bool {
	env, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/environ")
	if err != nil {
		return false
	}
	for entry := range bytes.SplitSeq(env, []byte{0}) {
		if string(entry) == mark {
			return true
		}
	}
	return false
}

func halt(id ID) { send(id, syscall.SIGSTOP) }
func kill(id ID) { send(id, syscall.SIGKILL) }

// send signals through a handle, so that a number that changed hands since the
// scan is spared.
func send(id ID, sig syscall.Signal) {
	h, err := Open(id)
	if err != nil {
		return
	}
	defer h.Close()
	h.Signal(sig)
}
