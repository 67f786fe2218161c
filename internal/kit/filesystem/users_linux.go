package filesystem

import (
	"bytes"
	"context"
	"fmt"
	"os"
	"path/filepath"
	"slices"
	"strconv"
	"strings"
	"syscall"

	"github.com/moby/sys/mountinfo"
	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/platform/proc"
)

var deviceGone = []error{unix.ENOENT, unix.ENXIO, unix.ENODEV}

// user is a process that uses a mount.
type user struct {
	id   proc.ID
	name string
	how  string
}

func (u user) String() string { return fmt.Sprintf("%s (process %d, %s)", u.name, u.id.PID, u.how) }

// spared are never ended: the kernel's first process, the daemon, and the
// guardian that is its parent.
func spared(pid int) bool { return pid <= 1 || pid == os.Getpid() || pid == os.Getppid() }

// users finds who works in one of the places, has a file open there, runs a
// program from there or has a socket there. It returns what it has found when
// the time is over: reading about a process may itself wait for the disk.
func users(ctx context.Context, places []string) []user {
	sockets := boundSockets(places)
	return scan(ctx, func(pid int) string { return usage(pid, places, sockets) })
}

// scan asks about each process, and stops when the time is over.
func scan(ctx context.Context, how func(pid int) string) []user {
	ctx, cancel := context.WithTimeout(ctx, scanTimeout)
	defer cancel()
	entries, err := os.ReadDir("/proc")
	if err != nil {
		return nil
	}
	found := make(chan user)
	go func() {
		defer close(found)
		for _, e := range entries {
			pid, err := strconv.Atoi(e.Name())
			if err != nil || spared(pid) {
				continue
			}
			id, err := proc.Identify(pid)
			if err != nil {
				continue
			}
			if h := how(pid); h != "" {
				select {
				case found <- user{id, command(pid), h}:
				case <-ctx.Done():
					return
				}
			}
		}
	}()
	var all []user
	for {
		select {
		case u, more := <-found:
			if !more {
				return all
			}
			all = append(all, u)
		case <-ctx.Done():
			return all
		}
	}
}

// usage says how a process uses one of the places; empty: not at all. Links in
// /proc are read, never followed: following touches the disk.
func usage(pid int, places, sockets []string) string {
	dir := "/proc/" + strconv.Itoa(pid) + "/"
	for _, l := range []struct{ link, how string }{{"cwd", "works in"}, {"root", "has its root at"}, {"exe", "runs"}} {
		if to, err := os.Readlink(dir + l.link); err == nil && inside(to, places) {
			return l.how + " " + to
		}
	}
	fds, _ := os.ReadDir(dir + "fd")
	for _, fd := range fds {
		to, err := os.Readlink(dir + "fd/" + fd.Name())
		if err == nil && (inside(to, places) || slices.Contains(sockets, to)) {
			return "has open " + to
		}
	}
	maps, _ := os.ReadFile(dir + "maps")
	for line := range bytes.Lines(maps) {
		if i := bytes.IndexByte(line, '/'); i > 0 {
			if to := strings.TrimSpace(string(line[i:])); inside(to, places) {
				return "has mapped " + to
			}
		}
	}
	return ""
}

func inside(path string, places []string) bool {
	return slices.ContainsFunc(places, func(at string) bool {
		return path == at || strings.HasPrefix(path, at+"/") || path == at+" (deleted)"
	})
}

// boundSockets are the links of sockets whose name is in one of the places: a
// name that is bound holds the mount.
func boundSockets(places []string) []string {
	b, err := os.ReadFile("/proc/net/unix")
	if err != nil {
		return nil
	}
	var out []string
	for line := range strings.Lines(string(b)) {
		// Num RefCount Protocol Flags Type St Inode Path
		f := strings.Fields(line)
		if len(f) >= 8 && inside(f[7], places) {
			out = append(out, "socket:["+f[6]+"]")
		}
	}
	return out
}

// foreignUsers are the processes in whose own mount namespace the device is
// still mounted.
func foreignUsers(ctx context.Context, d device) []user {
	own, _ := os.Readlink("/proc/self/ns/mnt")
	return scan(ctx, func(pid int) string {
		dir := "/proc/" + strconv.Itoa(pid) + "/"
		if ns, err := os.Readlink(dir + "ns/mnt"); err != nil || ns == own {
			return ""
		}
		file, err := os.Open(dir + "mountinfo")
		if err != nil {
			return ""
		}
		defer file.Close()
		all, err := mountinfo.GetMountsFromReader(file, nil)
		if err != nil {
			return ""
		}
		if mine := mountsOf(all, d); len(mine) > 0 {
			return "has it mounted at " + mine[0].Mountpoint + " in a namespace of its own"
		}
		return ""
	})
}

// mountsOf are the mounts of a device.
func mountsOf(all []*mountinfo.Info, d device) []*mountinfo.Info {
	var out []*mountinfo.Info
	for _, m := range all {
		if d.has(m) {
			out = append(out, m)
		}
	}
	return out
}

// kernelUsers names what uses a mount and is no process.
func kernelUsers(places []string) []string {
	var out []string
	loops, _ := filepath.Glob("/sys/block/loop*/loop/backing_file")
	for _, l := range loops {
		if b, err := os.ReadFile(l); err == nil && inside(strings.TrimSpace(string(b)), places) {
			out = append(out, "/dev/"+strings.Split(l, "/")[3]+" over "+strings.TrimSpace(string(b)))
		}
	}
	for _, f := range []struct{ path, what string }{{"/proc/swaps", "swap"}, {"/proc/fs/nfsd/exports", "the NFS server"}} {
		b, _ := os.ReadFile(f.path)
		for line := range strings.Lines(string(b)) {
			if w := strings.Fields(line); len(w) > 0 && inside(w[0], places) {
				out = append(out, f.what+" on "+w[0])
			}
		}
	}
	return out
}

// endUsers signals processes, waits for their end until the context ends, and
// returns those that live on.
func endUsers(ctx context.Context, all []user, kill bool) []user {
	sig := syscall.SIGTERM
	if kill {
		sig = syscall.SIGKILL
	}
	var left []user
	var handles []*proc.Handle
	for _, u := range all {
		h, err := proc.Open(u.id)
		if err != nil {
			continue // it has ended
		}
		defer h.Close()
		h.Signal(sig)
		if !kill {
			h.Signal(syscall.SIGCONT) // a stopped one hears nothing
		}
		handles = append(handles, h)
		left = append(left, u)
	}
	for i, h := range handles {
		select {
		case <-h.Done():
			left[i].id = proc.ID{}
		case <-ctx.Done():
			if !h.ID().Alive() {
				left[i].id = proc.ID{}
			}
		}
	}
	return slices.DeleteFunc(left, func(u user) bool { return u.id == proc.ID{} })
}

// command is the name of a process, as the kernel has it.
func command(pid int) string {
	b, err := os.ReadFile("/proc/" + strconv.Itoa(pid) + "/comm")
	if err != nil {
		return "?"
	}
	return strings.TrimSpace(string(b))
}
