package proc

import (
	"errors"
	"fmt"
	"syscall"
	"unsafe"

	"golang.org/x/sys/windows"
)

const query = windows.PROCESS_QUERY_LIMITED_INFORMATION | windows.SYNCHRONIZE

// BootID is empty: start times are absolute here.
func BootID() (string, error) { return "", nil }

func identify(pid int) (ID, error) {
	h, err := windows.OpenProcess(query, false, uint32(pid))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return ID{}, fmt.Errorf("identify process %d: %w", pid, ErrGone)
	}
	if err != nil {
		return ID{}, fmt.Errorf("identify process %d: %w", pid, err)
	}
	defer windows.CloseHandle(h)
	return identifyHandle(h, pid)
}

func identifyHandle(h windows.Handle, pid int) (ID, error) {
	if ev, err := windows.WaitForSingleObject(h, 0); err == nil && ev == windows.WAIT_OBJECT_0 {
		return ID{}, fmt.Errorf("identify process %d: %w", pid, ErrGone)
	}
	var created, exited, kernel, user windows.Filetime
	if err := windows.GetProcessTimes(h, &created, &exited, &kernel, &user); err != nil {
		return ID{}, fmt.Errorf("read the start time of process %d: %w", pid, err)
	}
	return ID{PID: pid, Start: uint64(created.HighDateTime)<<32 | uint64(created.LowDateTime)}, nil
}

// stopped is false: Windows stops threads, not processes.
func stopped(int) bool { return false }

// Handle holds on to one process, also when its number has come to mean
// another one.
type Handle struct {
	id   ID
	h    windows.Handle
	stop windows.Handle // event that ends the watching
	done chan struct{}
	gone chan struct{}
}

// Open takes hold of a process. It returns [ErrGone] if it has ended.
func Open(id ID) (*Handle, error) {
	p, err := windows.OpenProcess(query|windows.PROCESS_TERMINATE, false, uint32(id.PID))
	if errors.Is(err, windows.ERROR_INVALID_PARAMETER) {
		return nil, fmt.Errorf("open process %d: %w", id.PID, ErrGone)
	}
	if err != nil {
		return nil, fmt.Errorf("open process %d: %w", id.PID, err)
	}
	if now, err := identifyHandle(p, id.PID); err != nil || now != id {
		windows.CloseHandle(p)
		return nil, fmt.Errorf("open process %d: %w", id.PID, ErrGone)
	}
	stop, err := windows.CreateEvent(nil, 1, 0, nil)
	if err != nil {
		windows.CloseHandle(p)
		return nil, fmt.Errorf("open process %d: create an event: %w", id.PID, err)
	}
	h := &Handle{id: id, h: p, stop: stop, done: make(chan struct{}), gone: make(chan struct{})}
	go h.watch()
	return h, nil
}

func (h *Handle) watch() {
	defer close(h.gone)
	ev, err := windows.WaitForMultipleObjects([]windows.Handle{h.h, h.stop}, false, windows.INFINITE)
	if err == nil && ev == windows.WAIT_OBJECT_0 {
		close(h.done)
	}
}

// ID is the process that the handle holds.
func (h *Handle) ID() ID { return h.id }

// Done is closed when the process has ended. It stays open when the handle is
// closed before.
func (h *Handle) Done() <-chan struct{} { return h.done }

// Signal ends the process for SIGKILL. For any other signal it sends Ctrl-Break
// to the process's group, which the process must lead.
func (h *Handle) Signal(sig syscall.Signal) error {
	if sig == syscall.SIGKILL {
		if err := windows.TerminateProcess(h.h, 137); err != nil {
			return fmt.Errorf("terminate process %d: %w", h.id.PID, err)
		}
		return nil
	}
	if err := windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(h.id.PID)); err != nil {
		return fmt.Errorf("send Ctrl-Break to process %d: %w", h.id.PID, err)
	}
	return nil
}

// Close lets go of the process and returns when the watching has ended. The
// process runs on.
func (h *Handle) Close() error {
	windows.SetEvent(h.stop)
	<-h.gone
	windows.CloseHandle(h.stop)
	return windows.CloseHandle(h.h)
}

// Find lists the living descendants of Root and Root itself, as long as Root
// lives. Mark finds nothing here.
func Find(m Match) []ID {
	snap, err := windows.CreateToolhelp32Snapshot(windows.TH32CS_SNAPPROCESS, 0)
	if err != nil {
		return nil
	}
	defer windows.CloseHandle(snap)
	parent := map[int]int{}
	e := windows.ProcessEntry32{Size: uint32(unsafe.Sizeof(windows.ProcessEntry32{}))}
	for err = windows.Process32First(snap, &e); err == nil; err = windows.Process32Next(snap, &e) {
		parent[int(e.ProcessID)] = int(e.ParentProcessID)
	}
	in := map[int]ID{}
	if m.Root.Alive() {
		in[m.Root.PID] = m.Root
	}
	for grown := true; grown; {
		grown = false
		for pid, of := range parent {
			up, ok := in[of]
			if _, known := in[pid]; !ok || known {
				continue
			}
			// Numbers of parents are given out again: a child is never older.
			if id, err := identify(pid); err == nil && id.Start >= up.Start {
				in[pid], grown = id, true
			}
		}
	}
	ids := make([]ID, 0, len(in))
	for _, id := range in {
		ids = append(ids, id)
	}
	return ids
}

// halt does nothing: there is no way to stop a whole process.
func halt(ID) {}

func kill(id ID) {
	h, err := Open(id)
	if err != nil {
		return
	}
	defer h.Close()
	h.Signal(syscall.SIGKILL)
}
