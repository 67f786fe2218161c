package guardian

import (
	"fmt"
	"os"
	"os/exec"
	"syscall"

	"golang.org/x/sys/windows"
)

// spawner starts daemons. On Windows the connection is the daemon's standard
// input and output, and its log the standard error.
type spawner struct{}

func newSpawner() *spawner { return &spawner{} }
func (*spawner) close()    {}

type process struct {
	cmd   *exec.Cmd
	ended chan string
}

func (p *process) status() <-chan string { return p.ended }
func (p *process) kill() error           { return p.cmd.Process.Kill() }

// terminate sends Ctrl-Break to the daemon's own process group.
func (p *process) terminate() error {
	return windows.GenerateConsoleCtrlEvent(windows.CTRL_BREAK_EVENT, uint32(p.cmd.Process.Pid))
}

func (s *spawner) spawn(_ Config, program []string, _ string) (child, link, error) {
	cmd := exec.Command(program[0], program[1:]...)
	cmd.Env = environ("0")
	cmd.Stderr = os.Stderr
	cmd.SysProcAttr = &syscall.SysProcAttr{CreationFlags: windows.CREATE_NEW_PROCESS_GROUP}
	in, err := cmd.StdinPipe()
	if err != nil {
		return nil, nil, err
	}
	out, err := cmd.StdoutPipe()
	if err != nil {
		return nil, nil, err
	}
	if err := cmd.Start(); err != nil {
		return nil, nil, fmt.Errorf("start %s: %w", program[0], err)
	}
	p := &process{cmd: cmd, ended: make(chan string, 1)}
	go func() {
		err := cmd.Wait()
		p.ended <- fmt.Sprint(err)
	}()
	return p, &stream{r: out, w: in, c: closers(in, out)}, nil
}
