package kit

import (
	"errors"
	"io"
	"os"
	"os/exec"
	"os/user"
	"strconv"

	"github.com/perdure-ha/perdure/internal/message"
	"github.com/perdure-ha/perdure/internal/platform/cgroup"
)

// Launch starts a program that isn't tied to the daemon: in a session and a
// group of its own, with its output in a file and a minimal environment.
type Launch struct {
	Argv   []string
	Env    []string // added to the minimal one
	Dir    string   // empty: the root directory
	User   string   // empty: the daemon's
	Input  []byte   // read from standard input; nil: nothing is there
	Output Output
	Group  cgroup.Group // the zero group: none
}

// Start starts it. The caller waits for the returned command.
func (l Launch) Start() (*exec.Cmd, error) {
	line := JoinWords(l.Argv)
	who, err := lookUp(l.User)
	if err != nil {
		return nil, err
	}
	path, err := Executable(l.Argv[0])
	if err != nil {
		return nil, err
	}
	out, err := l.Output.Open()
	if err != nil {
		return nil, message.New(message.CommandNotStarted, line, "").Wrap(err)
	}
	defer out.Close()
	cmd := &exec.Cmd{Path: path, Args: l.Argv, Dir: l.Dir, Stdout: out, Stderr: out, Env: environment(who.env(), l.Env)}
	if l.Input != nil {
		in, err := l.input()
		if err != nil {
			return nil, message.New(message.CommandNotStarted, line, err.Error()).Wrap(err)
		}
		defer in.Close()
		cmd.Stdin = in
	}
	if cmd.Dir == "" {
		cmd.Dir = rootDir
	}
	if err := l.start(cmd, who); err != nil {
		return nil, message.New(message.CommandNotStarted, line, err.Error()).Wrap(err)
	}
	return cmd, nil
}

// input is a file with the input. A pipe would need somebody who writes, and a
// program that doesn't read would keep him.
func (l Launch) input() (*os.File, error) {
	f, err := os.OpenFile(l.Output.Path+".in", os.O_CREATE|os.O_RDWR|os.O_TRUNC, 0o600)
	if err != nil {
		return nil, err
	}
	_, err = f.Write(l.Input)
	if err == nil {
		_, err = f.Seek(0, io.SeekStart)
	}
	if err != nil {
		_ = f.Close()
		return nil, err
	}
	return f, nil
}

// account is a user of this system; the zero account is the daemon's.
type account struct {
	name, home string
	uid, gid   uint32
	groups     []uint32
}

func (a account) env() []string {
	if a.name == "" {
		return nil
	}
	return []string{"USER=" + a.name, "LOGNAME=" + a.name, "HOME=" + a.home}
}

// CheckUser reports why a user can't run programs here.
func CheckUser(name string) error {
	_, err := lookUp(name)
	return err
}

func lookUp(name string) (account, error) {
	if name == "" {
		return account{}, nil
	}
	u, err := user.Lookup(name)
	if err != nil {
		return account{}, message.New(message.NoSuchUser, name).Wrap(err)
	}
	a := account{name: u.Username, home: u.HomeDir}
	uid, err1 := strconv.ParseUint(u.Uid, 10, 32)
	gid, err2 := strconv.ParseUint(u.Gid, 10, 32)
	if err := errors.Join(err1, err2); err != nil {
		return account{}, message.New(message.NoSuchUser, name).Wrap(err)
	}
	a.uid, a.gid = uint32(uid), uint32(gid)
	ids, err := u.GroupIds()
	if err != nil {
		return account{}, message.New(message.NoSuchUser, name).Wrap(err)
	}
	for _, id := range ids {
		if n, err := strconv.ParseUint(id, 10, 32); err == nil {
			a.groups = append(a.groups, uint32(n))
		}
	}
	return a, nil
}

// CheckDir reports why a directory can't be worked in.
func CheckDir(dir string) error {
	if dir == "" {
		return nil
	}
	st, err := os.Stat(dir)
	if err == nil && st.IsDir() {
		return nil
	}
	return message.New(message.NoSuchDirectory, dir).Wrap(err)
}
