package kit

import (
	"errors"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"

	"github.com/perdure-ha/perdure/internal/message"
)

const rootDir = `C:\`

// Executable finds a program: by its path, or by name in PATH.
func Executable(name string) (string, error) {
	path, err := exec.LookPath(name)
	if err == nil {
		return path, nil
	}
	var e *exec.Error
	if errors.As(err, &e) {
		err = e.Err
	}
	return "", message.New(message.NotExecutable, name, err.Error())
}

func (l Launch) start(cmd *exec.Cmd, who account) error {
	if who.name != "" {
		return errors.New("another user's programs can't be started on Windows; run the program as a service of that user")
	}
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP | windows.CREATE_NO_WINDOW}
	return cmd.Start()
}
