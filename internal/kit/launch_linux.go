package kit

import (
	"errors"
	"io/fs"
	"os"
	"os/exec"
	"path/filepath"
	"strconv"
	"strings"
	"syscall"

	"golang.org/x/sys/unix"

	"github.com/perdure-ha/perdure/internal/message"
)

const rootDir = "/"

// Executable finds a program: by its path, or by name in the directories that
// every program's PATH has.
func Executable(name string) (string, error) {
	paths := []string{name}
	if !strings.Contains(name, "/") {
		paths = nil
		for dir := range strings.SplitSeq(strings.TrimPrefix(environment()[0], "PATH="), ":") {
			paths = append(paths, filepath.Join(dir, name))
		}
	}
	var why error = fs.ErrNotExist
	for _, p := range paths {
		st, err := os.Stat(p)
		if err == nil && st.IsDir() {
			err = syscall.EISDIR
		}
		if err == nil {
			err = unix.Access(p, unix.X_OK)
		}
		if err == nil {
			return p, nil
		}
		if !errors.Is(err, fs.ErrNotExist) {
			why = err
		}
	}
	var path *fs.PathError
	if errors.As(why, &path) {
		why = path.Err
	}
	return "", message.New(message.NotExecutable, name, why.Error())
}

func (l Launch) start(cmd *exec.Cmd, who account) error {
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	if who.name != "" {
		cmd.SysProcAttr.Credential = &syscall.Credential{Uid: who.uid, Gid: who.gid, Groups: who.groups}
	}
	if l.Group.Path() == "" {
		return started(cmd, cmd.Start())
	}
	dir, err := l.Group.Open()
	if err != nil {
		return err
	}
	defer dir.Close()
	cmd.SysProcAttr.UseCgroupFD, cmd.SysProcAttr.CgroupFD = true, int(dir.Fd())
	err = cmd.Start()
	if !errors.Is(err, syscall.ENOSYS) && !errors.Is(err, syscall.EINVAL) && !errors.Is(err, syscall.E2BIG) {
		return started(cmd, err)
	}
	// The kernel or a filter doesn't know the call. Moved afterwards, it may
	// have forked already; the session still tells.
	again := &exec.Cmd{Path: cmd.Path, Args: cmd.Args, Dir: cmd.Dir, Stdout: cmd.Stdout, Stderr: cmd.Stderr, Env: cmd.Env, SysProcAttr: cmd.SysProcAttr}
	again.SysProcAttr.UseCgroupFD = false
	*cmd = *again
	if err := cmd.Start(); err != nil {
		return err
	}
	if err := l.Group.Add(cmd.Process.Pid); err != nil {
		cmd.Process.Kill()
		cmd.Wait()
		return err
	}
	return started(cmd, nil)
}

// started takes back what the child inherits and shouldn't: the daemon asks
// the kernel to spare itself when memory runs out, not the application.
func started(cmd *exec.Cmd, err error) error {
	if err != nil {
		return err
	}
	if own, err := os.ReadFile("/proc/self/oom_score_adj"); err == nil && strings.TrimSpace(string(own)) != "0" {
		os.WriteFile("/proc/"+strconv.Itoa(cmd.Process.Pid)+"/oom_score_adj", []byte("0"), 0)
	}
	return nil
}
