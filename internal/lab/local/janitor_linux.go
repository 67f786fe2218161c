package local

import (
	"errors"
	"fmt"
	"io"
	"os"
	"os/exec"
	"syscall"
)

// janitorScript waits until the pipe from the lab's process closes, which it
// does in every kind of death, and then kills what names the lab's directory ($1)
// in its environment and removes the directory. The rounds are bounded.
const janitorScript = `
read -r verdict
i=0
while [ $i -lt 50 ]; do
	found=
	for p in /proc/[0-9]*; do
		if tr '\0' '\n' 2>/dev/null <"$p/environ" | grep -Eq "^PERDURE_(RUN_DIR|SERVICE)=$1/"; then
			kill -9 "${p#/proc/}" 2>/dev/null && found=yes
		fi
	done 2>/dev/null
	[ -n "$found" ] || break
	i=$((i+1))
	sleep 0.05
done
[ "$verdict" = kept ] || rm -rf "$1"
exit 0
`

// janitor cleans up behind a lab whose process died.
type janitor struct {
	cmd  *exec.Cmd
	pipe io.WriteCloser
}

func startJanitor(dir string) (*janitor, error) {
	cmd := exec.Command("/bin/sh", "-c", janitorScript, "perdure-demo-janitor", dir)
	cmd.Dir = "/"
	// It must survive what kills the lab: Ctrl-C goes to the whole session.
	cmd.SysProcAttr = &syscall.SysProcAttr{Setsid: true}
	pipe, err := cmd.StdinPipe()
	if err == nil {
		err = cmd.Start()
	}
	if err != nil {
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
