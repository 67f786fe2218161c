package keeper

import (
	"encoding/json"
	"errors"
	"fmt"
	"io/fs"
	"os"
	"path/filepath"
	"slices"
	"syscall"
	"time"

	"github.com/perdure-ha/perdure/internal/lab/procs"
	"github.com/perdure-ha/perdure/internal/message"
)

// place is the keeper's directory. There is one lab in it.
type place string

// The files of a place.
const (
	lockFile   = "lock"
	recordFile = "keeper.json"
	socketFile = "keeper.sock"
	logFile    = "keeper.log"
)

// defaultPlace can be moved, so that tests don't meet somebody's lab.
func defaultPlace() place {
	if dir := os.Getenv("PERDURE_LAB_DIR"); dir != "" {
		return place(dir)
	}
	return "/run/perdure-lab"
}

func (p place) file(name string) string { return filepath.Join(string(p), name) }
func (p place) socket() string          { return p.file(socketFile) }
func (p place) log() string             { return p.file(logFile) }

func (p place) read() (record, error) {
	var r record
	text, err := os.ReadFile(p.file(recordFile))
	if err != nil {
		return r, err
	}
	if err := json.Unmarshal(text, &r); err != nil {
		return r, fmt.Errorf("read %s: %w", p.file(recordFile), err)
	}
	return r, nil
}

func (p place) write(r record) error {
	text, err := json.Marshal(r)
	if err != nil {
		return err
	}
	// Whoever reads it meanwhile finds the old one or the new one.
	half := p.file(recordFile + ".new")
	if err := os.WriteFile(half, text, 0o600); err != nil {
		return fmt.Errorf("say who keeps the lab: %w", err)
	}
	return os.Rename(half, p.file(recordFile))
}

// self is this process's record.
func self(c Config) (record, error) {
	me, ok, err := procs.Read(os.Getpid())
	if err != nil || !ok {
		return record{}, fmt.Errorf("look at this process: %w", errors.Join(err, errors.New("no entry in /proc")))
	}
	return record{PID: os.Getpid(), Start: me.Start, Since: time.Now().Round(time.Second), Config: c}, nil
}

// alive reports whether the recorded process runs and is a keeper.
func (r record) alive() bool {
	if r.PID <= 1 {
		return false
	}
	p, ok, err := procs.Read(r.PID)
	return err == nil && ok && p.State != 'Z' && p.Start == r.Start && slices.Contains(p.Argv, "lab")
}

// kill ends the recorded process if it is still the one that was recorded. The id
// is held by a descriptor between the look and the kill, so that no other process
// can have come into it.
func (r record) kill() error {
	process, err := os.FindProcess(r.PID) // a pidfd where the kernel has them
	if err != nil {
		return fmt.Errorf("find the keeper: %w", err)
	}
	defer process.Release()
	if !r.alive() {
		return nil
	}
	if err := process.Kill(); err != nil && !errors.Is(err, os.ErrProcessDone) {
		return fmt.Errorf("end the keeper, process %d: %w", r.PID, err)
	}
	return nil
}

// errLocked: a keeper lives here.
var errLocked = errors.New("a keeper holds the lock")

// lock makes this process the one that may keep a lab here. It holds as long as the
// file, or one inherited, is open.
func (p place) lock() (*os.File, error) {
	for {
		if err := p.make(); err != nil {
			return nil, err
		}
		f, err := os.OpenFile(p.file(lockFile), os.O_CREATE|os.O_RDWR|syscall.O_NOFOLLOW, 0o600)
		if errors.Is(err, fs.ErrNotExist) {
			continue // removed by the one who ended just now
		}
		if err != nil {
			return nil, fmt.Errorf("open the lab's lock: %w", err)
		}
		if err := syscall.Flock(int(f.Fd()), syscall.LOCK_EX|syscall.LOCK_NB); err != nil {
			f.Close()
			if errors.Is(err, syscall.EWOULDBLOCK) {
				return nil, errLocked
			}
			return nil, fmt.Errorf("lock %s: %w", p.file(lockFile), err)
		}
		if p.holds(f) {
			return f, nil
		}
		f.Close() // its directory was removed before we had it
	}
}

// holds reports whether f is the lock file that others find.
func (p place) holds(f *os.File) bool {
	mine, err1 := f.Stat()
	there, err2 := os.Stat(p.file(lockFile))
	return err1 == nil && err2 == nil && os.SameFile(mine, there)
}

// make makes the directory, and refuses one that others could write to.
func (p place) make() error {
	if err := os.Mkdir(string(p), 0o700); err != nil && !errors.Is(err, fs.ErrExist) {
		return fmt.Errorf("make the lab's directory: %w", err)
	}
	info, err := os.Lstat(string(p))
	if errors.Is(err, fs.ErrNotExist) {
		return nil // removed just now; the caller tries again
	}
	if err != nil {
		return err
	}
	owner, ok := info.Sys().(*syscall.Stat_t)
	if !info.IsDir() || info.Mode().Perm()&0o077 != 0 || !ok || int(owner.Uid) != os.Geteuid() {
		return message.New(message.LabForeign, string(p))
	}
	return nil
}

// locked reports whether a keeper lives here. It makes nothing.
func (p place) locked() (bool, error) {
	f, err := os.OpenFile(p.file(lockFile), os.O_RDWR|syscall.O_NOFOLLOW, 0)
	if errors.Is(err, fs.ErrNotExist) {
		return false, nil
	}
	if err != nil {
		return false, fmt.Errorf("open the lab's lock: %w", err)
	}
	defer f.Close()
	if err := syscall.Flock(int(f.Fd()), syscall.LOCK_SH|syscall.LOCK_NB); err != nil {
		if errors.Is(err, syscall.EWOULDBLOCK) {
			return true, nil
		}
		return false, err
	}
	return false, nil
}

// clear removes the directory. The caller holds the lock.
func (p place) clear() error {
	for _, name := range []string{recordFile, recordFile + ".new", socketFile, logFile, lockFile} {
		if err := os.Remove(p.file(name)); err != nil && !errors.Is(err, fs.ErrNotExist) {
			return fmt.Errorf("remove what a lab left: %w", err)
		}
	}
	// Something else in it is somebody else's.
	if err := os.Remove(string(p)); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return fmt.Errorf("remove the lab's directory: %w", err)
	}
	return nil
}
