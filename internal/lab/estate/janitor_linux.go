package estate

import (
	"context"
	"errors"
	"fmt"
	"io"
	"io/fs"
	"os"
	"os/exec"
	"syscall"
	"time"
)

// killWait bounds the wait for killed processes to be gone.
const killWait = 5 * time.Second

// destroy kills everything in a cgroup and removes it. It may be gone already.
func destroy(c Group) error {
	ctx, cancel := context.WithTimeout(context.Background(), killWait)
	defer cancel()
	if err := c.Kill(ctx); err != nil && !errors.Is(err, fs.ErrNotExist) {
		return err
	}
	return c.Remove()
}

// janitorScript waits until the pipe from the lab's process closes, which it
// does in every kind of death, and removes what is left then. $1 is the lab's
// cgroup, $2 its directory, $3 where it stays if it is kept: under a name that
// no later lab takes for something left behind. The wait for the killed is bounded to 5 s.
const janitorScript = `
read -r verdict
[ "$verdict" = kept ] && mv "$2" "$3" && set -- "$1" ""
[ -e "$1/cgroup.kill" ] && echo 1 >"$1/cgroup.kill"
i=0
while [ -d "$1" ] && [ $i -lt 100 ]; do
	find "$1" -depth -type d -exec rmdir {} + 2>/dev/null
	i=$((i+1)); [ -d "$1" ] && sleep 0.05
done
[ -n "$2" ] && rm -rf "$2"
exit 0
`

// janitor cleans up behind a lab whose process died.
type janitor struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func startJanitor(c Group, dir string) (*janitor, error) {
	cmd := exec.Command("/bin/sh", "-c", janitorScript, "perdure-lab-janitor", string(c), dir, keptDir(dir))
	cmd.Dir = "/"
	// It must survive what kills the lab: Ctrl-C goes to the whole session.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err != nil {
		return nil, fmt.Errorf("start janitor: %w", err)
	}
	if err := cmd.Start(); err != nil {
		return nil, fmt.Errorf("start janitor: %w", err)
	}
	return &janitor{cmd: cmd, pipe: pipe}, nil
}

// dismiss lets the janitor clean up what is there and waits for it. If keep is
// set the directory stays.
func (j *janitor) dismiss(keep bool) error {
	var errs []error
	if keep {
		_, err := io.WriteString(j.pipe, "kept\n")
		errs = append(errs, err)
	}
	errs = append(errs, j.pipe.Close())
	err := j.cmd.Wait()
	if errors.Is(err, os.ErrProcessDone) {
		err = nil
	}
	return errors.Join(append(errs, err)...)
}
